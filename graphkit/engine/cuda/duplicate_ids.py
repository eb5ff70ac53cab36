"""Gradients of equal ids on a GPU: what `graphkit.engine.kernels.duplicate_ids` adds up natively on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.engine.cuda.extents import of_teams
from graphkit.engine.cuda.launcher import Launcher
from graphkit.engine.kernels.duplicate_ids import reference, require_gradients

_FILE = "duplicate_ids"
_NAMES = {torch.float32: "f32", torch.bfloat16: "bf16"}


def reduce_duplicates(
    launcher: Launcher, ids: Tensor, gradients: Tensor, *, checked: bool = False
) -> tuple[Tensor, Tensor]:
    """Adds up the gradients of equal ids, in the order in which they occur.

    The sort is torch's. The host waits for the number of distinct ids.

    Args:
        launcher: starts the kernel.
        ids: int64[P], from 0 to 2**32 - 1.
        gradients: float32[P, D], whose sums have the bits of the CPU; or bfloat16[P, D], added as float32 and rounded
            once. Other dtypes are added by the twin.
        checked: ids were looked at before they came here.

    Returns:
        int64[U] distinct ids, ascending, and their sums [U, D], of the dtype of gradients.

    Raises:
        GraphkitError: as `graphkit.engine.kernels.reduce_duplicates` says.
    """
    require_gradients(ids, gradients, values=not checked)
    if gradients.dtype not in _NAMES:
        return reference(ids, gradients)
    ascending, order = ids.sort(stable=True)
    distinct, counts = torch.unique_consecutive(ascending, return_counts=True)
    offsets = torch.nn.functional.pad(counts.cumsum(0), (1, 0))
    groups, width = len(distinct), gradients.shape[1]
    sums = gradients.new_empty(groups, width)
    if sums.numel():
        grid, block, lanes = of_teams(groups, width // 4 if width % 4 == 0 else width)
        arguments: list[Tensor | int | float | None] = [
            gradients.contiguous(),
            width,
            order,
            offsets,
            sums,
            groups,
            lanes,
        ]
        launcher.launch(_FILE, f"duplicate_ids_sums_{_NAMES[gradients.dtype]}", grid, block, arguments)
    return distinct, sums
