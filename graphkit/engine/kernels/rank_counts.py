"""Counts of candidates that score above, and level with, answers: what filtered ranks are made of.

Scores are given, or are those of pairs, which are then counted as they arise and never stored. float32 on the CPU is
counted natively, on as many threads as torch uses, and on a GPU by the kernels of `cuda/rank_counts.cu`; everything
else by the twins, `reference_counts` and `pair_scores.reference`. Counts are exact: a pair is counted by the score that
`PairDistance.scores` gives it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit import _native
from graphkit.engine.kernels.dispatch import is_native
from graphkit.engine.kernels.pair_scores import NUMBERS, Kind, pair_scores, require_pairs
from graphkit.errors import GraphkitError


@dataclass(frozen=True)
class PairDistance:
    """Scores that are ``offset - distance``, of a kind of `pair_scores`; larger is better."""

    kind: Kind
    offset: float
    #: weight of the distance within a box
    inside: float = 0.0

    def scores(self, queries: Tensor, rows: Tensor, places: Tensor | None = None) -> Tensor:
        """Returns float32[V, U] or, of candidates at int64[V, K] `places`, [V, K]; see `pair_scores`."""
        return self.offset - pair_scores(self.kind, queries, rows, places, inside=self.inside)


@dataclass(frozen=True)
class Answers:
    """Scores of answers to V queries, and the entities that do not compete with them."""

    #: float[A], ascending within a query
    scores: Tensor
    #: int64[V + 1]; the answers of query i are ``scores[offsets[i]:offsets[i + 1]]``
    offsets: Tensor
    #: int64[F], ascending within a query
    known: Tensor
    #: int64[V + 1]
    known_offsets: Tensor


def count_scores(candidates: Tensor, answers: Answers, *, first: int) -> tuple[Tensor, Tensor]:
    """Counts the unknown candidates that score above, and level with, each answer.

    Args:
        candidates: float[V, n], scores of entities `first` to ``first + n``.
        answers: of the same dtype.
        first: the entity of the first column.

    Returns:
        int64[2, A], counts above and level; bool[V], whether a query has a score that is NaN, of a known entity or not.

    Raises:
        GraphkitError: shapes or dtypes do not go together.
    """
    if candidates.dim() != 2:
        raise GraphkitError(f"candidates have shape {tuple(candidates.shape)}; they need two dimensions, [V, n]")
    parts = _parts(answers, candidates)
    if not is_native(candidates, answers.scores):
        return reference_counts(candidates, *parts, first)
    found: tuple[Tensor, Tensor] = score_counts(candidates.contiguous(), *parts, first)
    return found


def count_pairs(
    distance: PairDistance, queries: Tensor, rows: Tensor, answers: Answers, *, first: int
) -> tuple[Tensor, Tensor]:
    """Counts as `count_scores` does, among all pairs of queries and rows; holds no scores of float32 on the CPU.

    Args:
        distance: what the scores are.
        queries: float32[V, W]; see `pair_scores`.
        rows: float32[n, D], entities `first` to ``first + n``.
        answers: of the V queries.
        first: the entity of the first row.

    Returns:
        As `count_scores`.

    Raises:
        GraphkitError: as `count_scores` and `pair_scores` do.
    """
    require_pairs(distance.kind, queries, rows, None)
    parts = _parts(answers, queries)
    if not is_native(queries, rows):
        return reference_counts(distance.scores(queries, rows), *parts, first)
    kind, offset, inside = distance.kind, distance.offset, distance.inside
    found: tuple[Tensor, Tensor] = pair_counts(
        queries.contiguous(), rows.contiguous(), *parts, first, kind, offset, inside
    )
    return found


def reference_counts(
    candidates: Tensor, scores: Tensor, offsets: Tensor, known: Tensor, known_offsets: Tensor, first: int
) -> tuple[Tensor, Tensor]:
    """The plain twin that defines `count_scores`; any floating dtype."""
    counts = torch.zeros(2, len(scores), dtype=torch.int64, device=scores.device)
    for query, row in enumerate(candidates):
        out = known[known_offsets[query] : known_offsets[query + 1]] - first
        competes = torch.ones(len(row), dtype=torch.bool, device=row.device)
        competes[out[(out >= 0) & (out < len(row))]] = False
        for answer in range(int(offsets[query]), int(offsets[query + 1])):
            counts[0, answer] = ((row > scores[answer]) & competes).sum()
            counts[1, answer] = ((row == scores[answer]) & competes).sum()
    return counts, candidates.isnan().any(dim=1)


@torch.library.custom_op("graphkit::score_counts", mutates_args=())
def score_counts(
    candidates: Tensor, scores: Tensor, offsets: Tensor, known: Tensor, known_offsets: Tensor, first: int
) -> tuple[Tensor, Tensor]:
    """What `count_scores` returns of float32[V, n] candidates and the parts of `Answers`."""
    counts, wrong = _empty_counts(candidates, scores)
    counts.zero_()
    threads = torch.get_num_threads()
    _native.count_scores(candidates, scores, offsets, known, known_offsets, first, counts, wrong, threads)
    return counts, wrong


@score_counts.register_fake
def _(
    candidates: Tensor, scores: Tensor, offsets: Tensor, known: Tensor, known_offsets: Tensor, first: int
) -> tuple[Tensor, Tensor]:
    return _empty_counts(candidates, scores)


@torch.library.custom_op("graphkit::pair_counts", mutates_args=())
def pair_counts(
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
    """What `count_pairs` returns of float32[V, W] queries, float32[n, D] rows and the parts of `Answers`."""
    counts, wrong = _empty_counts(queries, scores)
    counts.zero_()
    _native.count_pairs(
        NUMBERS[kind],
        queries,
        rows,
        inside,
        offset,
        scores,
        offsets,
        known,
        known_offsets,
        first,
        counts,
        wrong,
        torch.get_num_threads(),
    )
    return counts, wrong


@pair_counts.register_fake
def _(
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
    return _empty_counts(queries, scores)


def _parts(answers: Answers, queries: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Makes sure that answers are those of V queries, of their dtype; returns scores and ids, each with its offsets."""
    scores = answers.scores
    if scores.dim() != 1 or scores.dtype != queries.dtype:
        raise GraphkitError(
            f"scores of answers are {scores.dtype} of shape {tuple(scores.shape)}, and those of candidates are "
            f"{queries.dtype}; give {queries.dtype} of shape (A,)"
        )
    if answers.known.dim() != 1 or answers.known.dtype != torch.int64:
        raise GraphkitError(
            f"known entities are {answers.known.dtype} of shape {tuple(answers.known.shape)}; give int64 of shape (F,)"
        )
    _require_offsets("answers", answers.offsets, len(queries), len(scores))
    _require_offsets("known entities", answers.known_offsets, len(queries), len(answers.known))
    return (
        scores.contiguous(),
        answers.offsets.contiguous(),
        answers.known.contiguous(),
        answers.known_offsets.contiguous(),
    )


def _require_offsets(name: str, offsets: Tensor, queries: int, size: int) -> None:
    """Makes sure that offsets say which of `size` values belong to each query."""
    if tuple(offsets.shape) != (queries + 1,) or offsets.dtype != torch.int64:
        raise GraphkitError(
            f"offsets of {name} are {offsets.dtype} of shape {tuple(offsets.shape)} for {queries} queries; give int64 "
            f"of shape ({queries + 1},)"
        )
    if offsets[0] != 0 or offsets[-1] != size or (offsets.diff() < 0).any():
        raise GraphkitError(
            f"offsets of {name} go from {offsets[0]} to {offsets[-1]}, and there are {size}; give offsets that ascend "
            f"from 0 to {size}"
        )


def _empty_counts(queries: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    counts = scores.new_empty((2, scores.shape[0]), dtype=torch.int64)
    return counts, queries.new_empty(queries.shape[0], dtype=torch.bool)
