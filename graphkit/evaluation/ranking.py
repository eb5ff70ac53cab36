"""Filtered ranks, streamed over chunks of entities: the one ranking function of trainer, command line and library.

The rank of an answer among the entities that are no answer is 1 + #better + #equal / 2 (mean rank of ties); the
optimistic rank leaves the ties out and the pessimistic one counts them all. Where every other entity is an answer too
there is no competitor, and the rank is 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphkit.engine.kernels import Answers, PairDistance, count_pairs, count_scores
from graphkit.errors import GraphkitError
from graphkit.queries import AnswerSets

Ids = NDArray[np.int64]

#: Scores held at once: a block of queries times a chunk of entities. Those of 32 MiB and more go back to the system as
#: soon as they are freed; glibc keeps smaller ones, whose fragments added up to a GiB over 20,000 queries.
SCORES_AT_ONCE = 16 * 2**20

#: Queries that share a pass over the entities of a large graph, enough for a matrix product at full speed.
QUERIES_AT_ONCE = 512

#: Queries of a block that make it worth to hold the scores of all entities, which are then computed once, not twice.
_QUERIES_OF_ONE_PASS = 128

#: Queries that share a pass over the entities where no scores are held.
_QUERIES_OF_PAIRS = 2048

#: Pairs of a query and an answer whose vectors are held at once.
_PAIRS_AT_ONCE = 8192

#: Products are taken of whole tiles of so many entities. Matrix libraries may sum columns beyond in another order, and
#: entities of equal rows would then differ in the last bit (seen for up to 7 queries and 3 columns).
TILE = 64

#: Scores int64[Q] queries against entities start to stop: float[Q, stop - start].
Scorer = Callable[[Tensor, int, int], Tensor]


class PairScorer(ABC):
    """A scorer whose scores are a constant minus distances of pairs: they are counted as they arise, never stored.

    Attributes:
        distance: what the scores are.
    """

    distance: PairDistance

    @abstractmethod
    def vectors(self, queries: Tensor) -> Tensor:
        """Returns float32[Q, W] for int64[Q] queries."""

    @abstractmethod
    def rows(self, start: int, stop: int) -> Tensor:
        """Returns float32[stop - start, D]: entities `start` to `stop`, to be read."""

    @abstractmethod
    def gather(self, entities: Tensor) -> Tensor:
        """Returns float32[U, D] for int64[U] entities."""

    def __call__(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """Returns float32[Q, stop - start]: the scores, for those who want to hold them."""
        with torch.inference_mode():
            return self.distance.scores(self.vectors(queries), self.rows(start, stop))


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
    chunks, so that an answer never differs from itself. Scores of a `PairScorer` are neither held nor computed twice,
    since a pair has the same score, bit for bit, wherever it stands.

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
    if isinstance(scorer, PairScorer):
        per_block = min(_QUERIES_OF_PAIRS, scores_at_once)
        chunk = min(num_entities, scores_at_once // per_block)
    else:
        whole = num_entities * min(queries_at_once, _QUERIES_OF_ONE_PASS) <= scores_at_once
        chunk = num_entities if whole else max(1, scores_at_once // queries_at_once)
        per_block = max(1, scores_at_once // chunk)
    job = _Job(ranked, known, num_entities, chunk, describe)
    counts = torch.zeros(2, len(ranked.values), dtype=torch.int64)
    for start in range(0, len(ranked), per_block):
        block = _Block(job, start, min(start + per_block, len(ranked)))
        found = block.count_pairs(scorer) if isinstance(scorer, PairScorer) else block.count_scores(scorer)
        counts[:, ranked.offsets[block.start] : ranked.offsets[block.stop]] = found
    better, equal = counts
    query, _ = ranked.block(0, len(ranked))
    return Ranks(1 + better + equal.double() / 2, 1 + better, 1 + better + equal, torch.from_numpy(query))


def not_a_number(query: str) -> GraphkitError:
    """Returns the error of a query, as described, of which a score is NaN."""
    return GraphkitError(f"the score of {query} is not a number; the model has diverged: train again with a lower lr")


@dataclass(frozen=True)
class _Job:
    """What blocks of queries share."""

    ranked: AnswerSets
    known: AnswerSets
    num_entities: int
    #: entities that are scored together
    chunk: int
    #: names a query in errors
    describe: Callable[[int], str]


class _Block:
    """Queries `start` to `stop`, whose answers are ranked in one pass over the entities, chunk by chunk."""

    def __init__(self, job: _Job, start: int, stop: int) -> None:
        self.start, self.stop, self.describe = start, stop, job.describe
        self.num_entities, self.chunk = job.num_entities, job.chunk
        ranked, known, num_entities = job.ranked, job.known, job.num_entities
        self.query, self.entity = ranked.block(start, stop)
        self.offsets = ranked.offsets[start : stop + 1] - ranked.offsets[start]
        known_query, self.known = known.block(start, stop)
        self.known_offsets = known.offsets[start : stop + 1] - known.offsets[start]
        itself = np.isin(self.query * num_entities + self.entity, known_query * num_entities + self.known, invert=True)
        #: int64[A], 1 for an answer that is not known: it is level with itself
        self.itself = torch.from_numpy(itself.astype(np.int64))

    def count_pairs(self, scorer: PairScorer) -> Tensor:
        """Returns int64[2, A]: better and equal counts of the answers."""
        with torch.inference_mode():
            vectors = scorer.vectors(torch.arange(self.start, self.stop))
            own = torch.empty(len(self.entity))
            for begin in range(0, len(self.entity), _PAIRS_AT_ONCE):
                some = slice(begin, begin + _PAIRS_AT_ONCE)
                rows = scorer.gather(torch.from_numpy(self.entity[some]))
                alone = torch.arange(len(rows)).unsqueeze(1)
                own[some] = scorer.distance.scores(vectors[self.query[some]], rows, alone).squeeze(1)
            ranges = (
                (first, min(first + self.chunk, self.num_entities)) for first in range(0, self.num_entities, self.chunk)
            )
            return self._count(
                own,
                lambda answers: (
                    count_pairs(scorer.distance, vectors, scorer.rows(first, last), answers, first=first)
                    for first, last in ranges
                ),
            )

    def count_scores(self, scorer: Scorer) -> Tensor:
        """Returns int64[2, A]: better and equal counts of the answers."""
        chunks = _Chunks(scorer, self.start, self.stop, self.num_entities, self.chunk)
        own: Tensor | None = None
        order = _ByEntity(self.entity)
        for first, scores in chunks:
            if own is None:
                own = scores.new_empty(len(self.entity))
            places = order.within(first, scores.shape[1])
            own[places] = scores[self.query[places], self.entity[places] - first]
        if own is None:
            return torch.zeros(2, len(self.entity), dtype=torch.int64)
        return self._count(
            own, lambda answers: (count_scores(scores, answers, first=first) for first, scores in chunks)
        )

    def _count(self, own: Tensor, count: Callable[[Answers], Iterator[tuple[Tensor, Tensor]]]) -> Tensor:
        """Adds up what `count` says, chunk by chunk, of answers with scores `own`."""
        order = torch.from_numpy(np.lexsort((own.numpy(), self.query)))
        parts = (self.offsets, self.known, self.known_offsets)
        answers = Answers(own[order], *(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))
        ascending = torch.zeros(2, len(own), dtype=torch.int64)
        for counts, wrong in count(answers):
            if wrong.any():
                raise not_a_number(self.describe(self.start + int(wrong.nonzero()[0])))
            ascending += counts
        found = torch.empty_like(ascending)
        found[:, order] = ascending
        found[1] -= self.itself
        return found


class _Chunks:
    """The scores of queries `start` to `stop`, chunk by chunk; those of a single chunk are computed once and kept.

    Iteration gives the first entity of each chunk and float[stop - start, entities of the chunk]. A single chunk is
    given in two parts if it ends within a tile: scorers would have to copy them into one.
    """

    def __init__(self, scorer: Scorer, start: int, stop: int, num_entities: int, chunk: int) -> None:
        self.scorer, self.queries = scorer, torch.arange(start, stop)
        self.num_entities, self.chunk = num_entities, chunk
        self.kept: list[tuple[int, Tensor]] | None = None

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        if self.chunk < self.num_entities:
            for first in range(0, self.num_entities, self.chunk):
                yield first, self._scored(first, min(first + self.chunk, self.num_entities))
            return
        if self.kept is None:
            whole = self.num_entities - self.num_entities % TILE
            parts = [(first, last) for first, last in ((0, whole), (whole, self.num_entities)) if first < last]
            self.kept = [(first, self._scored(first, last)) for first, last in parts]
        yield from self.kept

    def _scored(self, first: int, last: int) -> Tensor:
        scores = self.scorer(self.queries, first, last)
        # float32 holds every half exactly, and is what is counted fast.
        return scores.to(torch.promote_types(scores.dtype, torch.float32))


class _ByEntity:
    """Entities in ascending order, so that those of a chunk are found without a pass over all."""

    def __init__(self, entities: Ids) -> None:
        self.order = np.argsort(entities, kind="stable")
        self.sorted = entities[self.order]

    def within(self, first: int, width: int) -> Ids:
        """Returns the places of the entities from `first` to `first + width`."""
        begin, end = np.searchsorted(self.sorted, [first, first + width])
        return self.order[begin:end]
