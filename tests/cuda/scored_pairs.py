"""Pairs of random queries and rows, and launches of kernels that score them, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from other_extents import OtherExtents
from shim.launcher import ShimLauncher
from torch import Tensor

from graphkit.engine.cuda.launcher import Launcher
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


#: One block of one warp; blocks that are long, or narrow; more blocks than there is work; any order.
LAUNCHERS: dict[str, Launcher] = {
    "1 of 32 and 8 x 4": OtherExtents(1, 32, ShimLauncher(), (8, 4)),
    "3 of 64 and 4 x 16": OtherExtents(3, 64, ShimLauncher(1), (4, 16)),
    "2 of 96 and 16 x 2": OtherExtents(2, 96, ShimLauncher(2), (16, 2)),
    "40 of 128 and 16 x 16": OtherExtents(40, 128, ShimLauncher(3), (16, 16)),
    "any order": ShimLauncher(4),
}
