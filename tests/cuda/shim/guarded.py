"""Copies of a kernel's arguments with room around them, so that what lies beyond one is no other's."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Bytes around each copy, a multiple of any alignment.
_GUARD = 2**16

#: Copies keep their addresses' remainder by this.
_ALIGNMENT = 256


@dataclass
class _Span:
    """Bytes of one storage that arguments use, from the first to the last, and where their copy begins."""

    begin: int
    end: int
    copy: int = 0


class GuardedArguments:
    """Memory of tensors, copied; tensors that share memory share the copy.

    Args:
        arguments: what a kernel is given; those that are no tensors are left alone.
    """

    def __init__(self, arguments: Sequence[object]) -> None:
        self._spans: dict[int, _Span] = {}
        tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
        for tensor in tensors:
            begin, end = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
            span = self._spans.setdefault(tensor.untyped_storage().data_ptr(), _Span(begin, end))
            span.begin, span.end = min(span.begin, begin), max(span.end, end)
        size = sum(span.end - span.begin + 2 * _ALIGNMENT + _GUARD for span in self._spans.values()) + _GUARD
        self._memory = torch.full((size,), 0xFF, dtype=torch.uint8)
        place = self._memory.data_ptr() + _GUARD
        for span in self._spans.values():
            span.copy = place + (span.begin - place) % _ALIGNMENT
            ctypes.memmove(span.copy, span.begin, span.end - span.begin)
            place = span.copy + span.end - span.begin + _GUARD

    def address(self, tensor: Tensor) -> int:
        """Returns where the copy of a tensor begins."""
        span = self._spans[tensor.untyped_storage().data_ptr()]
        return span.copy + tensor.data_ptr() - span.begin

    def copy_back(self) -> None:
        """Gives the tensors what their copies hold now."""
        for span in self._spans.values():
            ctypes.memmove(span.begin, span.copy, span.end - span.begin)
