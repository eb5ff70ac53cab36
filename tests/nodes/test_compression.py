"""Compressed graphs: the laws of StructComp's matrices, sums by hand, and features that do not fit into memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, diags_array
from torch import Tensor
from undirected_graphs import cliques, star, undirected, undirected_graphs

from graphkit import GraphkitError
from graphkit.nodes import Partition, compressed_adjacency, membership, normalized, pool, pool_neighborhoods

BLOCK = "graphkit.nodes.blocks.BLOCK_ENTRIES"


@st.composite
def partitions(draw: st.DrawFn, nodes: int | None = None) -> Partition:
    """Partitions of so many nodes, or of any number."""
    nodes = draw(st.integers(1, 30)) if nodes is None else nodes
    return Partition.of(draw(st.lists(st.integers(0, 8), min_size=nodes, max_size=nodes)))


@st.composite
def cut_graphs(draw: st.DrawFn) -> tuple[csr_matrix, Partition]:
    adjacency = draw(undirected_graphs(max_nodes=25))
    return adjacency, draw(partitions(adjacency.shape[0]))


def features(partition: Partition, width: int = 5, seed: int = 0) -> Tensor:
    """Whole numbers: their sums are exact in any order."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(-50, 50, (partition.num_nodes, width)).astype(np.float32))


# ----------------------------------------------------------------------------------------------------------- membership


@given(partitions())
def test_a_row_of_the_membership_has_one_entry_and_a_column_those_of_its_cluster(made: Partition) -> None:
    found = membership(made)
    assert found.shape == (made.num_nodes, made.num_clusters)
    assert found.dtype == np.float32
    assert np.asarray(found.sum(axis=1)).ravel().tolist() == [1] * made.num_nodes
    assert np.asarray(found.sum(axis=0)).ravel().tolist() == made.sizes.tolist()
    assert int(made.sizes.min()) >= 1


@given(partitions())
def test_means_of_memberships_and_orthonormal_ones_are_the_identity(made: Partition) -> None:
    plain, orthonormal = membership(made), membership(made, orthonormal=True)
    means = plain @ diags_array(1 / made.sizes.numpy())
    np.testing.assert_allclose((means.T @ plain).toarray(), np.eye(made.num_clusters), atol=1e-6)
    np.testing.assert_allclose((orthonormal.T @ orthonormal).toarray(), np.eye(made.num_clusters), atol=1e-6)


# ----------------------------------------------------------------------------------------------------------------- pool


@given(partitions(), st.integers(0, 9))
def test_pooled_features_are_means_of_the_membership(made: Partition, seed: int) -> None:
    x = features(made, seed=seed)
    means = (membership(made).T @ x.numpy()).astype(np.float64) / made.sizes.numpy()[:, None]
    pooled = pool(x, made)
    assert pooled.dtype == torch.float32
    np.testing.assert_allclose(pooled, means, rtol=1e-6)


@given(partitions(), st.integers(0, 9))
def test_pooled_features_lie_between_those_of_members_and_keep_totals(made: Partition, seed: int) -> None:
    x = features(made, seed=seed)
    pooled = pool(x, made)
    for cluster in range(made.num_clusters):
        own = x[made.assignment == cluster]
        assert bool((own.amin(0) <= pooled[cluster]).all())
        assert bool((pooled[cluster] <= own.amax(0)).all())
    torch.testing.assert_close((pooled * made.sizes[:, None]).sum(0), x.sum(0), rtol=1e-5, atol=1e-3)


def test_a_cluster_for_each_node_leaves_features_as_they_are() -> None:
    x = torch.randn(9, 4)
    assert torch.equal(pool(x, Partition.singletons(9)), x)
    order = torch.tensor([3, 1, 0, 2])
    assert torch.equal(pool(x[:4], Partition(order))[order], x[:4])


def test_one_cluster_is_the_mean_of_the_columns() -> None:
    x = torch.randn(50, 4)
    torch.testing.assert_close(pool(x, Partition.of([0] * 50)), x.mean(0, keepdim=True))


@given(cut_graphs(), st.integers(0, 99))
def test_other_names_of_nodes_change_nothing(drawn: tuple[csr_matrix, Partition], seed: int) -> None:
    adjacency, made = drawn
    order = np.random.default_rng(seed).permutation(made.num_nodes)
    renamed, x = Partition(made.assignment[order]), features(made)
    torch.testing.assert_close(pool(x[order], renamed), pool(x, made), rtol=1e-6, atol=1e-5)
    moved = csr_matrix(adjacency[order][:, order])
    assert (compressed_adjacency(moved, renamed) != compressed_adjacency(adjacency, made)).nnz == 0


def test_members_that_are_kept_alone_are_pooled() -> None:
    x = torch.arange(12, dtype=torch.float32).view(6, 2)
    found = pool(x, (torch.tensor([0, 1, 3]), torch.tensor([5, 0, 4])))
    assert found.tolist() == [[10, 11], [4, 5]]


@given(partitions(), st.sampled_from([1, 2, 7]))
def test_blocks_change_no_bit(made: Partition, block: int) -> None:
    x = torch.randn(made.num_nodes, 3)
    whole = pool(x, made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BLOCK, block)
        assert torch.equal(pool(x, made), whole)


@given(cut_graphs(), st.sampled_from([1, 5, 1 << 20]))
def test_pooled_neighbourhoods_are_the_means_of_propagated_features(
    drawn: tuple[csr_matrix, Partition], block: int
) -> None:
    adjacency, made = drawn
    x = features(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BLOCK, block)
        found = pool_neighborhoods(x, adjacency, made)
    torch.testing.assert_close(found, pool(normalized(adjacency) @ x, made), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("clusters", [2, 1000])
def test_pooled_neighbourhoods_of_hubs_keep_their_digits(clusters: int) -> None:
    """A star: added up in float32, the rows of 300,000 leaves lose all but three digits."""
    leaves = 300_000
    adjacency = star(leaves)
    made = Partition.of(torch.arange(leaves + 1) % clusters)
    x = torch.stack([torch.ones(leaves + 1), 1000 + torch.rand(leaves + 1)], dim=1)
    hat = normalized(adjacency).to(torch.float64)
    expected = torch.zeros(clusters, 2, dtype=torch.float64).index_add_(0, made.assignment, hat @ x.double())
    expected /= made.sizes.unsqueeze(1)
    torch.testing.assert_close(pool_neighborhoods(x, adjacency, made).double(), expected, rtol=5e-6, atol=0.0)


def test_features_in_columns_are_pooled_too() -> None:
    x, made = torch.randn(20, 6), Partition.of(torch.arange(20) % 4)
    torch.testing.assert_close(pool(x.T.contiguous().T, made), pool(x, made))


def test_a_mapped_file_is_read_where_members_are(tmp_path: Path) -> None:
    # 64 GiB on paper: a copy, or a look at all of it, would not come to an end.
    rows, width = 2**26, 2**8
    x = torch.from_file(str(tmp_path / "x"), shared=True, size=rows * width).view(rows, width)
    ids = torch.tensor([0, rows - 1, rows // 2, 7])
    x[ids] = torch.arange(4, dtype=torch.float32)[:, None].expand(4, width).contiguous()
    found = pool(x, (torch.tensor([0, 2, 4]), ids))
    assert found[:, 0].tolist() == found[:, -1].tolist() == [0.5, 2.5]


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (torch.ones(4, 2), "the feature matrix has 4 nodes and the partition 3; both have to be of the same graph"),
        (torch.ones(3), "the features have the shape [3] and the type float32, and float32[N, F] is needed"),
        (
            torch.ones(3, 2, dtype=torch.float64),
            "the features have the shape [3, 2] and the type float64, and float32[N, F] is needed",
        ),
    ],
)
def test_features_that_do_not_suit_are_named(x: Tensor, expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        pool(x, Partition.singletons(3))
    assert str(error.value) == expected


# ------------------------------------------------------------------------------------------------------------ adjacency


@given(cut_graphs(), st.sampled_from([1, 5, 1 << 20]))
def test_the_compressed_adjacency_is_the_product_of_matrices(drawn: tuple[csr_matrix, Partition], block: int) -> None:
    adjacency, made = drawn
    plain = membership(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BLOCK, block)
        found = compressed_adjacency(adjacency, made)
    assert found.dtype == np.float32
    assert found.has_sorted_indices
    assert found.toarray().tolist() == (plain.T @ adjacency @ plain).toarray().tolist()


@given(cut_graphs())
def test_the_compressed_adjacency_is_symmetric_and_keeps_all_edges(drawn: tuple[csr_matrix, Partition]) -> None:
    adjacency, made = drawn
    found = compressed_adjacency(adjacency, made).toarray()
    assert (found == found.T).all()
    assert found.sum() == adjacency.nnz  # twice the edges
    inner = (adjacency.toarray() * (made.assignment[:, None] == made.assignment[None, :]).numpy()).sum()
    assert np.trace(found) == inner


@given(cut_graphs())
def test_unweighted_entries_are_one_where_weighted_ones_are_anything(drawn: tuple[csr_matrix, Partition]) -> None:
    weighted = compressed_adjacency(*drawn).toarray()
    assert (compressed_adjacency(*drawn, weighted=False).toarray() == (weighted > 0)).all()


def test_weights_count_the_edges_between_two_clusters_and_without_them_one_is_as_good_as_three() -> None:
    one, three = (undirected(6, edges) for edges in ([(0, 3)], [(0, 3), (1, 4), (2, 5)]))
    made = Partition.of([0, 0, 0, 1, 1, 1])
    assert compressed_adjacency(one, made).toarray().tolist() == [[0, 1], [1, 0]]
    assert compressed_adjacency(three, made).toarray().tolist() == [[0, 3], [3, 0]]
    for adjacency in (one, three):
        assert compressed_adjacency(adjacency, made, weighted=False).toarray().tolist() == [[0, 1], [1, 0]]


def test_cliques_become_loops() -> None:
    made = Partition.of(np.repeat(np.arange(4), 5))
    assert compressed_adjacency(cliques(4, 5), made).toarray().tolist() == (20 * np.eye(4)).tolist()


def test_a_partition_of_another_graph_is_refused() -> None:
    with pytest.raises(GraphkitError) as error:
        compressed_adjacency(cliques(2, 3), Partition.singletons(5))
    assert str(error.value) == "the graph has 6 nodes and the partition 5; both have to be of the same graph"


def test_means_of_a_million_equal_rows_are_that_row() -> None:
    """A sum in float32 would be off in the third digit."""
    x = torch.full((1_000_003, 1), 0.1)
    clusters = torch.zeros(len(x), dtype=torch.int64)
    clusters[-3:] = torch.tensor([1, 2, 2])
    assert (pool(x, Partition(clusters)) - 0.1).abs().max() < 1e-6
