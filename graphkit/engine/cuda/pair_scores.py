"""Pair scores on a GPU: what `graphkit.engine.kernels.pair_scores` computes natively on the CPU.

Queries, gradients and scores are float32; rows are float32 or, read as such, bfloat16. No result of a kernel depends on
the order in which blocks run; torch adds up some of them. So results are expected to repeat bit for bit on one GPU and
version of torch. A pair has the same score, bit for bit, wherever it stands and whether candidates are shared; it may
differ from the CPU's by rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphkit.engine.cuda.launcher import Extent, Launcher
from graphkit.engine.kernels.pair_scores import MAX_PAIRS, too_many_pairs, wrong_place
from graphkit.errors import GraphkitError

FILE = "pair_scores"

#: Queries or rows that a thread of a tile has: `kOfThread`.
OF_THREAD = 4

#: Blocks that keep a GPU busy: two for each multiprocessor of large ones today (132 to 148), or nearly so.
ENOUGH_BLOCKS = 288

#: The most blocks of a grid; kernels go on with what is left.
MOST_BLOCKS = 2**31 - 1

_PAIRS_OF_WARP = 32
_SCORING_WARPS = 4

#: Threads of a block that adds up own gradients.
_GRADIENT_THREADS = 128

#: The fewest others that a part of a shared gradient adds up.
_LEAST_OF_PART = 64

#: Names of dtypes of rows in names of kernels.
DTYPES = {torch.float32: "f32", torch.bfloat16: "bf16"}


def own_scores(
    launcher: Launcher, queries: Tensor, rows: Tensor, places: Tensor, kind: str, inside: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of own candidates, and the order that the gradient goes through them in.

    Waits for the device once, to see whether all places are rows: they come from models, and not as the feed resolved
    them.

    Args:
        launcher: starts the kernels.
        queries: float32[V, W].
        rows: float32[U, D] or bfloat16[U, D].
        places: int64[V, K].
        kind: see `graphkit.engine.kernels.pair_scores`.
        inside: as there.

    Returns:
        float32[V, K] scores; int32[V K] pairs in the order of their rows; int64[U + 1], where those of a row begin.

    Raises:
        GraphkitError: a place is no row, or there are 2**31 pairs or more.
    """
    if places.numel() > MAX_PAIRS:
        raise GraphkitError(too_many_pairs(*places.shape))
    order, offsets = _grouped(places, len(rows))
    queries, rows, places = queries.contiguous(), rows.contiguous(), places.contiguous()
    scores = queries.new_empty(places.shape)
    if scores.numel():
        arguments = (queries, rows, places, *places.shape, coordinates(kind, rows), inside, scores)
        blocks = blocks_of(scores.numel(), _PAIRS_OF_WARP * _SCORING_WARPS)
        _launch(launcher, "own_scores", kind, rows, blocks, (32 * _SCORING_WARPS, 1, 1), arguments)
    return scores, order, offsets


def own_gradients(
    launcher: Launcher,
    weights: Tensor,
    queries: Tensor,
    rows: Tensor,
    order: Tensor,
    offsets: Tensor,
    kind: str,
    inside: float,
) -> tuple[Tensor, Tensor]:
    """Gradients of `own_scores`, float32[V, W] and [U, D], from float32[V, K] (`l2`: divided by the distance)."""
    n = coordinates(kind, rows)
    queries, rows, weights = queries.contiguous(), rows.contiguous(), weights.contiguous()
    of_queries, of_rows = torch.zeros_like(queries), torch.zeros_like(rows, dtype=torch.float32)
    if weights.numel() and n:
        places = _places(order, offsets)
        block = gradient_block(n)
        by_query = (weights, queries, rows, places, *weights.shape, n, inside, of_queries)
        _launch(launcher, "own_query_gradients", kind, rows, blocks_of(len(queries), block[1]), block, by_query)
        by_row = (weights, queries, rows, order, offsets, len(rows), weights.shape[1], n, inside, of_rows)
        _launch(launcher, "own_row_gradients", kind, rows, blocks_of(len(rows), block[1]), block, by_row)
    return of_queries, of_rows


def shared_scores(launcher: Launcher, queries: Tensor, rows: Tensor, kind: str, inside: float) -> Tensor:
    """Scores float32[V, U] of all pairs of queries [V, W] and rows [U, D], of any kind but ``dot``."""
    queries, rows = queries.contiguous(), rows.contiguous()
    scores = queries.new_empty(len(queries), len(rows))
    if scores.numel():
        block = tile_block(len(queries), len(rows))
        blocks = blocks_of(len(queries), OF_THREAD * block[1]) * blocks_of(len(rows), OF_THREAD * block[0])
        arguments = (queries, rows, len(queries), len(rows), coordinates(kind, rows), inside, scores)
        _launch(launcher, "shared_scores", kind, rows, blocks, block, arguments)
    return scores


def shared_gradients(
    launcher: Launcher, weights: Tensor, queries: Tensor, rows: Tensor, kind: str, inside: float
) -> tuple[Tensor, Tensor]:
    """Gradients of `shared_scores`, float32[V, W] and [U, D], from float32[V, U] (`l2`: divided by the distance)."""
    queries, rows, weights = queries.contiguous(), rows.contiguous(), weights.contiguous()
    of_queries, of_rows = torch.zeros_like(queries), torch.zeros_like(rows, dtype=torch.float32)
    n = coordinates(kind, rows)
    if weights.numel() and n:
        for name, sums, others in (("query", of_queries, len(rows)), ("row", of_rows, len(queries))):
            block = tile_block(len(sums), n)
            tiles = blocks_of(len(sums), OF_THREAD * block[1]) * blocks_of(n, OF_THREAD * block[0])
            parts = parts_of(others, tiles)
            # The sums of parts are added up by torch: expected to repeat bit for bit on one GPU and version.
            found = sums if parts == 1 else sums.new_empty(parts, *sums.shape)
            arguments = (weights, queries, rows, len(queries), len(rows), n, inside, parts, found)
            _launch(launcher, f"shared_{name}_gradients", kind, rows, tiles * parts, block, arguments)
            if parts > 1:
                torch.sum(found, dim=0, out=sums)
    return of_queries, of_rows


def coordinates(kind: str, rows: Tensor) -> int:
    """Returns how many coordinates a row has: complex ones for ``rotate``."""
    return rows.shape[1] // 2 if kind == "rotate" else rows.shape[1]


def blocks_of(size: int, each: int) -> int:
    """Returns how many blocks have `size` items, `each` a block."""
    return -(-size // each)


def tile_block(down: int, across: int) -> Extent:
    """Returns the block of a tile: 64 by 64 where there are enough of these, else 32 by 32."""
    large = blocks_of(down, 16 * OF_THREAD) * blocks_of(across, 16 * OF_THREAD)
    side = 16 if large >= ENOUGH_BLOCKS else 8
    return side, side, 1


def gradient_block(n: int) -> Extent:
    """Returns the block of own gradients: as many threads an item as have four coordinates each, up to all."""
    threads = 1
    while threads < min(blocks_of(n, 4), _GRADIENT_THREADS):
        threads *= 2
    return threads, _GRADIENT_THREADS // threads, 1


def parts_of(others: int, tiles: int) -> int:
    """Returns into how many parts the others of a shared gradient are divided, so that there are enough blocks."""
    return max(1, min(ENOUGH_BLOCKS // tiles, others // _LEAST_OF_PART))


def _launch(
    launcher: Launcher,
    operation: str,
    kind: str,
    rows: Tensor,
    blocks: int,
    block: Extent,
    arguments: Sequence[Tensor | int | float],
) -> None:
    kernel = f"pair_scores_{operation}_{kind}_{DTYPES[rows.dtype]}"
    launcher.launch(FILE, kernel, (min(blocks, MOST_BLOCKS), 1, 1), block, arguments)


def _grouped(places: Tensor, num_rows: int) -> tuple[Tensor, Tensor]:
    """Returns pairs in the order of their rows, equal rows in that of the pairs, and where those of a row begin."""
    flat = places.reshape(-1)
    ascending, order = flat.sort(stable=True)
    if len(flat):
        least, most = ascending[[0, -1]].tolist()
        if least < 0 or most >= num_rows:
            wrong = int(((flat < 0) | (flat >= num_rows)).nonzero()[0])
            raise GraphkitError(wrong_place(places, wrong, num_rows))
    offsets = torch.searchsorted(ascending, torch.arange(num_rows + 1, device=places.device))
    return order.to(torch.int32), offsets


def _places(order: Tensor, offsets: Tensor) -> Tensor:
    """Returns int64[pairs], the row of each pair: what `_grouped` was given."""
    rows = torch.arange(len(offsets) - 1, device=order.device)
    places = torch.empty(len(order), dtype=torch.int64, device=order.device)
    places[order.long()] = torch.repeat_interleave(rows, offsets.diff(), output_size=len(order))
    return places
