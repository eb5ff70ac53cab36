"""Rows of a table on a GPU: what `EmbeddingTable.gather_into` and `TakenRows.gradient` do natively on the CPU.

Results have the bits of the CPU. Each function takes a launcher first, and `checked`: ids and places were found to be
rows before they came here, and are not looked at again, for which the host would wait. Shapes and dtypes are looked at
in any case.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.engine.cuda.extents import of_teams
from graphkit.engine.cuda.launcher import Launcher
from graphkit.engine.table import require_gather, require_rows
from graphkit.errors import GraphkitError

_FILE = "gather"
_NAMES = {torch.float32: "f32", torch.bfloat16: "bf16"}


def gather_rows(
    launcher: Launcher, table: Tensor, ids: Tensor, places: Tensor | None, rows: Tensor, *, checked: bool = False
) -> None:
    """Copies rows of a table into others.

    Args:
        launcher: starts the kernel.
        table: float32[N, D], or bfloat16[N, D]; other dtypes and layouts are copied by torch.
        ids: int64[U], rows of the table.
        places: int64[U], the distinct rows that they are copied to; None = 0 to U-1.
        rows: float32[U or more, D], written.
        checked: see above.

    Raises:
        GraphkitError: shapes or dtypes do not go together, or an id or a place is no row; nothing was written.
    """
    require_gather(table, ids, places, rows, values=not checked)
    width = table.shape[1]
    if len(ids) == 0 or width == 0:
        return
    if table.dtype not in _NAMES or not table.is_contiguous() or not rows.is_contiguous():
        rows[slice(len(ids)) if places is None else places] = table[ids].float()
        return
    grid, block, lanes = of_teams(len(ids), _packs(width))
    placed = None if places is None else places.contiguous()
    arguments: list[Tensor | int | float | None] = [table, width, ids.contiguous(), placed, rows, len(ids), lanes]
    launcher.launch(_FILE, f"gather_rows_{_NAMES[table.dtype]}", grid, block, arguments)


def add_rows(launcher: Launcher, total: Tensor, places: Tensor, rows: Tensor, *, checked: bool = False) -> None:
    """Adds rows to others, those of one place in the order in which they occur.

    Args:
        launcher: starts the kernel.
        total: float32[U, D], contiguous, changed.
        places: int64[P], the rows that are added to; they may repeat.
        rows: float32[P, D].
        checked: see above.

    Raises:
        GraphkitError: shapes or dtypes do not go together, or a place is no row; nothing was written.
    """
    if total.dim() != 2 or total.dtype != torch.float32 or not total.is_contiguous():
        raise GraphkitError(
            f"rows that are added to are {total.dtype} of shape {tuple(total.shape)}; give contiguous float32 of shape "
            "(U, D)"
        )
    shape = (len(places), total.shape[1])
    if places.dim() != 1 or places.dtype != torch.int64 or rows.shape != shape or rows.dtype != total.dtype:
        raise GraphkitError(
            f"places are {places.dtype} of shape {tuple(places.shape)}, and {rows.dtype} of shape "
            f"{tuple(rows.shape)} is to be added to rows of width {total.shape[1]}; give int64 of shape (P,) and "
            f"float32 of shape (P, {total.shape[1]})"
        )
    if not checked:
        require_rows("place", places, "rows that are added to", len(total))
    if rows.numel() == 0:
        return
    ascending, order = places.sort(stable=True)
    grid, block, lanes = of_teams(len(places), _packs(shape[1]))
    arguments: list[Tensor | int | float | None] = [
        total,
        shape[1],
        ascending,
        order,
        rows.contiguous(),
        len(places),
        lanes,
    ]
    launcher.launch(_FILE, "gather_add_f32", grid, block, arguments)


def _packs(width: int) -> int:
    """Returns how many packs a row of the kernels has, if its memory is aligned."""
    return width // 4 if width % 4 == 0 else width
