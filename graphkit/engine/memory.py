"""How the process holds its memory: huge pages for tables, and freed arrays kept for the next step."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit import _native


def in_huge_pages(tensor: Tensor) -> Tensor:
    """Asks the kernel to hold a contiguous tensor in huge pages, where it is host memory; returns it.

    Rows at random would miss the TLB for each 4 KiB otherwise. Asking is free for memory that nothing was written to
    yet; what is there already is moved at once, at about a second for each GB.
    """
    if tensor.device.type == "cpu" and tensor.is_contiguous() and tensor.numel() > 0:
        _native.use_huge_pages(tensor.detach().flatten().view(torch.uint8))
    return tensor


def keep_freed() -> None:
    """Lets the process keep up to a GiB of what it frees, for good, and serve new arrays below 32 MiB from that.

    A step of training frees and asks for the same arrays again and again, and pages that went back to the system come
    zeroed, one by one. Nothing happens where the C library is not glibc.
    """
    _native.keep_freed_memory()
