"""Pairs of random queries and rows, and launches of kernels that score them, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from shim.launcher import ShimLauncher
from torch import Tensor

from graphkit.engine.cuda.launcher import Extent, Launcher
from graphkit.engine.kernels import Kind

KINDS: tuple[Kind, ...] = get_args(Kind)

#: Weight of the distance within a box.
INSIDE = 0.3


@dataclass(frozen=True)
class RandomPairs:
    """Queries [V, W], rows [U, D], and places int64[V, K] of each query's own candidates, which may repeat."""

    kind: Kind
    queries: Tensor
    rows: Tensor
    places: Tensor

    @classmethod
    def draw(cls, kind: Kind, queries: int, rows: int, dim: int, own: int = 0, *, seed: int = 0) -> RandomPairs:
        generator = torch.Generator().manual_seed(seed)
        width = dim * (2 if kind in ("box", "centred") else 1)
        return cls(
            kind,
            torch.randn(queries, width, generator=generator),
            torch.randn(rows, dim, generator=generator),
            torch.randint(max(rows, 1), (queries, own), generator=generator),
        )


class OtherExtents:
    """A `Launcher` of other blocks, and fewer or more of them, than was asked for.

    Args:
        inner: what runs the kernels.
        blocks: of a grid.
        line: threads along x, where a kernel has them in a line.
        plane: threads along x and y, where it has them in a plane.
    """

    def __init__(self, inner: Launcher, blocks: int, line: int, plane: tuple[int, int]) -> None:
        self._inner, self._grid, self._line, self._plane = inner, (blocks, 1, 1), (line, 1, 1), (*plane, 1)

    def launch(
        self,
        file: str,
        kernel: str,
        grid: Extent,
        block: Extent,
        arguments: Sequence[Tensor | int | float | None],
    ) -> None:
        in_line = kernel.startswith(("pair_scores_own_scores", "rank_counts_given"))
        self._inner.launch(file, kernel, self._grid, self._line if in_line else self._plane, arguments)


#: One block of one warp; blocks that are long, or narrow; more blocks than there is work; any order.
LAUNCHERS: dict[str, Launcher] = {
    "1 of 32 and 8 x 4": OtherExtents(ShimLauncher(), 1, 32, (8, 4)),
    "3 of 64 and 4 x 16": OtherExtents(ShimLauncher(1), 3, 64, (4, 16)),
    "2 of 96 and 16 x 2": OtherExtents(ShimLauncher(2), 2, 96, (16, 2)),
    "40 of 128 and 16 x 16": OtherExtents(ShimLauncher(3), 40, 128, (16, 16)),
    "any order": ShimLauncher(4),
}


def misaligned(tensor: Tensor) -> Tensor:
    """Returns a contiguous copy that begins one element after where memory begins."""
    copy = torch.empty(tensor.numel() + 1, dtype=tensor.dtype)[1:].view(tensor.shape)
    return copy.copy_(tensor)
