"""Tensors that lie in memory as kernels do not like it."""

from __future__ import annotations

import torch
from torch import Tensor


def misaligned(tensor: Tensor) -> Tensor:
    """Returns a contiguous copy that begins one element after where memory begins."""
    copy = torch.empty(tensor.numel() + 1, dtype=tensor.dtype)[1:].view(tensor.shape)
    return copy.copy_(tensor)
