"""From tables on the host to a device and back.

Rows of the next batch are gathered into pinned memory and copied while the present batch computes; those that the
present batch names follow when it is over, so that rows are delivered as the table has them, as by `RowPrefetcher`::

    host      gather k+1 ······················ update k, gather late rows of k+1
    inward       copy k+1 ··········                                  copy ···
    compute   batch k ··················                                   batch k+1 ····
    outward                          gradient k ···

Streams wait for each other by events. The host waits for the gradient of a batch; with a cache of rows that were named
last, for those that leave it too, before the next batch; and for a staging buffer only where the copies before last are
still under way.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit.engine.device.cache import Policy, RowCache
from graphkit.engine.device.out_of_memory import explained
from graphkit.engine.device.protocol import Device
from graphkit.engine.device.staging import Form, Outgoing, StagingRing, bring_back
from graphkit.engine.prefetch import BatchResolver, GatheredBatch, ResolvedBatch
from graphkit.engine.table import EmbeddingTable
from graphkit.engine.timeline import span
from graphkit.errors import GraphkitError
from graphkit.samplers import QueryBatch

#: Buffers of each ring: one is filled while the other is copied.
SLOTS = 2


@dataclass(frozen=True)
class DeviceBatch(GatheredBatch):
    """A batch on the device; `ids` and `host_ids` are on the host."""

    #: int64[M], entities whose rows the host updates; None = all of the table
    host_ids: Tensor | None
    #: int64[M], their places among `rows`; None = all
    host_places: Tensor | None
    #: int64[C], places of rows that the cache updates; None = all
    cached_places: Tensor | None
    #: int64[C], their slots; None = all
    cached_slots: Tensor | None


@dataclass(frozen=True)
class _Prepared:
    """The next batch on its way: all of it, but for rows that the present batch names."""

    found: ResolvedBatch
    #: int64[A], places of the rows that were gathered ahead
    ahead: Tensor
    #: int64[L], places of rows of the table that are still to be gathered
    late: Tensor
    #: int64[H], places of rows that are cached
    cached: Tensor
    parcel: Outgoing


class DeviceFeed:
    """Iterates over batches on a device, one batch ahead on a thread of its own.

    Args:
        device: the device.
        batches: where batches come from; read on the feed's thread.
        table: where rows come from.
        all_rows: deliver all rows of the table, for losses over all entities.
        cache_rows: rows that stay on the device; 0 = none.
        cache: which rows; see `RowCache`.
        zero_copy: let the device read rows where they lie, when the batch is delivered.
        degrees: gives int64[N] edges at each entity.
    """

    def __init__(
        self,
        device: Device,
        batches: Iterator[QueryBatch],
        table: EmbeddingTable,
        *,
        all_rows: bool,
        cache_rows: int,
        cache: Policy,
        zero_copy: bool,
        degrees: Callable[[], Tensor],
    ) -> None:
        self._device, self._batches, self._table, self._all_rows = device, batches, table, all_rows
        self._cache_rows = cache_rows
        # A ring for each thread that sends.
        self._ahead, self._late, self._outward = (StagingRing(device, slots=SLOTS) for _ in range(3))
        rings = {"inward": self._late, "outward": self._outward}
        self._cache: RowCache | None = None
        if cache_rows > 0:
            with explained(cache_rows):
                self._cache = RowCache(device, table, rows=cache_rows, policy=cache, degrees=degrees, **rings)
        self._mapped = device.mapped(table.weight) if zero_copy else None
        self._resolver = BatchResolver(len(table))
        self._gradient: Tensor | None = None
        self._closed = self._told = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="graphkit-prefetch")
        self._next: Future[_Prepared] = self._thread.submit(self._prepare)

    def __iter__(self) -> Iterator[GatheredBatch]:
        return self

    def __next__(self) -> GatheredBatch:
        if self._closed:
            raise GraphkitError("these batches have ended with their feed; call batches() for others")
        with span("wait"):
            try:
                prepared = self._next.result()
            except BaseException:
                self._told = True
                raise
        with torch.no_grad(), span("gather"), explained(self._cache_rows):
            ready = self._deliver(prepared)
        self._next = self._thread.submit(self._prepare)
        return ready

    def close(self, *, discard: bool = False) -> None:
        """Waits for what is under way, writes cached rows back and stops the thread.

        An error that the thread has met, and that nobody was told of, is raised, unless another is on its way.

        Args:
            discard: forget cached rows instead.
        """
        if self._closed:
            return
        self._closed = True
        self._thread.shutdown(wait=True)
        try:
            if not discard:
                self.write_back()
        finally:
            self._cache = None
            if self._mapped is not None:
                self._device.unmap(self._table.weight)
                self._mapped = None
        failed = None if self._told else self._next.exception()
        if failed is not None and not isinstance(failed, StopIteration) and sys.exception() is None:
            raise failed

    def write_back(self) -> None:
        """Brings the table up to date."""
        if self._cache is not None:
            self._cache.write_back()

    # ---- to the device

    def _prepare(self) -> _Prepared:
        """Sends the next batch, with the rows that the present one does not name. Runs on the feed's thread."""
        with span("sample"):
            batch = next(self._batches)
        with span("resolve"):
            found = self._everything(batch) if self._all_rows else self._resolver.resolve(batch)
            cached = torch.zeros_like(found.named) if self._cache is None else self._cache.slots(found.ids) >= 0
            ahead = torch.zeros_like(cached) if self._mapped is not None else ~cached & ~found.named
            early, late, kept = (mask.nonzero().squeeze(1) for mask in (ahead, ~cached & ~ahead, cached))
        with span("gather"), explained(self._cache_rows):
            parts = _parts(found)
            forms: list[Form] = [(part.shape, part.dtype) for part in (*parts, early)]
            forms.append(((len(early), self._table.weight.shape[1]), torch.float32))
            parcel = Outgoing(self._device, self._ahead, forms)
            *targets, rows = parcel.tensors
            for part, target in zip((*parts, early), targets, strict=True):
                target.copy_(part)
            self._table.gather_into(found.ids[early], None, rows)
            parcel.send()
        return _Prepared(found, early, late, kept, parcel)

    def _everything(self, batch: QueryBatch) -> ResolvedBatch:
        """Returns a batch that names all entities, as each does where losses are taken over all."""
        ids = torch.arange(len(self._table))
        anchors = tuple(segment.anchors for segment in batch.segments)
        return ResolvedBatch(batch, ids, anchors, batch.positives, None, torch.ones(len(ids), dtype=torch.bool))

    def _deliver(self, prepared: _Prepared) -> DeviceBatch:
        """Returns the batch that was prepared, with the rows that were late, as all stand now."""
        found, cache = prepared.found, self._cache
        taken = torch.zeros(len(found.ids), dtype=torch.bool) if cache is None else cache.admit(found.ids)
        parcel = self._send_late(prepared, taken)
        with self._device.computing():
            *parts, ahead, rows_ahead = prepared.parcel.receive()
            late, cached, slots, new, new_slots, host, late_rows = parcel.receive()
            if self._mapped is not None:  # the last tensor names rows then
                late_rows = self._mapped.index_select(0, late_rows).float()
            if cache is not None and cache.complete and self._all_rows:
                rows = cache.weight
            else:
                rows = self._assemble([(ahead, rows_ahead), (late, late_rows)], (cached, slots), len(found.ids))
            if cache is not None and len(new) > 0:
                cache.weight.index_copy_(0, new_slots, rows.index_select(0, new))
                cached, slots = torch.cat([cached, new]), torch.cat([slots, new_slots])
        return self._batch(prepared, parts, rows, (cached, slots), host, taken)

    def _send_late(self, prepared: _Prepared, taken: Tensor) -> Outgoing:
        """Sends what could not be sent ahead: rows that have changed since, and where cached ones are."""
        ids, cache = prepared.found.ids, self._cache
        slots = torch.full_like(ids, -1) if cache is None else cache.slots(ids)
        new = taken.nonzero().squeeze(1)
        host = (slots < 0).nonzero().squeeze(1)
        late_ids = ids[prepared.late]
        places = [prepared.late, prepared.cached, slots[prepared.cached], new, slots[new], host]
        width = self._table.weight.shape[1]
        last: Form = (
            ((len(late_ids), width), torch.float32) if self._mapped is None else ((len(late_ids),), torch.int64)
        )
        parcel = Outgoing(self._device, self._late, [*((part.shape, part.dtype) for part in places), last])
        for part, target in zip(places, parcel.tensors, strict=False):
            target.copy_(part)
        if self._mapped is None:
            self._table.gather_into(late_ids, None, parcel.tensors[-1])
        else:
            parcel.tensors[-1].copy_(late_ids)
        parcel.send()
        return parcel

    def _assemble(self, sent: list[tuple[Tensor, Tensor]], cached: tuple[Tensor, Tensor], count: int) -> Tensor:
        """Returns float32[count, D]: rows that were sent, and those in slots of the cache, each at its place."""
        for _, values in sent:
            if len(values) == count:
                return values
        rows = self._device.allocate(count, self._table.weight.shape[1], dtype=torch.float32, stream="compute")
        for places, values in sent:
            rows.index_copy_(0, places, values)
        if self._cache is not None:
            rows.index_copy_(0, cached[0], self._cache.weight.index_select(0, cached[1]))
        return rows

    def _batch(
        self,
        prepared: _Prepared,
        parts: list[Tensor],
        rows: Tensor,
        cached: tuple[Tensor, Tensor],
        host: Tensor,
        taken: Tensor,
    ) -> DeviceBatch:
        """Returns the batch with tensors of the device, in the order of `_parts`."""
        found, batch, own = prepared.found, prepared.found.batch, list(parts)
        segments = tuple(dataclasses.replace(segment, rows=own.pop(0)) for segment in batch.segments)
        anchors = tuple(own.pop(0) for _ in batch.segments)
        positives, counts = own.pop(0), own.pop(0)
        drawn = own.pop(0) if batch.negatives is not None else None
        mask = own.pop(0) if batch.mask is not None else None
        on_device = dataclasses.replace(
            batch, segments=segments, positives=positives, answer_counts=counts, negatives=drawn, mask=mask
        )
        none_cached = len(cached[0]) == 0
        everything = self._cache is not None and self._cache.complete and self._all_rows
        slots = torch.full_like(found.ids, -1) if self._cache is None else self._cache.slots(found.ids)
        return DeviceBatch(
            batch=on_device,
            ids=None if self._all_rows else found.ids,
            rows=rows,
            anchors=anchors,
            positives=positives,
            negatives=drawn,
            host_ids=None if self._all_rows and none_cached else found.ids[slots < 0],
            host_places=None if none_cached else host,
            cached_places=None if everything else cached[0],
            cached_slots=None if everything else cached[1],
        )

    # ---- and back

    def collect(self, batch: GatheredBatch, losses: list[Tensor], gradient: Tensor) -> tuple[float, Tensor]:
        """See `Engine.collect`; the gradient of cached rows stays on the device."""
        assert isinstance(batch, DeviceBatch)
        with torch.no_grad(), self._device.computing():
            loss = torch.stack([part.detach() for part in losses])
            finite = gradient.isfinite().all().view(1)
            host = gradient if batch.host_places is None else gradient.index_select(0, batch.host_places)
            host = host.contiguous()
        parts, fine, returned = bring_back(self._device, self._outward, [loss, finite, host])
        total = sum(parts.tolist())
        if not fine[0]:  # all of it, for the table to say what is wrong
            (returned,) = bring_back(self._device, self._outward, [gradient.contiguous()])
        self._gradient = gradient if fine[0] else None
        return total, returned

    def update(self, batch: GatheredBatch, gradient: Tensor) -> None:
        """See `Engine.update`."""
        assert isinstance(batch, DeviceBatch)
        self._device.host_writes(self._table.weight)
        if self._gradient is None:
            self._table.update(batch.ids, gradient)  # refuses it
            raise AssertionError("a gradient that is not finite was taken")
        self._table.update(batch.host_ids, gradient)
        if self._cache is not None:
            with torch.no_grad(), self._device.computing():
                places = batch.cached_places
                own = self._gradient if places is None else self._gradient.index_select(0, places)
            self._cache.update(batch.cached_slots, own)
        self._gradient = None


def _parts(found: ResolvedBatch) -> list[Tensor]:
    """Returns what a step reads of a batch besides rows."""
    batch = found.batch
    drawn = found.negatives if found.negatives is not None else batch.negatives
    last = [part for part in (drawn, batch.mask) if part is not None]
    rows = [segment.rows for segment in batch.segments]
    return [*rows, *found.anchors, found.positives, batch.answer_counts, *last]
