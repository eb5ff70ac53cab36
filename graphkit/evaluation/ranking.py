"""Filtered ranks, streamed over chunks of entities: the one ranking function of trainer, command line and library.

The rank of an answer among the entities that are no answer is 1 + #better + #equal / 2 (mean rank of ties); the
optimistic rank leaves the ties out and the pessimistic one counts them all. Where every other entity is an answer too
there is no competitor, and the rank is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphkit.errors import GraphkitError
from graphkit.queries import AnswerSets

Ids = NDArray[np.int64]
Floats = NDArray[np.floating]

#: Scores held at once: a block of queries times a chunk of entities. Those of 32 MiB and more go back to the system as
#: soon as they are freed; glibc keeps smaller ones, whose fragments added up to a GiB over 20,000 queries.
SCORES_AT_ONCE = 16 * 2**20

#: Queries that share a pass over the entities of a large graph, enough for a matrix product at full speed.
QUERIES_AT_ONCE = 128

#: Answers of a query up to which a comparison with all scores for each is faster than sorting the scores (14,505
#: entities on one core of a Xeon: 7 µs an answer, 250 µs to sort).
_FEW_ANSWERS = 32

#: Scores int64[Q] queries against entities start to stop: float[Q, stop - start].
Scorer = Callable[[Tensor, int, int], Tensor]


@dataclass(frozen=True)
class Ranks:
    """Ranks of A answers, in the order of their sets."""

    #: float64[A], 1 + better + equal / 2
    mean: Tensor
    #: int64[A], 1 + better
    optimistic: Tensor
    #: int64[A], 1 + better + equal
    pessimistic: Tensor
    #: int64[A], the query that each answer belongs to
    query: Tensor


def filtered_ranks(
    scorer: Scorer,
    num_entities: int,
    ranked: AnswerSets,
    known: AnswerSets,
    *,
    scores_at_once: int = SCORES_AT_ONCE,
    queries_at_once: int = QUERIES_AT_ONCE,
    describe: Callable[[int], str] = "query {}".format,
) -> Ranks:
    """Ranks each answer among all entities that are no answer of its query.

    Memory is bounded by `scores_at_once` whatever the number of entities. When the entities of a block of queries do
    not fit into one chunk they are scored twice: once for the answers, once to count; both passes score the same
    chunks, so that an answer never differs from itself.

    Args:
        scorer: scores queries 0 to Q-1 against a range of entities.
        num_entities: N.
        ranked: the answers to rank, a set a query.
        known: entities of each query that are filtered out: none of them counts as a competitor, and an answer never
            competes with itself, whether it is in its set or not.
        scores_at_once: bound on queries x entities that are held.
        queries_at_once: queries that share a pass over the entities, where these do not fit into one chunk.
        describe: names a query in errors.

    Raises:
        GraphkitError: a score is NaN.
    """
    if len(ranked) != len(known):
        raise GraphkitError(f"{len(ranked)} sets of answers to rank were given, and {len(known)} of known answers")
    chunk = min(num_entities, max(1, scores_at_once // queries_at_once))
    per_block = max(1, scores_at_once // chunk)
    counts = np.zeros((2, len(ranked.values)), dtype=np.int64)
    for start in range(0, len(ranked), per_block):
        stop = min(start + per_block, len(ranked))
        scores = Chunks(scorer, start, stop, num_entities, chunk, describe)
        counts[:, ranked.offsets[start] : ranked.offsets[stop]] = _rank_block(scores, ranked, known)
    better, equal = torch.from_numpy(counts)
    query, _ = ranked.block(0, len(ranked))
    return Ranks(1 + better + equal.double() / 2, 1 + better, 1 + better + equal, torch.from_numpy(query))


def _rank_block(chunks: Chunks, ranked: AnswerSets, known: AnswerSets) -> tuple[Ids, Ids]:
    """Returns better and equal counts of the answers of a block of queries."""
    start, stop, num_entities = chunks.start, chunks.stop, chunks.num_entities
    query, entity = ranked.block(start, stop)
    own = np.empty(len(entity))
    order = _ByEntity(entity)
    for first, scores in chunks:
        places = order.within(first, scores.shape[1])
        own[places] = scores[query[places], entity[places] - first]
    better, equal = np.zeros(len(entity), dtype=np.int64), np.zeros(len(entity), dtype=np.int64)
    ends = ranked.offsets[start : stop + 1] - ranked.offsets[start]
    for first, scores in chunks:
        for i in np.flatnonzero(np.diff(ends)).tolist():
            row, some = scores[i].copy(), slice(ends[i], ends[i + 1])
            out = known[start + i]
            row[out[slice(*np.searchsorted(out, [first, first + len(row)]))] - first] = -np.inf
            above, level = _count(row, own[some].astype(row.dtype))
            better[some] += above
            equal[some] += level
    # Known answers now lie below all others, but level with an answer whose own score is -inf.
    equal -= np.where(np.isneginf(own), known.sizes[start:stop][query], 0)
    known_query, known_entity = known.block(start, stop)
    itself = ~np.isin(query * num_entities + entity, known_query * num_entities + known_entity)
    return better, equal - itself


def _count(row: Floats, own: Floats) -> tuple[Ids, Ids]:
    """Returns how many of the scores in `row` are above, and how many level with, each of a query's answers."""
    if len(own) > _FEW_ANSWERS:
        ascending = np.sort(row)
        up_to = np.searchsorted(ascending, own, side="right")
        return len(row) - up_to, up_to - np.searchsorted(ascending, own, side="left")
    above = [np.count_nonzero(row > score) for score in own]
    level = [np.count_nonzero(row == score) for score in own]
    return np.array(above, dtype=np.int64), np.array(level, dtype=np.int64)


class Chunks:
    """The scores of queries `start` to `stop`, chunk by chunk; a single chunk is scored once and kept.

    Iteration gives the first entity of each chunk and float[stop - start, entities of the chunk].

    Args:
        scorer: scores queries against a range of entities.
        start: the first query.
        stop: the query after the last one.
        num_entities: N.
        chunk: entities that are scored together.
        describe: names a query in errors.

    Raises:
        GraphkitError: a score is NaN.
    """

    def __init__(
        self, scorer: Scorer, start: int, stop: int, num_entities: int, chunk: int, describe: Callable[[int], str]
    ) -> None:
        self.scorer, self.start, self.stop = scorer, start, stop
        self.num_entities, self.chunk, self.describe = num_entities, chunk, describe
        self.single: Floats | None = None

    def __iter__(self) -> Iterator[tuple[int, Floats]]:
        for first in range(0, self.num_entities, self.chunk):
            scores = self._scored(first) if self.single is None else self.single
            if self.chunk >= self.num_entities:
                self.single = scores
            yield first, scores

    def _scored(self, first: int) -> Floats:
        last = min(first + self.chunk, self.num_entities)
        scores = self.scorer(torch.arange(self.start, self.stop), first, last)
        wrong = torch.isnan(scores)
        if wrong.any():
            query = self.describe(self.start + int(wrong.any(dim=1).nonzero()[0]))
            raise GraphkitError(
                f"the score of {query} is not a number; the model has diverged: train again with a lower lr"
            )
        # numpy knows no bfloat16; float32 holds every half exactly.
        found: Floats = scores.to(torch.promote_types(scores.dtype, torch.float32)).numpy()
        return found


class _ByEntity:
    """Entities in ascending order, so that those of a chunk are found without a pass over all."""

    def __init__(self, entities: Ids) -> None:
        self.order = np.argsort(entities, kind="stable")
        self.sorted = entities[self.order]

    def within(self, first: int, width: int) -> Ids:
        """Returns the places of the entities from `first` to `first + width`."""
        begin, end = np.searchsorted(self.sorted, [first, first + width])
        return self.order[begin:end]
