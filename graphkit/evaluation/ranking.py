"""Filtered ranks, streamed over chunks of entities: the one ranking function of trainer, command line and library.

The rank of an answer among the entities that are no answer is 1 + #better + #equal / 2 (mean rank of ties); the
optimistic rank leaves the ties out and the pessimistic one counts them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphkit.errors import GraphkitError

Ids = NDArray[np.int64]

#: Scores held at once: a block of queries times a chunk of entities.
SCORES_AT_ONCE = 8 * 2**20

#: Queries that share a pass over the entities of a large graph, enough for a matrix product at full speed.
QUERIES_AT_ONCE = 128

#: Scores int64[Q] queries against entities start to stop: float[Q, stop - start].
Scorer = Callable[[Tensor, int, int], Tensor]


@dataclass(frozen=True)
class AnswerLists:
    """Lists of entities, one a query: list i is ``values[offsets[i]:offsets[i + 1]]``."""

    #: int64[A], ascending and distinct within a list
    values: Ids
    #: int64[Q + 1]
    offsets: Ids

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def block(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Returns int64[a] query numbers, from 0 for `start`, and int64[a] entities of lists start to stop."""
        counts = np.diff(self.offsets[start : stop + 1])
        entities = self.values[self.offsets[start] : self.offsets[stop]]
        return torch.from_numpy(np.repeat(np.arange(stop - start), counts)), torch.from_numpy(entities)


@dataclass(frozen=True)
class Ranks:
    """Ranks of A answers, in the order of their lists."""

    #: float64[A], 1 + better + equal / 2
    mean: Tensor
    #: int64[A], 1 + better
    optimistic: Tensor
    #: int64[A], 1 + better + equal
    pessimistic: Tensor
    #: int64[A], the query that each answer belongs to
    query: Tensor


def filtered_ranks(
    scorer: Scorer, num_entities: int, ranked: AnswerLists, known: AnswerLists, *, scores_at_once: int = SCORES_AT_ONCE
) -> Ranks:
    """Ranks each answer among all entities that are no answer of its query.

    Memory is bounded by `scores_at_once` whatever the number of entities. When the entities of a block of queries do
    not fit into one chunk they are scored twice: once for the answers, once to count; both passes score the same
    chunks, so that an answer never differs from itself.

    Args:
        scorer: scores queries 0 to Q-1 against a range of entities.
        num_entities: N.
        ranked: the answers to rank, a list a query.
        known: entities of each query that are filtered out: none of them counts as a competitor, and an answer never
            competes with itself, whether it is listed here or not.
        scores_at_once: bound on queries x entities that are held.

    Raises:
        GraphkitError: a score is NaN.
    """
    if len(ranked) != len(known):
        raise GraphkitError(f"{len(ranked)} lists of answers to rank were given, and {len(known)} of known answers")
    chunk = min(num_entities, max(1, scores_at_once // QUERIES_AT_ONCE))
    per_block = max(1, scores_at_once // chunk)
    blocks = []
    for start in range(0, len(ranked), per_block):
        stop = min(start + per_block, len(ranked))
        blocks.append(_rank_block(scorer, num_entities, chunk, ranked, known, start, stop, scores_at_once))
    empty = torch.empty(0, dtype=torch.int64)
    better, equal, query = (torch.cat([empty, *(block[i] for block in blocks)]) for i in range(3))
    return Ranks(1 + better + equal.double() / 2, 1 + better, 1 + better + equal, query)


def _rank_block(
    scorer: Scorer,
    num_entities: int,
    chunk: int,
    ranked: AnswerLists,
    known: AnswerLists,
    start: int,
    stop: int,
    scores_at_once: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns better and equal counts and query numbers of the answers of queries start to stop."""
    queries = torch.arange(start, stop)
    known_query, known_entity = known.block(start, stop)
    row, entity = ranked.block(start, stop)
    chunks = _Chunks(scorer, queries, num_entities, chunk)
    known_score = torch.empty(len(known_entity), dtype=torch.float64)
    own = torch.empty(len(entity), dtype=torch.float64)
    known_order, order = _ByEntity(known_entity), _ByEntity(entity)
    for first, scores in chunks:
        if torch.isnan(scores).any():
            bad = start + int(torch.isnan(scores).any(dim=1).nonzero()[0])
            raise GraphkitError(
                f"the score of query {bad} is not a number; the model has diverged: train again with a lower lr"
            )
        for places, query, entities, out in (
            (known_order.within(first, scores.shape[1]), known_query, known_entity, known_score),
            (order.within(first, scores.shape[1]), row, entity, own),
        ):
            out[places] = scores[query[places], entities[places] - first].double()
    better, equal = torch.zeros(len(row), dtype=torch.int64), torch.zeros(len(row), dtype=torch.int64)
    step = max(1, scores_at_once // chunk)
    for _, scores in chunks:
        for i in range(0, len(row), step):
            some = slice(i, i + step)
            rows, threshold = scores[row[some]], own[some].to(scores.dtype).unsqueeze(1)
            better[some] += (rows > threshold).sum(dim=1)
            equal[some] += (rows == threshold).sum(dim=1)
    known_better, known_equal = _count_known(known_query, known_score, row, own)
    itself = ~torch.isin(row * num_entities + entity, known_query * num_entities + known_entity)
    return better - known_better, equal - known_equal - itself.long(), row + start


class _Chunks:
    """The scores of a block of queries, chunk by chunk; a single chunk is scored once and kept."""

    def __init__(self, scorer: Scorer, queries: Tensor, num_entities: int, chunk: int) -> None:
        self.scorer, self.queries, self.num_entities, self.chunk = scorer, queries, num_entities, chunk
        self.single: Tensor | None = None

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        for first in range(0, self.num_entities, self.chunk):
            if self.single is not None:
                yield first, self.single
                continue
            scores = self.scorer(self.queries, first, min(first + self.chunk, self.num_entities))
            if self.chunk >= self.num_entities:
                self.single = scores
            yield first, scores


class _ByEntity:
    """Entities in ascending order, so that those of a chunk are found without a pass over all."""

    def __init__(self, entities: Tensor) -> None:
        self.sorted, self.order = torch.sort(entities, stable=True)

    def within(self, first: int, width: int) -> Tensor:
        """Returns the places of the entities from `first` to `first + width`."""
        ends = torch.searchsorted(self.sorted, torch.tensor([first, first + width]))
        return self.order[ends[0] : ends[1]]


def _count_known(known_query: Tensor, known_score: Tensor, row: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Counts, for each ranked answer, the known answers of its query with a higher and with an equal score."""
    # Sorting by (query, score) puts the known answers of a query into one ascending run: counts are then differences
    # of positions found by binary search.
    by_score = torch.argsort(known_score, stable=True)
    order = by_score[torch.argsort(known_query[by_score], stable=True)]
    keys_query, keys_score = known_query[order].numpy(), known_score[order].numpy()
    keys = np.empty(len(keys_query), dtype=[("query", np.int64), ("score", np.float64)])
    keys["query"], keys["score"] = keys_query, keys_score
    wanted = np.empty(len(row), dtype=keys.dtype)
    wanted["query"], wanted["score"] = row.numpy(), own.numpy()
    ends = np.searchsorted(keys_query, row.numpy(), side="right")
    below_or_equal = np.searchsorted(keys, wanted, side="right")
    below = np.searchsorted(keys, wanted, side="left")
    return torch.from_numpy(ends - below_or_equal), torch.from_numpy(below_or_equal - below)
