"""Rows that are differentiated apart from the table that they stand in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit import _native
from graphkit.engine import buffers


def copied_rows(rows: Tensor, places: Tensor) -> Tensor:
    """Returns float32[P, D]: the rows of float32[U, D] at int64[P] places, all contiguous and in host memory."""
    copied = buffers.empty(len(places), rows.shape[1])
    _native.gather_rows(rows, places, None, copied, torch.get_num_threads())
    return copied


def added_rows(count: int, parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Returns float32[count, D]: sums of rows by their places, in the order of the parts; 0 where there is none.

    Args:
        count: U.
        parts: int64[P] places, and float32[P, D] rows, all contiguous and in host memory.
    """
    total = buffers.empty(count, parts[0][1].shape[1])
    places, rows = [places for places, _ in parts], [rows for _, rows in parts]
    _native.sum_rows(total, places, rows, False, torch.get_num_threads())
    return total


class TakenRows:
    """Rows of a step, some of which are taken out, and the gradient of all.

    Indexing a tensor that requires a gradient would make one of its full size for each time, and the gradient of a leaf
    would be copied. Here gradients are kept as they come, and those of rows taken out are added to the others in the
    end.

    Args:
        rows: float32[U, D], without gradient.
    """

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows
        self._native = rows.dim() == 2 and rows.dtype == torch.float32 and buffers.on_host(rows)
        self._root = torch.zeros((), requires_grad=True)
        # Gradients in the order of their coming, with their places; None for those of all rows. What is taken refers to
        # this list, and not to the object: with a cycle, gradients would stay until the garbage collector comes.
        self._found: list[tuple[Tensor | None, Tensor]] = []

    def take(self, places: Tensor) -> Tensor:
        """Returns float32[..., D], which requires a gradient: the rows at int64[...] places."""
        flat = places.reshape(-1).contiguous()
        rows = self._rows
        if self._native and rows.is_contiguous() and _native.first_bad_id(flat, len(rows)) < 0:
            taken = copied_rows(rows, flat)
        else:
            taken = rows.index_select(0, flat)  # which says what place is wrong
        return _tap(self._root, taken.view(*places.shape, -1), flat, self._found)

    def all(self) -> Tensor:
        """Returns the rows themselves, which require a gradient."""
        return _tap(self._root, self._rows, None, self._found)

    def gradient(self) -> Tensor:
        """Returns float32[U, D]: what was accumulated, that of all rows first, added up in the order of its coming."""
        whole = [part for places, part in self._found if places is None]
        placed = [(places, part.reshape(len(places), -1)) for places, part in self._found if places is not None]
        single, native = self._rows.dtype == torch.float32, self._native
        if whole:
            total = whole[0]
            if not total.is_contiguous() or any(total.data_ptr() == part.data_ptr() for part in whole[1:]):
                total = total.clone(memory_format=torch.contiguous_format)
            for part in whole[1:]:
                total += part
        else:
            total = buffers.empty(*self._rows.shape) if native else torch.zeros_like(self._rows)
        if native:
            _native.sum_rows(
                total,
                [places for places, _ in placed],
                [part.contiguous() for _, part in placed],
                bool(whole),
                torch.get_num_threads(),
            )
        for places, part in [] if native else placed:
            if single:
                add_rows_(total, places, part.contiguous())
            else:
                total.index_add_(0, places, part)
        self._found.clear()
        return total


@torch.library.custom_op("graphkit::add_rows_", mutates_args=("total",))
def add_rows_(total: Tensor, places: Tensor, rows: Tensor) -> None:
    """Adds float32[P, D] to the rows of `total` at int64[P] places, one after the other."""
    if total.device.type == "cpu":
        _native.sum_rows(total, [places], [rows], True, torch.get_num_threads())
    else:
        total.index_add_(0, places, rows)


@add_rows_.register_fake
def _(total: Tensor, places: Tensor, rows: Tensor) -> None:
    pass


def _tap(root: Tensor, rows: Tensor, places: Tensor | None, found: list[tuple[Tensor | None, Tensor]]) -> Tensor:
    tapped: Tensor = _Tap.apply(root, rows, places, found)  # type: ignore[no-untyped-call]  # torch has no types
    return tapped


class _Tap(torch.autograd.Function):
    """Rows as they are, whose gradient goes into a list."""

    @staticmethod
    def forward(
        ctx: Any, root: Tensor, rows: Tensor, places: Tensor | None, found: list[tuple[Tensor | None, Tensor]]
    ) -> Tensor:
        ctx.places, ctx.found = places, found
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None, None]:
        ctx.found.append((ctx.places, gradient))
        return None, None, None, None
