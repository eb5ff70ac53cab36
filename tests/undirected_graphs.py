"""What tests of partitions share: undirected graphs as adjacency matrices, drawn and by hand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_matrix


def undirected(nodes: int, edges: Iterable[tuple[int, int]]) -> csr_matrix:
    """float32[N, N] of ones: symmetric, without loops, each edge once."""
    pairs = np.array(sorted({pair for a, b in edges if a != b for pair in ((a, b), (b, a))}), dtype=np.int64)
    rows, columns = pairs.reshape(-1, 2).T
    return csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(nodes, nodes))


def cliques(count: int, size: int) -> csr_matrix:
    """A disjoint union of equal cliques; nodes of one stand side by side."""
    return undirected(
        count * size,
        ((c * size + a, c * size + b) for c in range(count) for a in range(size) for b in range(a)),
    )


def path(nodes: int) -> csr_matrix:
    return undirected(nodes, ((i, i + 1) for i in range(nodes - 1)))


def star(leaves: int) -> csr_matrix:
    """Node 0 in the middle."""
    return undirected(leaves + 1, ((0, leaf) for leaf in range(1, leaves + 1)))


@st.composite
def undirected_graphs(draw: st.DrawFn, *, max_nodes: int = 40) -> csr_matrix:
    """Any shape, with hubs and isolated nodes among them; at least two nodes and one edge."""
    nodes = draw(st.integers(2, max_nodes))
    hubs = draw(st.integers(1, nodes))  # few: they have many neighbours
    ends = st.tuples(st.integers(0, hubs - 1), st.integers(0, nodes - 1)).filter(lambda ends: ends[0] != ends[1])
    return undirected(nodes, draw(st.lists(ends, min_size=1, max_size=4 * nodes)))
