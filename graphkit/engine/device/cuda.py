"""A GPU by way of torch.cuda: written to the same protocol as the simulated device, and never run so far.

What the tests of the simulated device show of the pipeline holds here as far as both keep the protocol. What they
cannot show is in this file, which is why it is small: that streams and events of torch.cuda mean what the protocol
says, and that memory which two streams use is not given away before both are done (`Tensor.record_stream`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from graphkit.engine.device.protocol import Stream, require_mappable
from graphkit.errors import GraphkitError


class _Event:
    def __init__(self, event: torch.cuda.Event) -> None:
        self.event = event

    def wait(self) -> None:
        """Blocks the host until then."""
        self.event.synchronize()


class CudaDevice:
    """See above; implements `Device`.

    Args:
        index: which GPU.

    Raises:
        GraphkitError: torch cannot use it; what is missing is said.
    """

    def __init__(self, index: int = 0) -> None:
        require_gpu(index)
        self.device = torch.device("cuda", index)
        self._streams = {
            "compute": torch.cuda.default_stream(self.device),
            "inward": torch.cuda.Stream(self.device),  # type: ignore[no-untyped-call]  # torch has no types
            "outward": torch.cuda.Stream(self.device),  # type: ignore[no-untyped-call]
        }

    def pinned(self, size: int) -> Tensor:
        """See `Device.pinned`."""
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def allocate(self, *shape: int, dtype: torch.dtype, stream: Stream) -> Tensor:
        """See `Device.allocate`."""
        with torch.cuda.stream(self._streams[stream]):
            tensor = torch.empty(shape, dtype=dtype, device=self.device)
        if stream != "compute":
            tensor.record_stream(self._streams["compute"])
        return tensor

    def copy(self, source: Tensor, target: Tensor, stream: Stream) -> None:
        """See `Device.copy`."""
        with torch.cuda.stream(self._streams[stream]):
            target.copy_(source, non_blocking=True)
        if stream == "outward":
            source.record_stream(self._streams["outward"])

    def record(self, stream: Stream) -> _Event:
        """See `Device.record`."""
        return _Event(self._streams[stream].record_event())

    def wait(self, stream: Stream, event: _Event) -> None:
        """See `Device.wait`."""
        self._streams[stream].wait_event(event.event)

    def mapped(self, host: Tensor) -> Tensor:
        """See `Device.mapped`; CuPy wraps the address that unified addressing gives registered memory."""
        require_mappable(host)
        try:
            import cupy
        except ImportError:
            raise GraphkitError(
                "engine.zero_copy is true and CuPy is missing, which gives a GPU the host's memory; install "
                "graphkit[cuda], or set engine.zero_copy=false"
            ) from None
        size = host.numel() * host.element_size()
        failed: Any = torch.cuda.cudart().cudaHostRegister(host.data_ptr(), size, 0)  # type: ignore[no-untyped-call]
        if int(failed) != 0:
            raise GraphkitError(
                f"{size} bytes of the table could not be pinned (cudaHostRegister: {failed}); raise ulimit -l, or set "
                "engine.zero_copy=false"
            )
        memory = cupy.cuda.UnownedMemory(host.data_ptr(), size, host, self.device.index)
        array = cupy.ndarray(tuple(host.shape), cupy.float32, cupy.cuda.MemoryPointer(memory, 0))
        there: Tensor = torch.utils.dlpack.from_dlpack(array)
        return there

    def unmap(self, host: Tensor) -> None:
        """See `Device.unmap`."""
        self._streams["compute"].synchronize()
        torch.cuda.cudart().cudaHostUnregister(host.data_ptr())  # type: ignore[no-untyped-call]

    def host_reads(self, *buffers: Tensor) -> None:
        """See `Device.host_reads`; a GPU does not check."""

    def host_writes(self, *buffers: Tensor) -> None:
        """See `Device.host_writes`; a GPU does not check."""

    @contextmanager
    def computing(self) -> Iterator[None]:
        """See `Device.computing`."""
        with torch.cuda.device(self.device), torch.cuda.stream(self._streams["compute"]):
            yield

    def upload(self, host: Tensor) -> Tensor:
        """See `Device.upload`."""
        return host.detach().to(self.device, copy=True)

    def download(self, tensor: Tensor) -> Tensor:
        """See `Device.download`."""
        return tensor.detach().to("cpu", copy=True)

    def close(self) -> None:
        """See `Device.close`."""
        for stream in self._streams.values():
            stream.synchronize()


def missing_gpu(index: int) -> str | None:
    """Returns what is missing for torch to use a GPU, and what to do about it; None where nothing is."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if 0 <= index < count:
        return None
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA; install a torch that is built with it"
    if count == 0:
        return f"torch {torch.__version__} finds no GPU with a driver for CUDA {torch.version.cuda}; look at nvidia-smi"
    return f"engine.index is {index} and torch finds {count}, counted from 0; name one of them"


def require_gpu(index: int) -> None:
    """Makes sure that torch can use a GPU.

    Raises:
        GraphkitError: it cannot; the sentence says what is missing.
    """
    if missing := missing_gpu(index):
        raise GraphkitError(f"engine=gpu has no GPU to compute on: {missing}, or choose engine=cpu")
