"""Counts of candidates above and level with answers, on a GPU: see `graphkit.engine.kernels.rank_counts`.

Scores of pairs are counted tile by tile and never stored. They are those of `pair_scores` beside this module, bit for
bit, so that ties are exact; counts are sums of integers, and do not depend on the order in which blocks run.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphkit.engine.cuda.launcher import Extent, Launcher
from graphkit.engine.cuda.pair_scores import DTYPES, MOST_BLOCKS, OF_THREAD, blocks_of, coordinates, tile_block

FILE = "rank_counts"

#: Warps of a block that counts given scores, and the scores that each has of a query at a time.
_WARPS = 8
_SCORES_OF_WARP = 64


def score_counts(
    launcher: Launcher,
    candidates: Tensor,
    scores: Tensor,
    offsets: Tensor,
    known: Tensor,
    known_offsets: Tensor,
    first: int,
) -> tuple[Tensor, Tensor]:
    """Counts the unknown candidates that score above, and level with, each answer.

    Args:
        launcher: starts the kernels.
        candidates: float32[V, n], scores of entities `first` to ``first + n``.
        scores: float32[A], those of answers, ascending within a query.
        offsets: int64[V + 1], where the answers of a query begin.
        known: int64[F], entities that do not compete with a query's answers, ascending within it.
        known_offsets: int64[V + 1].
        first: the entity of the first column.

    Returns:
        int64[2, A], counts above and level; bool[V], whether a query has a score that is NaN, of a known entity or not.
    """
    candidates = candidates.contiguous()
    queries, width = candidates.shape
    count = _Count(queries, scores, offsets, known, known_offsets, first)
    if candidates.numel():
        blocks = blocks_of(queries * blocks_of(width, _SCORES_OF_WARP), _WARPS)
        count.launch(launcher, "rank_counts_given_f32", blocks, (32 * _WARPS, 1, 1), (candidates, queries, width))
    return count.result()


def pair_counts(
    launcher: Launcher,
    queries: Tensor,
    rows: Tensor,
    scores: Tensor,
    offsets: Tensor,
    known: Tensor,
    known_offsets: Tensor,
    first: int,
    kind: str,
    offset: float,
    inside: float,
) -> tuple[Tensor, Tensor]:
    """Counts as `score_counts` does, of candidates that score ``offset - pair_scores(kind, queries, rows)``.

    Args:
        launcher: starts the kernels.
        queries: float32[V, W].
        rows: float32[n, D] or bfloat16[n, D], those of entities `first` to ``first + n``.
        scores: as `score_counts`.
        offsets: as there.
        known: as there.
        known_offsets: as there.
        first: the entity of the first row.
        kind: see `graphkit.engine.kernels.pair_scores`.
        offset: what distances are taken from.
        inside: see `graphkit.engine.kernels.pair_scores`.

    Returns:
        As `score_counts`.
    """
    queries, rows = queries.contiguous(), rows.contiguous()
    count = _Count(len(queries), scores, offsets, known, known_offsets, first)
    if len(queries) and len(rows):
        block = tile_block(len(queries), len(rows))
        blocks = blocks_of(len(queries), OF_THREAD * block[1]) * blocks_of(len(rows), OF_THREAD * block[0])
        arguments = (queries, rows, len(queries), len(rows), coordinates(kind, rows), inside, offset)
        count.launch(launcher, f"rank_counts_pairs_{kind}_{DTYPES[rows.dtype]}", blocks, block, arguments)
    return count.result()


class _Count:
    """Counts of a launch: those of queries with few answers directly, those of others in buckets between answers."""

    def __init__(
        self, queries: int, scores: Tensor, offsets: Tensor, known: Tensor, known_offsets: Tensor, first: int
    ) -> None:
        self._queries, self._answers = queries, len(scores)
        self._scores, self._offsets = scores.contiguous(), offsets.contiguous()
        self._known, self._known_offsets, self._first = known.contiguous(), known_offsets.contiguous(), first
        self._counts = torch.zeros(2, self._answers, dtype=torch.int64, device=scores.device)
        # Queries with a answers have 2 a + 1 buckets.
        self._buckets = torch.zeros(2 * self._answers + queries, dtype=torch.int64, device=scores.device)
        self._wrong = torch.zeros(queries, dtype=torch.int32, device=scores.device)

    def launch(
        self, launcher: Launcher, kernel: str, blocks: int, block: Extent, arguments: Sequence[Tensor | int | float]
    ) -> None:
        of_answers = (self._scores, self._offsets, self._known, self._known_offsets, self._answers, self._first)
        of_counts = (self._counts, self._buckets, self._wrong)
        grid = (min(blocks, MOST_BLOCKS), 1, 1)
        launcher.launch(FILE, kernel, grid, block, (*arguments, *of_answers, *of_counts))

    def result(self) -> tuple[Tensor, Tensor]:
        """Returns int64[2, A] counts and bool[V]; the buckets are added up into counts."""
        if self._answers:
            numbers = torch.arange(self._answers, device=self._scores.device)
            query = torch.searchsorted(self._offsets, numbers, right=True) - 1
            # Buckets up to each, and up to the end of each query.
            below = torch.cat([self._buckets.new_zeros(1), self._buckets.cumsum(0)])
            ends = 2 * self._offsets[1:] + torch.arange(1, self._queries + 1, device=self._scores.device)
            self._counts[0] += below[ends[query]] - below[2 * numbers + query + 2]
            self._counts[1] += self._buckets[2 * self._first_equals(numbers, query) + query + 1]
        return self._counts, self._wrong.bool()

    def _first_equals(self, numbers: Tensor, query: Tensor) -> Tensor:
        """Returns, for each answer, the first of its query with the same score."""
        differs = torch.ones_like(numbers, dtype=torch.bool)
        differs[1:] = (self._scores[1:] != self._scores[:-1]) | (query[1:] != query[:-1])
        return torch.where(differs, numbers, 0).cummax(0).values
