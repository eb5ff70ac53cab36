"""Scores of pairs of a query and a candidate, without ever holding [V, K, D].

Either each query has candidates of its own, named by their places among the rows, or all rows are candidates of every
query. The kinds, for a query q and a row e:

``dot``
    q · e (ComplEx, DistMult).
``l1``, ``l2``
    the norm of e - q (TransE, GQE).
``rotate``
    the sum of the moduli of e - q, whose first half are real parts and second half imaginary ones (RotatE).
``box``
    Σ max(δ - o, 0) + inside · abs(min(δ, o)) with δ = abs(e - c), for a query of centre c, then half width o
    (Query2box).
``centred``
    q · (e - c), for a query of q, then c: as a dot product that is taken from a reference, exact where rows lie close
    together (BetaE).

Gradients at ties: 0 for a coordinate, a modulus or a distance that is 0; δ = o counts as inside.

float32 on the CPU is computed natively, on as many threads as torch uses, and on a GPU by the kernels of
`cuda/pair_scores.cu`; no result depends on how many threads there are, and a pair has the same score, bit for bit,
wherever it stands and whether candidates are shared. CPU and GPU differ by rounding. Dot products with shared
candidates are torch's matrix product. Everything else (float64, other devices) is computed by the twin, `reference`.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from graphkit import _native
from graphkit.engine import buffers
from graphkit.engine.kernels.dispatch import is_native
from graphkit.errors import GraphkitError

Kind = Literal["dot", "l1", "l2", "rotate", "box", "centred"]

#: Numbers of the kinds in the native code.
NUMBERS = {kind: number for number, kind in enumerate(get_args(Kind))}

#: Pairs of own candidates that are scored at once: their order is kept as int32.
MAX_PAIRS = 2**31 - 1


def pair_scores(
    kind: Kind, queries: Tensor, rows: Tensor, places: Tensor | None = None, *, inside: float = 0.0
) -> Tensor:
    """Scores pairs of queries and candidates; distances are positive, the larger the farther.

    Args:
        kind: what is computed; see above.
        queries: float32[V, W], W = 2 D for ``box`` and ``centred``, otherwise D.
        rows: float32[U, D], the candidates; D is even for ``rotate``.
        places: int64[V, K], the rows that each query is compared with; None = all.
        inside: weight of the distance within a box.

    Returns:
        float32[V, K], or [V, U]. In float32 the error of a score is at most 1e-5 of the sum of its terms' sizes. A
        modulus of ``rotate`` that is infinite, or whose square is, is NaN on processors with AVX-512.

    Raises:
        GraphkitError: shapes or dtypes do not go together, a place is no row, or there are 2**31 pairs or more of
            queries and places.
    """
    require_pairs(kind, queries, rows, places)
    if not is_native(queries, rows) or (kind == "dot" and places is None):
        return reference(kind, queries, rows, places, inside=inside)
    queries, rows = queries.contiguous(), rows.contiguous()
    if places is None:
        shared: Tensor = shared_scores(queries, rows, kind, inside)
        return shared
    own: tuple[Tensor, Tensor, Tensor] = own_scores(queries, rows, places.contiguous(), kind, inside)
    return own[0]


def reference(
    kind: Kind, queries: Tensor, rows: Tensor, places: Tensor | None = None, *, inside: float = 0.0
) -> Tensor:
    """The plain twin that defines `pair_scores`; any floating dtype; holds [V, K, D]."""
    if kind == "dot" and places is None:
        products: Tensor = queries @ rows.T
        return products
    candidates = rows.unsqueeze(0) if places is None else rows[places]
    if kind == "dot":
        return torch.bmm(candidates, queries.unsqueeze(2)).squeeze(2)
    if kind == "box":
        centres, widths = queries.unsqueeze(1).chunk(2, dim=2)
        offsets = (candidates - centres).abs()
        within = torch.where(offsets > widths, widths, offsets)
        return ((offsets - widths).relu() + inside * within.abs()).sum(dim=2)
    if kind == "centred":
        factors, centres = queries.unsqueeze(1).chunk(2, dim=2)
        return (factors * (candidates - centres)).sum(dim=2)
    differences = candidates - queries.unsqueeze(1)
    if kind == "rotate":
        moduli: Tensor = torch.linalg.vector_norm(torch.stack(differences.chunk(2, dim=2)), dim=0)
        return moduli.sum(dim=2)
    distances: Tensor = torch.linalg.vector_norm(differences, ord=1 if kind == "l1" else 2, dim=2)
    return distances


@torch.library.custom_op("graphkit::own_scores", mutates_args=())
def own_scores(
    queries: Tensor, rows: Tensor, places: Tensor, kind: str, inside: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of own candidates, and the order that the gradient goes through them in.

    Args:
        queries: float32[V, W].
        rows: float32[U, D].
        places: int64[V, K].
        kind: see `pair_scores`.
        inside: as there.

    Returns:
        float32[V, K] scores; int32[V K] pairs in the order of their rows; int64[U + 1], where those of a row begin.
    """
    if places.numel() > MAX_PAIRS:
        raise GraphkitError(too_many_pairs(*places.shape))
    order = torch.empty(places.numel(), dtype=torch.int32)
    offsets = torch.empty(len(rows) + 1, dtype=torch.int64)
    wrong = _native.group_pairs(places.reshape(-1), order, offsets)
    if wrong >= 0:
        raise GraphkitError(wrong_place(places, wrong, len(rows)))
    scores = queries.new_empty(places.shape)
    _native.own_scores(NUMBERS[kind], queries, rows, order, offsets, inside, scores, torch.get_num_threads())
    return scores, order, offsets


@own_scores.register_fake
def _(queries: Tensor, rows: Tensor, places: Tensor, kind: str, inside: float) -> tuple[Tensor, Tensor, Tensor]:
    order = places.new_empty(places.numel(), dtype=torch.int32)
    return queries.new_empty(places.shape), order, places.new_empty(rows.shape[0] + 1)


@torch.library.custom_op("graphkit::own_gradients", mutates_args=())
def own_gradients(
    weights: Tensor, queries: Tensor, rows: Tensor, order: Tensor, offsets: Tensor, kind: str, inside: float
) -> tuple[Tensor, Tensor]:
    """Gradients of `own_scores`, float32[V, W] and [U, D], from float32[V, K] (`l2`: divided by the distance)."""
    of_queries, of_rows = buffers.empty(*queries.shape), buffers.empty(*rows.shape)
    _native.own_gradients(
        NUMBERS[kind],
        queries,
        rows,
        order,
        offsets,
        inside,
        weights,
        of_queries,
        of_rows,
        torch.get_num_threads(),
    )
    return of_queries, of_rows


@own_gradients.register_fake
def _(
    weights: Tensor, queries: Tensor, rows: Tensor, order: Tensor, offsets: Tensor, kind: str, inside: float
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(queries), torch.empty_like(rows)


@torch.library.custom_op("graphkit::shared_scores", mutates_args=())
def shared_scores(queries: Tensor, rows: Tensor, kind: str, inside: float) -> Tensor:
    """Scores float32[V, U] of all pairs of queries [V, W] and rows [U, D]; see `pair_scores`."""
    scores = queries.new_empty(len(queries), len(rows))
    _native.shared_scores(NUMBERS[kind], queries, rows, inside, scores, torch.get_num_threads())
    return scores


@shared_scores.register_fake
def _(queries: Tensor, rows: Tensor, kind: str, inside: float) -> Tensor:
    return queries.new_empty(queries.shape[0], rows.shape[0])


@torch.library.custom_op("graphkit::shared_gradients", mutates_args=())
def shared_gradients(weights: Tensor, queries: Tensor, rows: Tensor, kind: str, inside: float) -> tuple[Tensor, Tensor]:
    """Gradients of `shared_scores`, float32[V, W] and [U, D], from float32[V, U] (`l2`: divided by the distance)."""
    of_queries, of_rows = buffers.empty(*queries.shape), buffers.empty(*rows.shape)
    _native.shared_gradients(
        NUMBERS[kind], queries, rows, inside, weights, of_queries, of_rows, torch.get_num_threads()
    )
    return of_queries, of_rows


@shared_gradients.register_fake
def _(weights: Tensor, queries: Tensor, rows: Tensor, kind: str, inside: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(queries), torch.empty_like(rows)


def _weights(kind: str, gradient: Tensor, scores: Tensor) -> Tensor:
    """Returns what the native gradients take: that of l2 is divided by the distance, and 0 where that is 0."""
    if kind == "l2":
        gradient = torch.where(scores > 0, gradient / scores, 0.0)
    return gradient.contiguous()


def _keep_own(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    queries, rows, _, ctx.kind, ctx.inside = inputs
    ctx.save_for_backward(queries, rows, *output)


def _own_backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    queries, rows, scores, order, offsets = ctx.saved_tensors
    weights = _weights(ctx.kind, gradient, scores)
    return *own_gradients(weights, queries, rows, order, offsets, ctx.kind, ctx.inside), None, None, None


def _keep_shared(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    queries, rows, ctx.kind, ctx.inside = inputs
    ctx.save_for_backward(queries, rows, output)


def _shared_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    queries, rows, scores = ctx.saved_tensors
    return *shared_gradients(_weights(ctx.kind, gradient, scores), queries, rows, ctx.kind, ctx.inside), None, None


own_scores.register_autograd(_own_backward, setup_context=_keep_own)
shared_scores.register_autograd(_shared_backward, setup_context=_keep_shared)


def require_pairs(kind: Kind, queries: Tensor, rows: Tensor, places: Tensor | None) -> None:
    """Makes sure that shapes and dtypes go together."""
    if kind not in NUMBERS:
        raise GraphkitError(f"pairs have no score of kind {kind!r}; choose one of {', '.join(NUMBERS)}")
    if queries.dim() != 2 or rows.dim() != 2:
        raise GraphkitError(
            f"queries have shape {tuple(queries.shape)} and rows {tuple(rows.shape)}; both need two dimensions, "
            "[V, W] and [U, D]"
        )
    width = rows.shape[1] * (2 if kind in ("box", "centred") else 1)
    if queries.shape[1] != width:
        raise GraphkitError(
            f"queries have width {queries.shape[1]} and rows {rows.shape[1]}, and scores of kind {kind} need queries "
            f"of width {width}"
        )
    if kind == "rotate" and width % 2:
        raise GraphkitError(f"rows have width {width}, and scores of kind rotate need an even one; give {width + 1}")
    if queries.dtype != rows.dtype:
        raise GraphkitError(f"queries are {queries.dtype} and rows {rows.dtype}; give both the same dtype")
    if places is not None and (places.dim() != 2 or len(places) != len(queries) or places.dtype != torch.int64):
        raise GraphkitError(
            f"places are {places.dtype} of shape {tuple(places.shape)} for {len(queries)} queries; give int64 of shape "
            f"({len(queries)}, K)"
        )


def too_many_pairs(queries: int, candidates: int) -> str:
    """Says that there are more pairs than an order in int32 can name."""
    return (
        f"{queries} queries have {candidates} candidates each, {queries * candidates} pairs, and at most {MAX_PAIRS} "
        "are scored at once; give fewer queries"
    )


def wrong_place(places: Tensor, pair: int, num_rows: int) -> str:
    """Says that the place of a pair is none of a row."""
    query, candidate = divmod(pair, places.shape[1])
    return (
        f"candidate {candidate} of query {query} is row {places[query, candidate]}, and the {num_rows} rows have "
        f"places 0 to {num_rows - 1}; give places of rows"
    )
