"""Rows that are differentiated apart from the table that they stand in."""

from __future__ import annotations

from torch import Tensor

from graphkit.engine import buffers


class TakenRows:
    """Rows of a step, some of which are taken out, and the gradient of all.

    Indexing a tensor that requires a gradient would make one of its full size for each time. Here the rows taken out
    have gradients of their own, which are added to the others in the end.

    Args:
        rows: float32[U, D], without gradient.
    """

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows
        self._all: Tensor | None = None
        self._taken: list[tuple[Tensor, Tensor]] = []

    def take(self, places: Tensor) -> Tensor:
        """Returns float32[..., D], which requires a gradient: the rows at int64[...] places."""
        taken = self._rows.index_select(0, places.reshape(-1)).view(*places.shape, -1)
        leaf = taken.requires_grad_()
        self._taken.append((places, leaf))
        return leaf

    def all(self) -> Tensor:
        """Returns the rows themselves, which require a gradient."""
        if self._all is None:
            self._all = self._rows.detach().requires_grad_()
        return self._all

    def gradient(self) -> Tensor:
        """Returns float32[U, D]: what was accumulated, added up in the order of taking."""
        total = None if self._all is None else self._all.grad
        if total is None:
            total = buffers.empty(*self._rows.shape).zero_()
        for places, leaf in self._taken:
            if leaf.grad is not None:
                total.index_add_(0, places.reshape(-1), leaf.grad.reshape(-1, leaf.shape[-1]))
        return total
