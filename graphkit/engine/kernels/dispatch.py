"""Which tensors the operations take, and which are left to their twins."""

from __future__ import annotations

import torch
from torch import Tensor

#: Types of devices whose kernels are registered with the operations.
_served = {"cpu"}


def is_native(*tensors: Tensor) -> bool:
    """Tells whether float32 tensors lie on a device that the operations have kernels for."""
    return all(tensor.dtype == torch.float32 and _is_served(tensor.device.type) for tensor in tensors)


def on_cpu(*tensors: Tensor) -> bool:
    """Tells whether float32 tensors lie on the CPU: what operations take that have no kernels for other devices."""
    return all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in tensors)


def serve(kind: str) -> None:
    """Lets operations take tensors of a type of device from now on."""
    _served.add(kind)


def _is_served(kind: str) -> bool:
    """Tells whether there are kernels; those of GPUs are looked for when the first tensor of one comes."""
    if kind == "cuda" and kind not in _served:
        from graphkit.engine.cuda.registration import register

        register()
    return kind in _served
