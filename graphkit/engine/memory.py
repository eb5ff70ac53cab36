"""Huge pages for tables: rows at random would miss the TLB for each 4 KiB otherwise."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit import _native


def in_huge_pages(tensor: Tensor) -> Tensor:
    """Asks the kernel to hold a contiguous tensor in huge pages, where it is host memory; returns it.

    That is free for memory that nothing was written to yet. What is there already is moved at once, at about a second
    for each GB.
    """
    if tensor.device.type == "cpu" and tensor.is_contiguous() and tensor.numel() > 0:
        _native.use_huge_pages(tensor.detach().flatten().view(torch.uint8))
    return tensor
