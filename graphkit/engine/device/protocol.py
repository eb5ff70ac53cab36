"""What the pipeline needs of a device: memory of its own, streams, events, and copies that nobody waits for.

Three streams work side by side, each in order: ``compute``, where torch's operations on the device's tensors go;
``inward``, for copies from the host; ``outward``, for copies to it. What one does after another is said
by events alone.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from graphkit.errors import GraphkitError

Stream = Literal["compute", "inward", "outward"]


class Event(Protocol):
    """A moment of a stream: all that it was given before is done."""

    def wait(self) -> None:
        """Blocks the host until then."""


class Device(Protocol):
    """A device that computes. Any thread may call its methods, one thread alone what concerns ``compute``."""

    def pinned(self, size: int) -> Tensor:
        """Returns uint8[size] of host memory that copies can read and write."""

    def allocate(self, *shape: int, dtype: torch.dtype, stream: Stream) -> Tensor:
        """Returns an uninitialised tensor on the device that `stream` writes first, and ``compute`` uses after it."""

    def copy(self, source: Tensor, target: Tensor, stream: Stream) -> None:
        """Puts a copy between the host's pinned memory and the device into a stream, and does not wait for it.

        Args:
            source: contiguous.
            target: contiguous, of the same shape and dtype, on the other side.
            stream: ``inward`` or ``outward``.
        """

    def record(self, stream: Stream) -> Event:
        """Returns the moment at which all is done that the stream was given so far."""

    def wait(self, stream: Stream, event: Any) -> None:
        """Lets what a stream is given from now on begin after an event of this device; the host goes on."""

    def mapped(self, host: Tensor) -> Tensor:
        """Returns host memory, which is not mapped yet, as a tensor of the device, which reads it where it lies.

        Raises:
            GraphkitError: the device cannot; see `require_mappable`.
        """

    def unmap(self, host: Tensor) -> None:
        """Ends what `mapped` began, when ``compute`` has done what it was given; the device's tensor is dead."""

    def host_reads(self, *buffers: Tensor) -> None:
        """Says that the host is about to read pinned or mapped memory; a device that can checks that it may."""

    def host_writes(self, *buffers: Tensor) -> None:
        """Says that the host is about to write pinned or mapped memory; a device that can checks that it may."""

    def computing(self) -> AbstractContextManager[None]:
        """Within the block, torch's operations go to ``compute``."""

    def upload(self, host: Tensor) -> Tensor:
        """Returns a copy on the device, complete: for set-up, not for steps."""

    def download(self, tensor: Tensor) -> Tensor:
        """Returns a copy on the host, complete: for checkpoints, not for steps."""

    def close(self) -> None:
        """Waits for all copies and lets threads go; the device may be used again."""


def require_mappable(host: Tensor) -> None:
    """Makes sure that a table is one which devices can read where it lies.

    Raises:
        GraphkitError: it is not contiguous float32.
    """
    if host.dtype != torch.float32:
        raise GraphkitError(f"engine.zero_copy is true and the table is {host.dtype}; set engine.zero_copy=false")
    if not host.is_contiguous():
        raise GraphkitError(
            f"engine.zero_copy is true and the table's strides are {host.stride()}, where rows have to follow each "
            "other; set engine.zero_copy=false"
        )
