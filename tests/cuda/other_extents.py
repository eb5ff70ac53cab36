"""Launches of other extents than were asked for: a result must not depend on how many blocks and threads there are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from shim.launcher import ShimLauncher
from torch import Tensor

from graphkit.engine.cuda.launcher import Extent, Launcher


class OtherExtents:
    """A `Launcher` of as many blocks, of as many threads each, whatever was asked for."""

    def __init__(self, blocks: int, threads: int, inner: Launcher) -> None:
        self._grid, self._block, self._inner = (blocks, 1, 1), (threads, 1, 1), inner

    def launch(
        self,
        file: str,
        kernel: str,
        grid: Extent,
        block: Extent,
        arguments: Sequence[Tensor | int | float | None],
    ) -> None:
        self._inner.launch(file, kernel, self._grid, self._block, arguments)


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
