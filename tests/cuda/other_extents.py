"""Launches of other extents than were asked for: a result must not depend on how many blocks and threads there are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from shim.launcher import ShimLauncher
from torch import Tensor

from graphkit.engine.cuda.launcher import Extent, Launcher

#: Kernels of pairs whose threads are in a line, where those of others are in a plane.
_IN_LINE = ("pair_scores_own_scores", "rank_counts_given")


class OtherExtents:
    """A `Launcher` of as many blocks, of as many threads each, whatever was asked for.

    Args:
        blocks: of a grid.
        threads: along x.
        inner: what runs the kernels.
        plane: threads along x and y of the kernels that have them in a plane; None = none has.
    """

    def __init__(self, blocks: int, threads: int, inner: Launcher, plane: tuple[int, int] | None = None) -> None:
        self._grid, self._line, self._inner = (blocks, 1, 1), (threads, 1, 1), inner
        self._plane = self._line if plane is None else (*plane, 1)

    def launch(
        self,
        file: str,
        kernel: str,
        grid: Extent,
        block: Extent,
        arguments: Sequence[Tensor | int | float | None],
    ) -> None:
        block = self._line if kernel.startswith(_IN_LINE) else self._plane
        self._inner.launch(file, kernel, self._grid, block, arguments)


#: As was asked for; a single thread; blocks that are no whole warps; more threads than there is work; any order.
LAUNCHERS: dict[str, Launcher] = {
    "as chosen": ShimLauncher(),
    "1 x 1": OtherExtents(1, 1, ShimLauncher()),
    "3 x 7": OtherExtents(3, 7, ShimLauncher()),
    "2 x 48": OtherExtents(2, 48, ShimLauncher(schedule_seed=1)),
    "1 x 512": OtherExtents(1, 512, ShimLauncher(schedule_seed=2)),
    "any order": ShimLauncher(schedule_seed=3),
}
launched = pytest.mark.parametrize("launcher", LAUNCHERS.values(), ids=LAUNCHERS)
