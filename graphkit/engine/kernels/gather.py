"""Rows of a table, copied."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit import _native
from graphkit.engine.kernels.sparse_optimizers import require_ids


def gather_rows(table: Tensor, ids: Tensor) -> Tensor:
    """Copies rows of a table; those of bfloat16 become float32.

    Contiguous float32 and bfloat16 in host memory are copied natively, on as many threads as torch uses, with the rows
    to come fetched ahead; everything else by the twin, `reference`.

    Args:
        table: float32[N, D], or bfloat16; not differentiated.
        ids: int64[U], from 0 to N - 1.

    Returns:
        float32[U, D].

    Raises:
        GraphkitError: an id is no row.
    """
    require_ids(ids, len(table))
    native = table.dtype in (torch.float32, torch.bfloat16) and table.is_contiguous()
    if not native or table.device.type != "cpu" or ids.device.type != "cpu":
        return reference(table, ids)
    rows: Tensor = _gather_rows(table.detach(), ids.contiguous())
    return rows


def reference(table: Tensor, ids: Tensor) -> Tensor:
    """The plain twin that defines `gather_rows`; any floating dtype."""
    rows = table.detach().index_select(0, ids)
    return rows.float() if rows.dtype == torch.bfloat16 else rows


@torch.library.custom_op("graphkit::gather_rows", mutates_args=())
def _gather_rows(table: Tensor, ids: Tensor) -> Tensor:
    rows = torch.empty(len(ids), table.shape[1])
    bits = table.view(torch.int16) if table.dtype == torch.bfloat16 else table
    _native.gather_rows(bits, ids, rows, torch.get_num_threads())
    return rows


@_gather_rows.register_fake
def _(table: Tensor, ids: Tensor) -> Tensor:
    return table.new_empty(ids.shape[0], table.shape[1], dtype=torch.float32)
