"""Pieces of a graph that fit into memory beside it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

#: Entries of an adjacency that are looked at together.
BLOCK_ENTRIES = 1 << 20


def row_blocks(starts: NDArray[np.integer]) -> Iterator[slice]:
    """Yields slices of consecutive rows that cover all, each with at most `BLOCK_ENTRIES` or of one row alone.

    Args:
        starts: [rows + 1], where the entries of each row begin (the ``indptr`` of a CSR matrix).
    """
    first, rows = 0, len(starts) - 1
    while first < rows:
        # As many rows as end within the limit, and at least one.
        last = int(np.searchsorted(starts, starts[first] + BLOCK_ENTRIES, side="right")) - 1
        last = min(max(last, first + 1), rows)
        yield slice(first, last)
        first = last
