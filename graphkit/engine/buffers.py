"""Tensors that live for a step, in memory that is used again for the next."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit import _native

#: Smaller tensors are torch's: its allocator keeps their memory too.
_LEAST_BYTES = 2**20


def on_host(tensor: Tensor) -> bool:
    """Tells whether native code may read the memory of a tensor: that of a device, real or simulated, it may not."""
    return tensor.device.type == "cpu" and type(tensor) in (Tensor, torch.nn.Parameter)


def empty(*shape: int, device: torch.device | None = None) -> Tensor:
    """Returns an uninitialised float32 tensor, on the CPU unless another device is given.

    Memory of large ones comes from a pool of huge pages, which takes it back when the tensor is gone, and keeps up to
    1 GiB. From the system it would come page by page, zeroed, at several times the cost of writing to it.
    Other devices have allocators of their own.
    """
    if device is not None and device.type != "cpu":
        return torch.empty(shape, dtype=torch.float32, device=device)
    size = 1
    for length in shape:
        size *= length
    if 4 * size < _LEAST_BYTES:
        return torch.empty(shape)
    return _native.empty(size).view(shape)
