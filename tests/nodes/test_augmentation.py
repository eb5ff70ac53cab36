"""Views of a graph: whole undirected edges are dropped, whole columns are masked, and the generator decides alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from graphkit import GraphkitError
from graphkit.nodes.augmentation import EdgeDropper, drop_edges, mask_features
from graphkit.nodes.propagation import normalized


def random_adjacency(nodes: int, seed: int, share: float = 0.4) -> csr_matrix:
    drawn = np.triu(np.random.default_rng(seed).random((nodes, nodes)) < share, k=1)
    return csr_matrix((drawn | drawn.T).astype(np.float32))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(nodes=st.integers(1, 15), rate=st.floats(0, 1), seed=st.integers(0, 999))
def test_what_is_left_is_the_normalised_adjacency_of_some_of_the_edges(nodes: int, rate: float, seed: int) -> None:
    adjacency = random_adjacency(nodes, seed)
    view = drop_edges(adjacency, rate, generator(seed)).to_dense()
    assert torch.equal(view, view.T)
    kept = (view.numpy() > 0) & ~np.eye(nodes, dtype=bool)
    assert not (kept & (adjacency.toarray() == 0)).any()
    expected = normalized(csr_matrix(kept.astype(np.float32))).to_dense()
    torch.testing.assert_close(view, expected)


@given(nodes=st.integers(1, 15), seed=st.integers(0, 999))
def test_views_of_one_dropper_are_those_of_a_plain_one(nodes: int, seed: int) -> None:
    """Edges are numbered by rows of the upper triangle, and each view draws one number an edge."""
    adjacency, dropper_draws, draws = random_adjacency(nodes, seed), generator(seed), generator(seed)
    dropper, upper = EdgeDropper(adjacency), np.argwhere(np.triu(adjacency.toarray(), k=1))
    for rate in (0.5, 0.2):
        kept = upper[torch.rand(len(upper), generator=draws).numpy() >= rate]
        plain = np.zeros((nodes, nodes), np.float32)
        plain[kept[:, 0], kept[:, 1]] = plain[kept[:, 1], kept[:, 0]] = 1
        assert torch.equal(dropper(rate, dropper_draws).to_dense(), normalized(csr_matrix(plain)).to_dense())


def test_the_rates_0_and_1_drop_nothing_and_all() -> None:
    adjacency = random_adjacency(10, 1)
    before = adjacency.copy()
    assert torch.equal(drop_edges(adjacency, 0.0, generator()).to_dense(), normalized(adjacency).to_dense())
    assert torch.equal(drop_edges(adjacency, 1.0, generator()).to_dense(), torch.eye(10))
    assert (adjacency != before).nnz == 0


def test_the_share_of_dropped_edges_is_the_rate() -> None:
    adjacency = random_adjacency(300, 2)
    edges = adjacency.nnz / 2
    kept = (drop_edges(adjacency, 0.3, generator()).values().numel() - 300) / 2
    assert abs(kept - 0.7 * edges) < 5 * (0.3 * 0.7 * edges) ** 0.5


def test_masked_columns_are_zero_in_all_rows_and_others_stay() -> None:
    x = torch.rand(20, 400, generator=generator(1)) + 1
    before, masked = x.clone(), mask_features(x, 0.25, generator())
    zero = (masked == 0).all(dim=0)
    assert torch.equal(masked[:, ~zero], x[:, ~zero])
    assert abs(int(zero.sum()) - 100) < 5 * (0.25 * 0.75 * 400) ** 0.5
    assert torch.equal(x, before)
    assert torch.equal(mask_features(x, 0.0, generator()), x)
    assert not mask_features(x, 1.0, generator()).any()


def test_a_view_repeats_with_its_generator_and_the_next_one_differs() -> None:
    adjacency, x = random_adjacency(30, 3), torch.ones(2, 60)
    one, other = generator(7), generator(7)
    first = drop_edges(adjacency, 0.5, one).to_dense(), mask_features(x, 0.5, one)
    again = drop_edges(adjacency, 0.5, other).to_dense(), mask_features(x, 0.5, other)
    following = drop_edges(adjacency, 0.5, one).to_dense(), mask_features(x, 0.5, one)
    for part, same, different in zip(first, again, following, strict=True):
        assert torch.equal(part, same)
        assert not torch.equal(part, different)


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_a_rate_that_is_no_probability_is_refused(rate: float) -> None:
    with pytest.raises(GraphkitError) as error:
        drop_edges(random_adjacency(3, 0), rate, generator())
    assert str(error.value) == f"the rate of dropping edges is {rate}, and 0 to 1 is allowed"
    with pytest.raises(GraphkitError) as error:
        mask_features(torch.ones(2, 2), rate, generator())
    assert str(error.value) == f"the rate of masking features is {rate}, and 0 to 1 is allowed"
