"""Rows of the next batch, gathered while the present one computes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit.engine.table import EmbeddingTable
from graphkit.samplers import QueryBatch


@dataclass(frozen=True)
class GatheredBatch:
    """A batch with the rows of every entity that it names."""

    batch: QueryBatch
    #: int64[U], ascending and distinct; None = all rows of the table, in place
    ids: Tensor | None
    #: float32[U, D], the rows of `ids` as they stood when the batch was delivered
    rows: Tensor

    @property
    def number(self) -> int:
        """Place of the batch in the sampler's stream."""
        return self.batch.number

    def locate(self, entities: Tensor) -> Tensor:
        """Returns the places of entity ids among `rows`."""
        return entities if self.ids is None else torch.searchsorted(self.ids, entities)


class RowPrefetcher:
    """Iterates over batches with their rows, gathering one batch ahead on a thread of its own.

    Rows that the present batch names are gathered again before the next batch is delivered, so that training with and
    without prefetching gives the same weights, bit for bit: between two deliveries the table may change in those rows
    only.

    Args:
        batches: where batches come from; it is read on the prefetcher's thread.
        table: where rows come from.
        all_rows: deliver the table itself, for losses over all entities.
    """

    def __init__(self, batches: Iterator[QueryBatch], table: EmbeddingTable, *, all_rows: bool = False) -> None:
        self._batches = batches
        self._table = table
        self._all_rows = all_rows
        self._before: Tensor | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="graphkit-prefetch")
        self._next: Future[GatheredBatch] = self._thread.submit(self._gather)

    def __iter__(self) -> Iterator[GatheredBatch]:
        return self

    def __next__(self) -> GatheredBatch:
        ready = self._next.result()
        # The rows were gathered while the batch before was trained on: those that it may have written are read again.
        if ready.ids is not None and self._before is not None:
            stale = torch.isin(ready.ids, self._before).nonzero().squeeze(1)
            ready.rows[stale] = self._table.gather(ready.ids[stale])
        self._before = ready.ids
        self._next = self._thread.submit(self._gather)
        return ready

    def close(self) -> None:
        """Waits for the gather under way and stops the thread."""
        self._thread.shutdown(wait=True)

    def _gather(self) -> GatheredBatch:
        batch = next(self._batches)
        if self._all_rows:
            return GatheredBatch(batch, None, self._table.slice(0, len(self._table)))
        ids = batch.entities()
        return GatheredBatch(batch, ids, self._table.gather(ids))
