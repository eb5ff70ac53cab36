"""Pinned memory that copies go through, used again in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit.engine.device.protocol import Device, Event, Stream
from graphkit.engine.timeline import span

#: Tensors of a parcel begin at multiples of this, so that each is aligned for vectors of any width.
ALIGNMENT = 64

#: Shape and dtype of a tensor.
Form = tuple[Sequence[int], torch.dtype]


@dataclass(frozen=True)
class Parcel:
    """Tensors that travel in one copy: views of a buffer, at places that only their shapes and dtypes decide."""

    forms: tuple[Form, ...]

    @property
    def size(self) -> int:
        """Bytes of the buffer."""
        return self._places()[-1]

    def views(self, buffer: Tensor) -> list[Tensor]:
        """Returns the tensors in uint8[size] bytes."""
        places = self._places()
        return [
            buffer[place : place + _bytes(form)].view(form[1]).view(tuple(form[0]))
            for place, form in zip(places, self.forms, strict=False)
        ]

    def _places(self) -> list[int]:
        places = [0]
        for form in self.forms:
            places.append(places[-1] + -(-_bytes(form) // ALIGNMENT) * ALIGNMENT)
        return places


class _Slot:
    """A pinned buffer, and the end of the copy that last used it."""

    def __init__(self, buffer: Tensor) -> None:
        self.buffer = buffer
        self.copied: Event | None = None


class StagingRing:
    """Pinned buffers in turn: one is filled while others are copied. Buffers grow to what is asked of them.

    Args:
        device: whose pinned memory it is.
        slots: buffers; copies that may be under way while another is filled are one less.
    """

    def __init__(self, device: Device, *, slots: int) -> None:
        self._device = device
        self._slots = [_Slot(device.pinned(0)) for _ in range(slots)]
        self._turn = 0

    def take(self, size: int) -> _Slot:
        """Returns the next buffer, of at least `size` bytes, once the copy that last used it has ended."""
        slot = self._slots[self._turn]
        self._turn = (self._turn + 1) % len(self._slots)
        if slot.copied is not None:
            with span("wait for staging"):
                slot.copied.wait()
            slot.copied = None
        if len(slot.buffer) < size:
            slot.buffer = self._device.pinned(2 ** math.ceil(math.log2(size)))
        self._device.host_writes(slot.buffer)
        return slot


class Outgoing:
    """A parcel to the device: its tensors are filled on the host, sent, and found there."""

    def __init__(self, device: Device, ring: StagingRing, forms: Sequence[Form]) -> None:
        self._device = device
        self._parcel = Parcel(tuple(forms))
        self._slot = ring.take(self._parcel.size)
        #: the tensors on the host, to be filled
        self.tensors = self._parcel.views(self._slot.buffer)
        self._target: Tensor | None = None
        self._arrived: Event | None = None

    def send(self) -> None:
        """Starts the copy."""
        size = self._parcel.size
        self._target = self._device.allocate(size, dtype=torch.uint8, stream="inward")
        if size > 0:
            self._device.copy(self._slot.buffer[:size], self._target, "inward")
        self._arrived = self._slot.copied = self._device.record("inward")

    def receive(self) -> list[Tensor]:
        """Returns the tensors on the device; what is computed from now on finds them filled."""
        assert self._target is not None and self._arrived is not None  # it was sent
        self._device.wait("compute", self._arrived)
        return self._parcel.views(self._target)


def bring_back(device: Device, ring: StagingRing, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies results of the device to the host and waits for these copies, and for nothing that was given later.

    Args:
        device: the device.
        ring: of buffers for results; what is returned lies in one of them, until as many calls later as it has.
        tensors: contiguous, computed by what was given to ``compute`` before.
    """
    stream: Stream = "outward"
    parcel = Parcel(tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors))
    slot = ring.take(parcel.size)
    found = parcel.views(slot.buffer)
    device.wait(stream, device.record("compute"))
    for source, target in zip(tensors, found, strict=True):
        if source.numel() > 0:
            device.copy(source, target, stream)
    slot.copied = device.record(stream)
    with span("wait for the device"):
        slot.copied.wait()
    slot.copied = None  # nobody need wait for it again
    device.host_reads(slot.buffer)
    return found


def _bytes(form: Form) -> int:
    return math.prod(form[0]) * form[1].itemsize
