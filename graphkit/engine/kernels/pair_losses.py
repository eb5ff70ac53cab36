"""The log-sigmoid loss against negatives that queries share, of distances, in one pass forward and one backward.

float32 on the CPU is computed natively. Elsewhere the loss is put together from `pair_scores` and `softplus_terms`,
which it is made of here too: `reference` says how.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit import _native
from graphkit.engine import buffers
from graphkit.engine.kernels.dispatch import on_cpu
from graphkit.engine.kernels.negative_terms import require_masked, softplus_terms
from graphkit.engine.kernels.pair_scores import NUMBERS, require_pairs
from graphkit.engine.kernels.placed_rows import PlacedRows
from graphkit.engine.kernels.rank_counts import PairDistance
from graphkit.errors import GraphkitError
from graphkit.samplers.batch import chunk_lanes


def log_sigmoid_losses(
    distance: PairDistance,
    queries: Tensor,
    answers: Tensor,
    rows: Tensor,
    mask: Tensor,
    *,
    sharpness: float,
    chunks: int = 1,
) -> Tensor:
    """The mean of -log sigmoid(logit of the answer) and of the negatives' -log sigmoid(-logit), by their weights.

    Args:
        distance: what logits are.
        queries: float32[B, W].
        answers: float32[B, D], one of each query.
        rows: float32[C K, D], the negatives of the queries of each chunk, chunk after chunk.
        mask: bool[B, K], True where a negative counts.
        sharpness: of the weights; see `softplus_terms`.
        chunks: C; query b is of chunk b C // B.

    Returns:
        float32[B]. The error of a logit is that of `pair_scores`, and of the rest that of `softplus_terms`. A distance
        that is NaN there, such as that of ``rotate`` to an infinite row, makes the loss of each query that it counts
        for NaN.

    Raises:
        GraphkitError: shapes or dtypes do not go together.
    """
    if not on_cpu(queries, answers, rows):
        return reference(distance, queries, answers, rows, mask, sharpness=sharpness, chunks=chunks)
    _require(distance, queries, tuple(answers.shape), rows, mask, chunks)
    found: tuple[Tensor, Tensor, Tensor] = shared_losses(
        *(x.contiguous() for x in (queries, answers, rows, mask)),
        chunks,
        distance.kind,
        distance.inside,
        distance.offset,
        sharpness,
    )
    return found[0]


def log_sigmoid_gradients(
    distance: PairDistance,
    queries: Tensor,
    answers: PlacedRows,
    rows: Tensor,
    mask: Tensor,
    weights: Tensor,
    *,
    sharpness: float,
    chunks: int = 1,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The losses of `log_sigmoid_losses`, and the gradients of their weighted sum, without autograd.

    Args:
        distance: as there.
        queries: as there, contiguous, in host memory, as is all else.
        answers: one of each query.
        rows: as there.
        mask: as there.
        weights: float32[B], of the losses.
        sharpness: as there.
        chunks: as there.

    Returns:
        float32[B]; the gradients of queries, answers [B, D] and rows, bit for bit those of autograd.

    Raises:
        GraphkitError: as there.
    """
    _require(distance, queries, answers.shape, rows, mask, chunks)
    if weights.shape != (len(queries),) or weights.dtype != torch.float32:
        raise GraphkitError(
            f"weights are {weights.dtype} of shape {tuple(weights.shape)} for {len(queries)} queries; give float32 of "
            f"shape ({len(queries)},)"
        )
    mask, weights = mask.contiguous(), weights.contiguous()
    kind, inside = distance.kind, distance.inside
    losses, *slopes = _shared_losses(queries, answers, rows, mask, chunks, kind, inside, distance.offset, sharpness)
    return losses, *_shared_loss_gradients(weights, slopes[0], slopes[1], queries, answers, rows, chunks, kind, inside)


def _require(
    distance: PairDistance, queries: Tensor, answers: tuple[int, ...], rows: Tensor, mask: Tensor, chunks: int
) -> None:
    """Makes sure that shapes and dtypes go together."""
    require_pairs(distance.kind, queries, rows, None)
    _require_chunks(rows, chunks)
    require_masked((len(queries), len(rows) // chunks), mask)
    if answers != (len(queries), rows.shape[1]):
        raise GraphkitError(
            f"answers have shape {answers} for {len(queries)} queries and rows of width {rows.shape[1]}; "
            f"give one answer of each query, ({len(queries)}, {rows.shape[1]})"
        )


def reference(
    distance: PairDistance,
    queries: Tensor,
    answers: Tensor,
    rows: Tensor,
    mask: Tensor,
    *,
    sharpness: float,
    chunks: int = 1,
) -> Tensor:
    """The twin that defines `log_sigmoid_losses`; any floating dtype."""
    own = torch.arange(len(queries), device=queries.device).unsqueeze(1)
    positive = distance.scores(queries, answers, own).squeeze(1)
    terms = softplus_terms(chunk_scores(distance, queries, rows, chunks), mask, sharpness=sharpness)
    return (F.softplus(-positive) + terms) / 2


def _require_chunks(rows: Tensor, chunks: int) -> None:
    if chunks < 1 or len(rows) % chunks:
        raise GraphkitError(f"there are {len(rows)} rows for {chunks} chunks of queries; give each chunk as many")


def chunk_scores(distance: PairDistance, queries: Tensor, rows: Tensor, chunks: int) -> Tensor:
    """Returns float[B, K]: logits of queries with the rows of their chunk; see `log_sigmoid_losses`."""
    _require_chunks(rows, chunks)
    if chunks == 1:
        return distance.scores(queries, rows)
    sizes = [lanes.stop - lanes.start for lanes in chunk_lanes(len(queries), chunks)]
    parts = zip(torch.split(queries, sizes), rows.chunk(chunks), strict=True)
    return torch.cat([distance.scores(some, others) for some, others in parts])


def _shared_losses(
    queries: Tensor,
    answers: PlacedRows,
    rows: Tensor,
    mask: Tensor,
    chunks: int,
    kind: str,
    inside: float,
    offset: float,
    sharpness: float,
) -> tuple[Tensor, Tensor, Tensor]:
    losses, of_answers = queries.new_empty(len(queries)), queries.new_empty(len(queries))
    slopes = buffers.empty(*mask.shape)
    _native.shared_losses(
        NUMBERS[kind],
        queries,
        answers.rows,
        answers.places,
        rows,
        mask,
        chunks,
        inside,
        offset,
        sharpness,
        losses,
        of_answers,
        slopes,
        torch.get_num_threads(),
    )
    return losses, of_answers, slopes


@torch.library.custom_op("graphkit::shared_losses", mutates_args=())
def shared_losses(
    queries: Tensor,
    answers: Tensor,
    rows: Tensor,
    mask: Tensor,
    chunks: int,
    kind: str,
    inside: float,
    offset: float,
    sharpness: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns float32[B] losses, and their gradients with respect to distances: [B] of answers, [B, K] of negatives.

    Those of `l2` are divided by the distance.
    """
    return _shared_losses(queries, PlacedRows(answers, None), rows, mask, chunks, kind, inside, offset, sharpness)


@shared_losses.register_fake
def _(
    queries: Tensor,
    answers: Tensor,
    rows: Tensor,
    mask: Tensor,
    chunks: int,
    kind: str,
    inside: float,
    offset: float,
    sharpness: float,
) -> tuple[Tensor, Tensor, Tensor]:
    size = queries.shape[0]
    return queries.new_empty(size), queries.new_empty(size), queries.new_empty(mask.shape)


def _shared_loss_gradients(
    gradient: Tensor,
    of_answers: Tensor,
    slopes: Tensor,
    queries: Tensor,
    answers: PlacedRows,
    rows: Tensor,
    chunks: int,
    kind: str,
    inside: float,
) -> tuple[Tensor, Tensor, Tensor]:
    to_queries, to_answers, to_rows = (buffers.empty(*x.shape) for x in (queries, answers, rows))
    _native.shared_loss_gradients(
        NUMBERS[kind],
        queries,
        answers.rows,
        answers.places,
        rows,
        chunks,
        inside,
        gradient,
        of_answers,
        slopes,
        to_queries,
        to_answers,
        to_rows,
        torch.get_num_threads(),
    )
    return to_queries, to_answers, to_rows


@torch.library.custom_op("graphkit::shared_loss_gradients", mutates_args=())
def shared_loss_gradients(
    gradient: Tensor,
    of_answers: Tensor,
    slopes: Tensor,
    queries: Tensor,
    answers: Tensor,
    rows: Tensor,
    chunks: int,
    kind: str,
    inside: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, answers and rows, from that of the losses, float32[B], and what `shared_losses` found."""
    placed = PlacedRows(answers, None)
    return _shared_loss_gradients(gradient, of_answers, slopes, queries, placed, rows, chunks, kind, inside)


@shared_loss_gradients.register_fake
def _(
    gradient: Tensor,
    of_answers: Tensor,
    slopes: Tensor,
    queries: Tensor,
    answers: Tensor,
    rows: Tensor,
    chunks: int,
    kind: str,
    inside: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(queries), torch.empty_like(answers), torch.empty_like(rows)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    queries, answers, rows, _, ctx.chunks, ctx.kind, ctx.inside, *_ = inputs
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)  # else zeros are filled for what has no gradient
    ctx.save_for_backward(*output[1:], queries, answers, rows)


def _backward(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if gradient is None:
        return (None,) * 9
    found = shared_loss_gradients(gradient.contiguous(), *ctx.saved_tensors, ctx.chunks, ctx.kind, ctx.inside)
    return *found, None, None, None, None, None, None


shared_losses.register_autograd(_backward, setup_context=_keep)
