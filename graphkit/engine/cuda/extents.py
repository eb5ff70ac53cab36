"""How many blocks, of how many threads: from shapes alone, so that the same work has the same extents on every card."""

from __future__ import annotations

from graphkit.engine.cuda.launcher import Extent

#: Threads of a warp.
WARP = 32

#: Threads of a block where teams share it: enough blocks for every multiprocessor even of few rows.
_THREADS_OF_TEAMS = 128

#: Most threads of a block.
_MOST_THREADS = 1024

#: Most blocks of a grid: several times what any card runs at once. Kernels go round for the rest.
_MOST_BLOCKS = 2**16


def of_teams(rows: int, items: int) -> tuple[Extent, Extent, int]:
    """Returns grid, block and lanes of a team (see `cuda/warp_sums.cuh`), where each takes a row of some items.

    Args:
        rows: 1 or more.
        items: what a thread takes at a time, so many of which a row has; 1 or more.
    """
    lanes = min(WARP, 1 << (items - 1).bit_length())
    teams = _THREADS_OF_TEAMS // lanes
    return _line(-(-rows // teams)), (_THREADS_OF_TEAMS, 1, 1), lanes


def of_blocks(pieces: int, items: int, *, items_of_thread: int = 4) -> tuple[Extent, Extent]:
    """Returns grid and block where each block takes a piece of some items.

    Args:
        pieces: 1 or more.
        items: of each piece, 0 or more.
        items_of_thread: that a thread should have, if the block is not as large as can be by then.
    """
    warps = -(-items // (items_of_thread * WARP))
    return _line(pieces), (min(_MOST_THREADS, WARP * max(1, warps)), 1, 1)


def _line(blocks: int) -> Extent:
    return (min(blocks, _MOST_BLOCKS), 1, 1)
