"""Rows that stay on the device, with the state of their optimiser, and are updated there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from graphkit.engine.device.protocol import Device
from graphkit.engine.device.staging import ALIGNMENT, Outgoing, StagingRing, bring_back
from graphkit.engine.table import EmbeddingTable
from graphkit.errors import GraphkitError

Policy = Literal["degree", "lru"]

#: Bytes that travel at once between table and cache: the rings keep as much pinned memory for good.
PIECE = 64 * 2**20


class RowCache:
    """Copies of some rows of a table, which are the valid ones until they are written back.

    The policy says which rows: ``degree``, those with the most edges, from the start to the end; or ``lru``, those that
    batches named last. Which row is cached has no influence on any result.

    Args:
        device: where the copies lie.
        table: float32, with an optimiser.
        rows: how many; no more than the table has.
        policy: see above.
        degrees: gives int64[N] edges at each entity, for ``degree``.
        inward: ring for copies to the device.
        outward: ring for copies from it.

    Raises:
        GraphkitError: the table is bfloat16, whose rounding depends on the place of a row.
    """

    def __init__(
        self,
        device: Device,
        table: EmbeddingTable,
        *,
        rows: int,
        policy: Policy,
        degrees: Callable[[], Tensor],
        inward: StagingRing,
        outward: StagingRing,
    ) -> None:
        if table.weight.dtype != torch.float32:
            raise GraphkitError(
                f"engine.cache_rows is {rows} and the table is {table.weight.dtype}; rows of float32 alone are "
                "updated on a device, so set engine.cache_rows=0"
            )
        self._device, self._table, self._policy = device, table, policy
        self._inward, self._outward = inward, outward
        size = min(rows, len(table))
        #: int32[N], the slot of each entity, -1 for those that are not cached
        self._slots = torch.full((len(table),), -1, dtype=torch.int32)
        #: int64[size], the entity of each slot, -1 for free ones; ascending under ``degree``
        self.ids = torch.full((size,), -1, dtype=torch.int64)
        # The batch that named the entity of a slot last.
        self._named = torch.full((size,), -1, dtype=torch.int64)
        self._batches = 0
        with device.computing():
            self.weight = self._like(table.weight, size)
            self.state = {name: self._like(values, size) for name, values in table.state.items()}
        if policy == "degree":
            most = torch.sort(degrees(), descending=True, stable=True).indices[:size].sort().values
            self._fill(torch.arange(size), most)

    @property
    def complete(self) -> bool:
        """Whether all rows are cached, each in the slot of its id."""
        return self._policy == "degree" and len(self.ids) == len(self._table)

    def slots(self, ids: Tensor) -> Tensor:
        """Returns int64[U]: the slots of entities, -1 for those that are not cached."""
        return self._slots[ids].long()

    def admit(self, ids: Tensor) -> Tensor:
        """Takes rows of the present batch in, under ``lru``, in place of those that batches named longest ago.

        What leaves is written back. Rows of the present batch stay.

        Args:
            ids: int64[U] of the batch, distinct.

        Returns:
            bool[U]: which were taken in now; their state is on the device, and their rows are up to the caller
            (`weight` at `slots`), who may have them there already.
        """
        self._batches += 1
        taken = torch.zeros(len(ids), dtype=torch.bool)
        if self._policy == "degree":
            return taken
        slots = self.slots(ids)
        self._named[slots[slots >= 0]] = self._batches
        wanted = (slots < 0).nonzero().squeeze(1)
        count = min(len(wanted), len(self._named))
        oldest = torch.topk(self._named, count, largest=False).indices  # no sort: a cache may have millions of slots
        oldest = oldest[self._named[oldest] < self._batches]
        wanted = wanted[: len(oldest)]
        leaving = oldest[self.ids[oldest] >= 0]
        self._write_back(leaving)
        self._slots[self.ids[leaving]] = -1
        self._fill(oldest, ids[wanted], weight=False)
        taken[wanted] = True
        return taken

    def update(self, slots: Tensor | None, gradient: Tensor) -> None:
        """Applies one step to rows in distinct slots, int64[U] on the device, or all, with their gradient [U, D]."""
        assert self._table.optimizer is not None  # it is trained
        with torch.no_grad(), self._device.computing():
            # `DeviceFeed.collect` has looked.
            self._table.optimizer.step(self.weight, self.state, slots, gradient, checked=True)

    def write_back(self) -> None:
        """Copies all rows and their state to the table; they stay cached."""
        self._write_back((self.ids >= 0).nonzero().squeeze(1))

    def _fill(self, slots: Tensor, ids: Tensor, *, weight: bool = True) -> None:
        """Takes entities into slots, with their state and, unless they come from elsewhere, their rows."""
        self.ids[slots], self._slots[ids], self._named[slots] = ids, slots.int(), self._batches
        sources = [self._table.weight] if weight else []
        targets = [self.weight] if weight else []
        sources, targets = [*sources, *self._table.state.values()], [*targets, *self.state.values()]
        for piece in self._pieces(len(ids)):
            self._send(slots[piece], ids[piece], sources, targets)

    def _send(self, slots: Tensor, ids: Tensor, sources: list[Tensor], targets: list[Tensor]) -> None:
        """Copies rows of tensors of the host to slots of tensors of the device."""
        forms = [((len(ids), *source.shape[1:]), source.dtype) for source in sources]
        parcel = Outgoing(self._device, self._inward, [((len(ids),), torch.int64), *forms])
        parcel.tensors[0].copy_(slots)
        for source, target in zip(sources, parcel.tensors[1:], strict=True):
            torch.index_select(source, 0, ids, out=target)
        parcel.send()
        with torch.no_grad(), self._device.computing():
            places, *values = parcel.receive()
            for target, rows in zip(targets, values, strict=True):
                target.index_copy_(0, places, rows)

    def _write_back(self, slots: Tensor) -> None:
        for piece in self._pieces(len(slots)):
            self._bring(slots[piece])

    def _bring(self, slots: Tensor) -> None:
        """Copies slots, with their state, to the table."""
        parcel = Outgoing(self._device, self._inward, [((len(slots),), torch.int64)])
        parcel.tensors[0].copy_(slots)
        parcel.send()
        with torch.no_grad(), self._device.computing():
            (places,) = parcel.receive()
            sources = [values.index_select(0, places) for values in (self.weight, *self.state.values())]
        rows = bring_back(self._device, self._outward, sources)
        targets = [self._table.weight, *self._table.state.values()]
        self._device.host_writes(self._table.weight)
        for target, values in zip(targets, rows, strict=True):
            target[self.ids[slots]] = values

    def _like(self, values: Tensor, size: int) -> Tensor:
        """Returns room on the device for so many rows of a tensor."""
        return self._device.allocate(size, *values.shape[1:], dtype=values.dtype, stream="compute")

    def _pieces(self, count: int) -> Iterator[slice]:
        """Cuts so many rows into pieces that fill no more than `PIECE` bytes, with their state and slots."""
        kept = [self._table.weight, *self._table.state.values()]
        row = 8 + sum(math.prod(values.shape[1:]) * values.itemsize for values in kept)
        rows = max(1, (PIECE - ALIGNMENT * (len(kept) + 1)) // row)
        return (slice(start, min(start + rows, count)) for start in range(0, count, rows))
