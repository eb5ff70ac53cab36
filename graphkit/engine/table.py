"""Embedding tables in host memory: rows are gathered for a step, and written back by a sparse optimiser."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit import _native
from graphkit.engine import buffers
from graphkit.engine.memory import in_huge_pages
from graphkit.engine.optimizers import RowOptimizer
from graphkit.errors import GraphkitError


class EmbeddingTable:
    """N rows of D reals, with the state of their optimiser.

    Tables that are trained are held in huge pages, with their state, where the kernel grants them.

    Args:
        weight: float32[N, D], taken over, not copied; or bfloat16, half as large, whose updates are rounded
            stochastically and whose rows are float32 once gathered.
        optimizer: the update rule; None for a table that is only read.
    """

    def __init__(self, weight: Tensor, optimizer: RowOptimizer | None = None) -> None:
        self.weight = weight if optimizer is None else in_huge_pages(weight)
        self.optimizer = optimizer
        self.state = optimizer.new_state(weight) if optimizer is not None else {}

    def __len__(self) -> int:
        return len(self.weight)

    def gather(self, ids: Tensor) -> Tensor:
        """Returns float32[U, D]: a copy of the rows of int64[U] `ids`."""
        return _reals(self.weight.index_select(0, ids))

    def empty_rows(self, count: int) -> Tensor:
        """Returns float32[count, D], to be filled by `gather_into`."""
        return buffers.empty(count, self.weight.shape[1])

    def gather_into(self, ids: Tensor, places: Tensor | None, rows: Tensor) -> None:
        """Copies rows of the table into others.

        Args:
            ids: int64[U], rows of the table.
            places: int64[U], the rows that they are copied to; None = 0 to U-1.
            rows: float32[U or more, D], written.

        Raises:
            GraphkitError: shapes or dtypes do not go together, or an id or a place is no row; nothing was written.
        """
        require_gather(self.weight, ids, places, rows)
        if self.weight.dtype == torch.float32 and self.weight.is_contiguous() and rows.is_contiguous():
            places = None if places is None else places.contiguous()
            _native.gather_rows(self.weight, ids.contiguous(), places, rows, torch.get_num_threads())
        else:
            rows[slice(len(ids)) if places is None else places] = self.gather(ids)

    def update(self, ids: Tensor | None, gradient: Tensor) -> None:
        """Applies one optimiser step to rows.

        Args:
            ids: int64[U]; None = all rows. Gradients of equal ids are added up.
            gradient: float32[U, D].

        Raises:
            GraphkitError: the table has no optimiser, or as `RowOptimizer.step`.
        """
        if self.optimizer is None:
            raise GraphkitError("this table was opened for reading; give it an optimizer to train it")
        with torch.no_grad():
            self.optimizer.step(self.weight, self.state, ids, gradient)

    def slice(self, start: int, stop: int) -> Tensor:
        """Returns float32[stop - start, D]: rows `start` to `stop`, to be read, perhaps without a copy."""
        return _reals(self.weight[start:stop])

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the optimiser's state; the rows are `weight`."""
        return dict(self.state)

    def load_state_dict(self, weight: Tensor, state: dict[str, Tensor]) -> None:
        """Restores rows and optimiser state of a table of the same shape."""
        if weight.shape != self.weight.shape:
            raise GraphkitError(
                f"the checkpoint's table has shape {tuple(weight.shape)} and the model's {tuple(self.weight.shape)}; "
                "resume with the settings that the run was started with"
            )
        self.weight.copy_(weight)
        for name, values in state.items():
            self.state[name].copy_(values)


def require_gather(table: Tensor, ids: Tensor, places: Tensor | None, rows: Tensor, *, values: bool = True) -> None:
    """Makes sure that what rows are gathered by goes together: a copy would leave the arrays.

    Args:
        table: [N, D].
        ids: as `EmbeddingTable.gather_into` takes them, as are places and rows.
        places: see there.
        rows: see there.
        values: whether ids and places are looked at, for which the host waits for a GPU.

    Raises:
        GraphkitError: as there.
    """
    width = table.shape[1]
    if rows.dim() != 2 or rows.shape[1] != width or rows.dtype != torch.float32:
        raise GraphkitError(
            f"rows are {rows.dtype} of shape {tuple(rows.shape)} for a table of width {width}; give float32 of "
            f"shape (U, {width})"
        )
    if ids.dim() != 1 or ids.dtype != torch.int64:
        raise GraphkitError(f"ids are {ids.dtype} of shape {tuple(ids.shape)}; give int64 of shape (U,)")
    if places is not None and (places.shape != ids.shape or places.dtype != torch.int64):
        raise GraphkitError(
            f"places are {places.dtype} of shape {tuple(places.shape)} for {len(ids)} ids; give int64 of shape "
            f"({len(ids)},), or None"
        )
    if places is None and len(ids) > len(rows):
        raise GraphkitError(f"{len(ids)} ids are to be gathered into {len(rows)} rows; give a row for each id")
    if not values:
        return
    require_rows("id", ids, "rows of the table", len(table))
    if places is not None:
        require_rows("place", places, "rows to be written", len(rows))


def require_rows(name: str, ids: Tensor, where: str, size: int) -> None:
    """Makes sure that ids are rows.

    Args:
        name: what an id is called in an error.
        ids: int64[U], on any device; the host waits for a GPU.
        where: the rows, as an error calls them.
        size: how many there are.

    Raises:
        GraphkitError: an id is below 0, or `size` or more.
    """
    wrong = _native.first_bad_id(ids.cpu().contiguous(), size)
    if wrong >= 0:
        raise GraphkitError(
            f"{name} {ids[wrong]}, number {wrong}, is none of the {size} {where}, and nothing was written; give "
            f"{name}s from 0 to {size - 1}"
        )


def _reals(rows: Tensor) -> Tensor:
    """Returns rows as they are computed with: those of bfloat16 as float32."""
    return rows.float() if rows.dtype == torch.bfloat16 else rows
