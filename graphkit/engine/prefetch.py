"""Rows of the next batch, gathered while the present one computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit.engine.id_resolver import IdResolver
from graphkit.engine.table import EmbeddingTable
from graphkit.engine.timeline import span
from graphkit.errors import GraphkitError
from graphkit.samplers import QueryBatch


@dataclass(frozen=True)
class GatheredBatch:
    """A batch with the rows of every entity that it names, and where among these each entity stands."""

    batch: QueryBatch
    #: int64[U], ascending and distinct; None = all rows of the table, in place
    ids: Tensor | None
    #: float32[U, D], the rows of `ids` as they stood when the batch was delivered
    rows: Tensor
    #: a segment each: int64[n, anchors of the structure], places among `rows`
    anchors: tuple[Tensor, ...]
    #: int64[B], places of the answers
    positives: Tensor
    #: int64[B, K] own, int64[C K] shared, or None: places of the negatives
    negatives: Tensor | None

    @property
    def number(self) -> int:
        """Place of the batch in the sampler's stream."""
        return self.batch.number


@dataclass(frozen=True)
class ResolvedBatch:
    """A batch whose entities were resolved, before any row was gathered."""

    batch: QueryBatch
    #: int64[U], ascending and distinct
    ids: Tensor
    #: as in `GatheredBatch`
    anchors: tuple[Tensor, ...]
    positives: Tensor
    negatives: Tensor | None
    #: bool[U], whether the batch before it names the entity too
    named: Tensor


class BatchResolver:
    """Resolves batches one after the other.

    Args:
        num_ids: N; entities are 0 to N-1.
    """

    def __init__(self, num_ids: int) -> None:
        # Of the batch before and of the present one, in turn.
        self._resolvers = (IdResolver(num_ids), IdResolver(num_ids))
        self._turn = 0
        self._first = True

    def resolve(self, batch: QueryBatch) -> ResolvedBatch:
        """Returns where the entities of a batch stand among those that it names, and which the batch before named.

        Raises:
            GraphkitError: an entity is out of range. This is where ids are checked, once.
        """
        before, resolver = self._resolvers[self._turn], self._resolvers[1 - self._turn]
        self._turn = 1 - self._turn
        segments, drawn = [segment.anchors for segment in batch.segments], batch.negatives
        ids = resolver.resolve([*segments, batch.positives, *([] if drawn is None else [drawn])])
        anchors, positives = tuple(map(resolver.locate, segments)), resolver.locate(batch.positives)
        negatives = None if drawn is None else resolver.locate(drawn)
        named = torch.zeros(len(ids), dtype=torch.bool) if self._first else before.contains(ids)
        self._first = False
        return ResolvedBatch(batch, ids, anchors, positives, negatives, named)


class RowPrefetcher:
    """Iterates over batches with their rows, one batch ahead on a thread of its own.

    While the present batch is trained on, the next is sampled, its entities are resolved, and those of its rows are
    gathered that the present batch does not name. The others follow when it is asked for: between two deliveries the
    table may change in the rows of the first only. Training with and without prefetching gives the same weights, bit
    for bit.

    Args:
        batches: where batches come from; it is read on the prefetcher's thread.
        table: where rows come from.
        all_rows: deliver the table itself, for losses over all entities.
    """

    def __init__(self, batches: Iterator[QueryBatch], table: EmbeddingTable, *, all_rows: bool = False) -> None:
        self._batches = batches
        self._table = table
        self._all_rows = all_rows
        self._resolver = BatchResolver(len(table))
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="graphkit-prefetch")
        self._next: Future[tuple[GatheredBatch, Tensor | None]] = self._thread.submit(self._gather)

    def __iter__(self) -> Iterator[GatheredBatch]:
        return self

    def __next__(self) -> GatheredBatch:
        if self._closed:
            raise GraphkitError("these batches have ended with their feed; call batches() for others")
        with span("wait"):
            ready, missing = self._next.result()
        if ready.ids is None:
            # The table as it stands now: for rows that are converted this is a copy.
            ready = dataclasses.replace(ready, rows=self._table.slice(0, len(self._table)))
        elif missing is not None:
            with span("gather"):
                self._table.gather_into(ready.ids[missing], missing, ready.rows)
        self._next = self._thread.submit(self._gather)
        return ready

    def close(self) -> None:
        """Waits for the gather under way and stops the thread."""
        self._closed = True
        self._thread.shutdown(wait=True)

    def _gather(self) -> tuple[GatheredBatch, Tensor | None]:
        """Returns the next batch, and the places of the rows that it still lacks."""
        with span("sample"):
            batch = next(self._batches)
        if self._all_rows:
            anchors = tuple(segment.anchors for segment in batch.segments)
            rows = self._table.weight  # those of the moment of delivery take their place
            return GatheredBatch(batch, None, rows, anchors, batch.positives, batch.negatives), None
        with span("resolve"):
            found = self._resolver.resolve(batch)
            missing, ahead = (mask.nonzero().squeeze(1) for mask in (found.named, ~found.named))
        with span("gather"):
            rows = self._table.empty_rows(len(found.ids))
            self._table.gather_into(found.ids[ahead], ahead, rows)
        return GatheredBatch(batch, found.ids, rows, found.anchors, found.positives, found.negatives), missing
