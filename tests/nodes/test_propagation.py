"""The normalised adjacency equals its formula, and products with it equal dense ones, gradients too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from graphkit import GraphkitError
from graphkit.nodes.propagation import hop_features, normalized, product, propagate, sparse_csr


def random_weights(nodes: int, share: float, seed: int, *, diagonal: bool = False) -> NDArray[np.float32]:
    """Symmetric weights, as a compressed graph has them: counts, and loops where asked."""
    generator = np.random.default_rng(seed)
    weights = np.triu(generator.integers(1, 5, (nodes, nodes)) * (generator.random((nodes, nodes)) < share), k=1)
    return (weights + weights.T + np.diag(generator.integers(0, 3, nodes)) * diagonal).astype(np.float32)


def dense_normalized(weights: NDArray[np.float32], *, loops: bool) -> Tensor:
    matrix = torch.from_numpy(weights).double() + loops * torch.eye(len(weights), dtype=torch.float64)
    root = matrix.sum(dim=1).rsqrt()
    root[root.isinf()] = 0
    return root[:, None] * matrix * root


def rows(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@given(
    nodes=st.integers(1, 12),
    share=st.sampled_from([0.0, 0.2, 0.7]),
    seed=st.integers(0, 999),
    loops=st.booleans(),
    diagonal=st.booleans(),
)
def test_normalized_equals_its_formula(nodes: int, share: float, seed: int, loops: bool, diagonal: bool) -> None:
    weights = random_weights(nodes, share, seed, diagonal=diagonal)
    found = normalized(csr_matrix(weights), loops=loops)
    assert (found.layout, found.dtype) == (torch.sparse_csr, torch.float32)
    torch.testing.assert_close(found.to_dense().double(), dense_normalized(weights, loops=loops), rtol=1e-6, atol=1e-7)


def test_normalized_of_a_path_has_these_values() -> None:
    # 0 ─ 1 ─ 2, and 3 alone: degrees with loops 2, 3, 2, 1
    path = csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=np.float32))
    side = 6**-0.5
    expected = [[1 / 2, side, 0, 0], [side, 1 / 3, side, 0], [0, side, 1 / 2, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(normalized(path).to_dense(), torch.tensor(expected))
    assert not normalized(path, loops=False).to_dense()[3].any()


def test_without_loops_indices_are_shared_even_if_they_may_only_be_read() -> None:
    adjacency = csr_matrix(random_weights(6, 0.6, 1))
    adjacency.indices.flags.writeable = False
    found = normalized(adjacency, loops=False)
    assert found.col_indices().data_ptr() == adjacency.indices.ctypes.data


@given(nodes=st.integers(1, 10), width=st.integers(1, 5), seed=st.integers(0, 999), transposed=st.booleans())
def test_products_and_their_gradients_equal_dense_ones(nodes: int, width: int, seed: int, transposed: bool) -> None:
    matrix = normalized(csr_matrix(random_weights(nodes, 0.5, seed))).double()
    x = rows(width, nodes, seed).double().T if transposed else rows(nodes, width, seed).double()
    weights = rows(nodes, width, seed + 1).double()
    assert torch.equal(product(matrix, x), matrix @ x)
    x.requires_grad_()
    (found,) = torch.autograd.grad((propagate(matrix, x) * weights).sum(), x)
    torch.testing.assert_close(propagate(matrix, x), matrix.to_dense() @ x)
    torch.testing.assert_close(found, matrix.to_dense().T @ weights)


def test_a_product_adds_up_entries_that_stand_twice_and_in_any_order() -> None:
    matrix = sparse_csr(np.array([0, 3, 4]), np.array([1, 0, 1]).repeat([1, 1, 2]), np.arange(1.0, 5.0), (2, 2))
    found = product(matrix, torch.eye(2, dtype=torch.float64))
    assert found.tolist() == [[2.0, 1.0 + 3.0], [0.0, 4.0]]


def test_hop_features_are_powers_of_the_adjacency_one_at_a_time() -> None:
    matrix, x = normalized(csr_matrix(random_weights(7, 0.4, 3))), rows(7, 4)
    hops = hop_features(matrix, x, 3)
    assert next(hops) is x
    for power, found in enumerate(hops, start=1):
        torch.testing.assert_close(found, torch.linalg.matrix_power(matrix.to_dense(), power) @ x)
    assert power == 3
    assert len(list(hop_features(matrix, x, 0))) == 1


def test_sizes_that_do_not_agree_are_refused() -> None:
    with pytest.raises(GraphkitError) as error:
        propagate(normalized(csr_matrix(random_weights(7, 0.4, 3))), rows(6, 4))
    assert str(error.value) == "the features have 6 rows and the adjacency has 7 nodes; give both of one graph"
