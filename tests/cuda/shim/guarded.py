"""The memory of a kernel's arguments, and copies of it with room around, so that what lies beyond one is no other's."""

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
class Span:
    """Bytes of one storage that arguments use, from the first to the last."""

    begin: int
    end: int


def spans_of(arguments: Sequence[object]) -> dict[int, Span]:
    """Returns the span of each storage, by its address."""
    spans: dict[int, Span] = {}
    for tensor in arguments:
        if isinstance(tensor, Tensor):
            begin, end = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
            span = spans.setdefault(tensor.untyped_storage().data_ptr(), Span(begin, end))
            span.begin, span.end = min(span.begin, begin), max(span.end, end)
    return spans


class GuardedArguments:
    """Memory of tensors, copied; tensors that share memory share the copy.

    Args:
        arguments: what a kernel is given; those that are no tensors are left alone.
    """

    def __init__(self, arguments: Sequence[object]) -> None:
        self._spans = spans_of(arguments)
        size = sum(span.end - span.begin + 2 * _ALIGNMENT + _GUARD for span in self._spans.values()) + _GUARD
        self._memory = torch.full((size,), 0xFF, dtype=torch.uint8)
        self._copies: dict[int, int] = {}
        place = self._memory.data_ptr() + _GUARD
        for storage, span in self._spans.items():
            copy = self._copies[storage] = place + (span.begin - place) % _ALIGNMENT
            ctypes.memmove(copy, span.begin, span.end - span.begin)
            place = copy + span.end - span.begin + _GUARD

    def address(self, tensor: Tensor) -> int:
        """Returns where the copy of a tensor begins."""
        storage = tensor.untyped_storage().data_ptr()
        return self._copies[storage] + tensor.data_ptr() - self._spans[storage].begin

    def copy_back(self) -> None:
        """Gives the tensors what their copies hold now."""
        for storage, span in self._spans.items():
            ctypes.memmove(span.begin, self._copies[storage], span.end - span.begin)
