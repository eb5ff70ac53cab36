"""Cross entropy over all rows of a table, whose logits are dot products: memory for a chunk of logits, not for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit import _native
from graphkit.engine import buffers
from graphkit.engine.kernels.dispatch import is_native
from graphkit.errors import GraphkitError

#: Logits that are held at once: 256 MiB in float32, half of that in bfloat16.
LOGITS_AT_ONCE = 2**26


class Pieces(Protocol):
    """What is done with the logits of a chunk, [B, n] in float32 or bfloat16."""

    def add_sums(self, logits: Tensor, most: Tensor, totals: Tensor) -> None:
        """Goes on with the largest logit of each row and the sum of e^(logit - largest), in place.

        Args:
            logits: contiguous [B, n].
            most: float32[B], at first -infinity.
            totals: float32[B], at first 0. NaN after a NaN or positive infinity among the logits of a row, or where
                there is nothing but negative infinity.
        """

    def weigh(self, logits: Tensor, normalisers: Tensor, weights: Tensor) -> None:
        """Replaces logits by weight · e^(logit - normaliser), given float32[B] of both."""


class _Native:
    """Pieces on the CPU."""

    def add_sums(self, logits: Tensor, most: Tensor, totals: Tensor) -> None:
        _native.softmax_sums(_numbers(logits), _is_rounded(logits), most, totals, torch.get_num_threads())

    def weigh(self, logits: Tensor, normalisers: Tensor, weights: Tensor) -> None:
        threads = torch.get_num_threads()
        _native.softmax_gradients(_numbers(logits), _is_rounded(logits), normalisers, weights, threads)


def cross_entropy(queries: Tensor, rows: Tensor, targets: Tensor, *, rounded: bool = False) -> Tensor:
    """Cross entropy of one row for each query among all: ``log Σ_n exp(q · e_n) - q · e_target``.

    Two passes over the rows: one for the normalisers, which grow chunk by chunk (Milakov and Gimelshein, 2018), and
    one, in the backward pass, for the gradients. When all logits fit into `LOGITS_AT_ONCE` they are kept between the
    two, and else computed twice.

    Args:
        queries: float32[B, D].
        rows: float32[N, D].
        targets: int64[B], the row of each query's answer.
        rounded: round factors and logits of the products to bfloat16; sums are accumulated in float32, and the logit of
            the answer is float32 in any case.

    Returns:
        float32[B]. In float32 the error is at most 1e-5 of the largest logit, or of 1. The gradient is taken once.

    Raises:
        GraphkitError: shapes or dtypes do not go together, or a target is no row.
    """
    _require(queries, rows, targets)
    if not is_native(queries, rows):
        return reference(queries, rows, targets)
    found: tuple[Tensor, Tensor, Tensor] = cross_entropies(queries.contiguous(), rows.contiguous(), targets, rounded)
    return found[0]


def reference(queries: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
    """The plain twin that defines `cross_entropy`; holds [B, N]."""
    return F.cross_entropy(queries @ rows.T, targets, reduction="none")


@torch.library.custom_op("graphkit::cross_entropies", mutates_args=())
def cross_entropies(queries: Tensor, rows: Tensor, targets: Tensor, rounded: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Cross entropies, and what their gradients are made of.

    Args:
        queries: float32[B, D].
        rows: float32[N, D].
        targets: int64[B].
        rounded: see `cross_entropy`.

    Returns:
        float32[B] losses; float32[B] logarithms of the normalisers; [B, N] logits, or [0, 0] where they are too many.
    """
    return cross_entropies_by(_Native(), queries, rows, targets, rounded)


def cross_entropies_by(
    pieces: Pieces, queries: Tensor, rows: Tensor, targets: Tensor, rounded: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """See `cross_entropies`; on any device whose pieces are given."""
    factor = queries.to(torch.bfloat16) if rounded else queries
    most, totals = queries.new_full((len(queries),), -torch.inf), queries.new_zeros(len(queries))
    kept = factor.new_empty(0, 0)
    for chunk in _chunks(len(queries), len(rows)):
        logits = _products(factor, rows[chunk])
        pieces.add_sums(logits, most, totals)
        if chunk == slice(0, len(rows)):
            kept = logits
    normalisers = most + totals.log()
    return normalisers - (queries * rows[targets]).sum(dim=1), normalisers, kept


@cross_entropies.register_fake
def _(queries: Tensor, rows: Tensor, targets: Tensor, rounded: bool) -> tuple[Tensor, Tensor, Tensor]:
    size, columns = queries.shape[0], rows.shape[0]
    kept = (size, columns) if columns <= _columns_at_once(size) else (0, 0)
    dtype = torch.bfloat16 if rounded else queries.dtype
    return queries.new_empty(size), queries.new_empty(size), queries.new_empty(kept, dtype=dtype)


@torch.library.custom_op("graphkit::cross_entropy_gradients", mutates_args=("kept",))
def cross_entropy_gradients(
    gradient: Tensor,
    queries: Tensor,
    rows: Tensor,
    targets: Tensor,
    normalisers: Tensor,
    kept: Tensor,
    rounded: bool,
) -> tuple[Tensor, Tensor]:
    """Gradients of `cross_entropies`, float32[B, D] and [N, D], from float32[B]; writes over the kept logits."""
    return gradients_by(_Native(), gradient, queries, rows, targets, normalisers, kept, rounded)


def gradients_by(
    pieces: Pieces,
    gradient: Tensor,
    queries: Tensor,
    rows: Tensor,
    targets: Tensor,
    normalisers: Tensor,
    kept: Tensor,
    rounded: bool,
) -> tuple[Tensor, Tensor]:
    """See `cross_entropy_gradients`; on any device whose pieces are given."""
    factor = queries.to(torch.bfloat16) if rounded else queries
    # The share of the target is taken off outside of the products: next to 1, it would be rounded away.
    of_queries = rows[targets] * -gradient.unsqueeze(1)
    of_rows = buffers.empty(*rows.shape, device=rows.device)
    # What was kept is one chunk, however many logits are held at once by now.
    for chunk in [slice(0, len(rows))] if len(kept) > 0 else _chunks(len(queries), len(rows)):
        weights = kept if len(kept) > 0 else _products(factor, rows[chunk])
        pieces.weigh(weights, normalisers, gradient)
        of_queries += weights @ rows[chunk].to(factor.dtype)
        if rounded:
            of_rows[chunk] = weights.T @ factor
        else:
            torch.mm(weights.T, factor, out=of_rows[chunk])
    of_targets = queries * -gradient.unsqueeze(1)
    if rows.device.type == "cpu":
        of_rows.index_add_(0, targets, of_targets)
    else:
        # On GPUs, index_add_ adds equal targets in any order, and index_put_ sorts them.
        of_rows.index_put_((targets,), of_targets, accumulate=True)
    return of_queries, of_rows


@cross_entropy_gradients.register_fake
def _(
    gradient: Tensor,
    queries: Tensor,
    rows: Tensor,
    targets: Tensor,
    normalisers: Tensor,
    kept: Tensor,
    rounded: bool,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(queries), torch.empty_like(rows)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    queries, rows, targets, ctx.rounded = inputs
    _, normalisers, kept = output
    ctx.mark_non_differentiable(normalisers, kept)
    ctx.set_materialize_grads(False)  # else zeros are filled for what has no gradient
    ctx.save_for_backward(queries, rows, targets, normalisers, kept)


def _backward(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if gradient is None:
        return None, None, None, None
    found = cross_entropy_gradients(gradient.contiguous(), *ctx.saved_tensors, ctx.rounded)
    return *found, None, None


cross_entropies.register_autograd(_backward, setup_context=_keep)


def _columns_at_once(queries: int) -> int:
    return max(1, LOGITS_AT_ONCE // max(1, queries))


def _chunks(queries: int, rows: int) -> Iterator[slice]:
    step = _columns_at_once(queries)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _products(factor: Tensor, rows: Tensor) -> Tensor:
    """Returns [B, n] in the dtype of the factor."""
    if factor.dtype == torch.float32:
        return torch.mm(factor, rows.T, out=buffers.empty(len(factor), len(rows), device=rows.device))
    return factor @ rows.to(factor.dtype).T


def _numbers(logits: Tensor) -> Tensor:
    """Returns logits as numbers that arrays know: bfloat16 as the integers of its bits."""
    return logits.view(torch.int16) if _is_rounded(logits) else logits


def _is_rounded(logits: Tensor) -> bool:
    return logits.dtype == torch.bfloat16


def _require(queries: Tensor, rows: Tensor, targets: Tensor) -> None:
    """Makes sure that shapes and dtypes go together, and that targets are rows."""
    if queries.dim() != 2 or rows.dim() != 2 or queries.shape[1] != rows.shape[1] or queries.dtype != rows.dtype:
        raise GraphkitError(
            f"queries are {queries.dtype} of shape {tuple(queries.shape)} and rows {rows.dtype} of shape "
            f"{tuple(rows.shape)}; give [B, D] and [N, D] of the same dtype"
        )
    if targets.dtype != torch.int64 or targets.shape != queries.shape[:1]:
        raise GraphkitError(
            f"targets are {targets.dtype} of shape {tuple(targets.shape)} for {len(queries)} queries; give int64 of "
            f"shape ({len(queries)},)"
        )
    if not buffers.on_host(targets):
        return  # ids were checked on the host, and looking at them would wait for the device
    outside = targets[(targets < 0) | (targets >= len(rows))]
    if len(outside):
        raise GraphkitError(f"a target is row {outside[0]}, outside 0 to {len(rows) - 1}; give places of rows")
