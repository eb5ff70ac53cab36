"""Which tensors the operations take, and which are left to their twins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

#: Types of devices whose kernels are registered with the operations.
_served = {"cpu"}
_looked_for_cuda = False

#: Whether ids and gradients were looked at on the host, so that operations on a GPU need not wait to look again.
values_checked = False


def is_native(*tensors: Tensor) -> bool:
    """Tells whether float32 tensors lie on a device that the operations have kernels for."""
    return all(tensor.dtype == torch.float32 and _is_served(tensor.device.type) for tensor in tensors)


@contextmanager
def checked_values() -> Iterator[None]:
    """Within the block, ids are rows and gradients are finite: the caller has looked."""
    global values_checked
    before, values_checked = values_checked, True
    try:
        yield
    finally:
        values_checked = before


def serve(kind: str) -> None:
    """Lets operations take tensors of a type of device from now on."""
    _served.add(kind)


def _is_served(kind: str) -> bool:
    """Tells whether there are kernels; those of GPUs are looked for when the first tensor of one comes."""
    global _looked_for_cuda
    if kind == "cuda" and not _looked_for_cuda:
        _looked_for_cuda = True
        from graphkit.engine.cuda.registration import register

        register()
    return kind in _served
