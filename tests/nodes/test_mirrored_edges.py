"""Whether a structure is symmetric is found block by block, as a transpose would find it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from graphkit.nodes import graph as node_graph


@given(
    st.integers(1, 9), st.integers(0, 2**32 - 1), st.integers(1, 7), st.sampled_from(["any", "symmetric", "one off"])
)
def test_a_structure_is_mirrored_if_it_equals_its_transpose(nodes: int, seed: int, block: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    dense = rng.random((nodes, nodes)) < rng.random()
    if kind != "any":
        dense |= dense.T
        np.fill_diagonal(dense, False)
    if kind == "one off":
        dense[tuple(rng.integers(nodes, size=2))] ^= True
    matrix = csr_matrix(dense)
    expected = bool(np.array_equal(dense, dense.T) and not dense.diagonal().any())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(node_graph, "_ENTRIES_AT_ONCE", block)
        assert node_graph._is_mirrored(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)) == expected
