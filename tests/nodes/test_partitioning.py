"""Partitions: their laws whatever made them, their quality by hand, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from undirected_graphs import cliques, path, undirected, undirected_graphs

from graphkit import GraphkitError
from graphkit.nodes import METHODS, Partition, adjacency, load, partition, quality

#: Two triangles, 0-1-2 and 3-4-5, joined by 2-3; node 6 is isolated.
TRIANGLES = undirected(7, [(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5), (2, 3)])


@st.composite
def cut_graphs(draw: st.DrawFn) -> tuple[csr_matrix, int]:
    """Graphs with a number of clusters."""
    adjacency = draw(undirected_graphs())
    return adjacency, draw(st.integers(2, adjacency.shape[0]))


def refusal(call: object, *arguments: object, **others: object) -> str:
    with pytest.raises(GraphkitError) as error:
        call(*arguments, **others)  # type: ignore[operator]
    return str(error.value)


# ----------------------------------------------------------------------------------------------------------- partitions


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_clusters_are_a_disjoint_cover(ids: list[int]) -> None:
    made = Partition.of(ids)
    assert made.num_nodes == len(ids)
    assert made.num_clusters == len(set(ids))
    assert int(made.sizes.min()) >= 1
    assert int(made.sizes.sum()) == len(ids)
    assert sorted(made.members.tolist()) == list(range(len(ids)))
    for cluster, (first, last) in enumerate(zip(made.member_starts[:-1], made.member_starts[1:], strict=True)):
        members = made.members[first:last].tolist()
        assert members == [node for node in range(len(ids)) if made.assignment[node] == cluster]


def test_empty_clusters_are_dropped_and_the_others_keep_their_order() -> None:
    assert Partition.of([7, 3, 7, 9]).assignment.tolist() == [1, 0, 1, 2]
    assert Partition.of(np.array([7, 3], dtype=np.int32)).assignment.dtype == torch.int64


def test_singletons_are_the_nodes_in_their_order() -> None:
    made = Partition.singletons(4)
    assert made.assignment.tolist() == made.members.tolist() == [0, 1, 2, 3]
    assert made.member_starts.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (
            [0, 2, -4, -1],
            "the assignment to clusters has -4 for node 2, and clusters count from 0; give every node a cluster",
        ),
        (
            [],
            "an assignment to clusters has the shape [0] and the type float32, and whole numbers [N] of at least one "
            "node are needed",
        ),
        (
            [[0, 1]],
            "an assignment to clusters has the shape [1, 2] and the type int64, and whole numbers [N] of at least one "
            "node are needed",
        ),
        (
            [0.0, 1.0],
            "an assignment to clusters has the shape [2] and the type float32, and whole numbers [N] of at least one "
            "node are needed",
        ),
    ],
)
def test_an_assignment_that_is_none_is_named(ids: list[object], expected: str) -> None:
    assert refusal(Partition.of, ids) == expected


@pytest.mark.parametrize("ids", [[0, 2], [1, 1], [0, 2**40]])
def test_a_partition_without_of_leaves_no_number_out(ids: list[int]) -> None:
    assert refusal(Partition, torch.tensor(ids)) == (
        "the assignment to clusters leaves numbers below its highest out, and each cluster has to have a node; "
        "Partition.of(assignment) numbers them anew"
    )


# -------------------------------------------------------------------------------------------------------------- methods


@pytest.mark.parametrize("method", METHODS)
@given(drawn=cut_graphs(), seed=st.integers(0, 2**63 - 1))
def test_the_same_seed_gives_the_same_partition_of_all_nodes(
    method: str, drawn: tuple[csr_matrix, int], seed: int
) -> None:
    adjacency, clusters = drawn
    try:
        made, again = (partition(adjacency, clusters, method=method, seed=seed) for _ in range(2))
    except GraphkitError as error:  # a handful of nodes
        assert method == "metis"
        assert "METIS left all" in str(error)
        return
    assert made.assignment.tolist() == again.assignment.tolist()
    assert made.num_nodes == adjacency.shape[0]
    assert 2 <= made.num_clusters <= clusters
    assert made.num_clusters == clusters or method == "metis"


@pytest.mark.parametrize("method", METHODS)
def test_as_many_clusters_as_nodes_are_singletons(method: str) -> None:
    assert partition(TRIANGLES, 7, method=method).assignment.tolist() == list(range(7))


@pytest.mark.parametrize("method", ["metis", "heavy_edge"])
def test_cliques_are_found(method: str) -> None:
    adjacency = cliques(12, 6)
    order = np.random.default_rng(4).permutation(72)
    made = partition(adjacency[order][:, order].sorted_indices(), 12, method=method)
    assert quality(adjacency[order][:, order], made).cut == 0
    assert made.sizes.tolist() == [6] * 12
    assert all(len(set(order[made.assignment == cluster] // 6)) == 1 for cluster in range(12))


def test_other_seeds_give_other_random_partitions() -> None:
    found = {tuple(partition(path(300), 20, method="random", seed=seed).assignment.tolist()) for seed in range(4)}
    assert len(found) == 4


def test_metis_cuts_cora_as_the_measured_release_did(graphkit_data: Path) -> None:
    structure = adjacency(load("cora", root=graphkit_data))
    found = partition(structure, 300)
    assert (found.num_clusters, int(found.sizes.min()), int(found.sizes.max())) == (300, 5, 10)


@pytest.mark.parametrize(("name", "clusters"), [("cora", 300), ("citeseer", 300), ("minesweeper", 1000)])
def test_heavy_edges_cut_published_graphs_less_than_metis_which_is_evener(
    graphkit_data: Path, name: str, clusters: int
) -> None:
    structure = adjacency(load(name, root=graphkit_data))
    heavy, metis = (quality(structure, partition(structure, clusters, method=m)) for m in ("heavy_edge", "metis"))
    assert heavy.cut < 0.75 * metis.cut
    assert metis.balance < heavy.balance < 1.6


def test_random_clusters_are_even() -> None:
    sizes = partition(csr_matrix((103, 103)), 10, method="random").sizes.tolist()
    assert sorted(sizes) == [10] * 7 + [11] * 3


@pytest.mark.parametrize("method", METHODS)
def test_isolated_nodes_are_put_somewhere(method: str) -> None:
    adjacency = undirected(60, [(0, 1), (1, 2), (2, 3)])
    made = partition(adjacency, 6, method=method)
    assert int(made.sizes.sum()) == 60
    assert made.num_clusters == 6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_indices_of_either_width_give_the_same_partition(method: str, dtype: type) -> None:
    given = path(200)
    wide = csr_matrix((200, 200), dtype=np.float32)
    wide.indptr, wide.indices, wide.data = given.indptr.astype(np.int64), given.indices.astype(dtype), given.data
    assert partition(wide, 20, method=method).assignment.tolist() == (
        partition(given, 20, method=method).assignment.tolist()
    )


@pytest.mark.parametrize(
    ("adjacency", "arguments", "expected"),
    [
        (TRIANGLES, {"clusters": 8}, "clusters is 8, and the graph has only 7 nodes; give a number from 2 to 7"),
        (TRIANGLES, {"clusters": 1}, "clusters is 1, and a whole number of at least 2 is needed"),
        (TRIANGLES, {"clusters": 2.5}, "clusters is 2.5, and a whole number of at least 2 is needed"),
        (
            TRIANGLES,
            {"clusters": 2, "method": "louvain"},
            "the method of partition is 'louvain', and one of metis, heavy_edge, random is needed",
        ),
        (
            TRIANGLES,
            {"clusters": 2, "seed": -1},
            "the seed of the partition is -1, and a number from 0 to 2**63 - 1 is needed",
        ),
        *(
            (
                csr_matrix((7, 7)),
                {"clusters": 2, "method": method},
                f"the graph has no edges, which the method {method} of partition follows; take the method random",
            )
            for method in ("metis", "heavy_edge")
        ),
        (
            undirected(5, [(0, 1), (1, 2), (2, 3), (2, 4)]),
            {"clusters": 4},
            "METIS left all 5 nodes in one cluster, and 4 were asked for; give fewer clusters, or take the method "
            "heavy_edge",
        ),
    ],
)
def test_what_cannot_be_cut_is_named(adjacency: csr_matrix, arguments: dict[str, object], expected: str) -> None:
    assert refusal(partition, adjacency, **arguments) == expected


def matrix(starts: list[int], targets: list[int]) -> csr_matrix:
    """The parts as they are, sorted or not."""
    made = csr_matrix((len(starts) - 1, len(starts) - 1), dtype=np.float32)
    made.indptr, made.indices = np.array(starts, np.int32), np.array(targets, np.int32)
    made.data = np.ones(len(targets), np.float32)
    return made


@pytest.mark.parametrize("method", ["metis", "heavy_edge"])
@pytest.mark.parametrize(
    ("adjacency", "found"),
    [
        (matrix([0, 1, 1, 1], [2]), "node 0 has the neighbour 2, which does not have 0"),
        (matrix([0, 0, 2, 3], [0, 2, 1]), "node 1 has the neighbour 0, which does not have 1"),
        (matrix([0, 1, 3, 3], [1, 0, 2]), "node 1 has the neighbour 2, which does not have 1"),
        (matrix([0, 1, 3, 4], [1, 0, 1, 1]), "node 1 has a loop"),
        (matrix([0, 2, 3, 4], [2, 1, 0, 0]), "the neighbours of node 0 do not ascend at 1, each named once"),
        (matrix([0, 2, 4, 4], [1, 1, 0, 0]), "the neighbours of node 0 do not ascend at 1, each named once"),
        (matrix([0, 1, 2, 2], [1, 3]), "node 1 has the neighbour 3, which is outside 0 to 2"),
        (matrix([0, 1, 2, 2], [-1, 0]), "node 0 has the neighbour -1, which is outside 0 to 2"),
        (matrix([0, 2, 1, 2], [1, 0]), "its row starts do not ascend from 0 to the number of its entries"),
        (matrix([0, 1, 2, 3], [1, 0]), "its row starts do not ascend from 0 to the number of its entries"),
    ],
)
def test_an_adjacency_that_is_none_is_named(method: str, adjacency: csr_matrix, found: str) -> None:
    assert refusal(partition, adjacency, 2, method=method) == (
        f"the adjacency is not one of an undirected graph without loops: {found}; graphkit.nodes.adjacency makes it one"
    )


@given(undirected_graphs(), st.data())
def test_any_edge_that_is_taken_out_in_one_direction_is_found(adjacency: csr_matrix, data: st.DataObject) -> None:
    rows = np.repeat(np.arange(adjacency.shape[0]), np.diff(adjacency.indptr))
    gone = data.draw(st.integers(0, adjacency.nnz - 1))
    kept = np.arange(adjacency.nnz) != gone
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=adjacency.shape[0]))])
    one_sided = matrix(starts.tolist(), adjacency.indices[kept].tolist())
    said = f"node {adjacency.indices[gone]} has the neighbour {rows[gone]}, which does not have"
    assert said in refusal(partition, one_sided, 2, method="heavy_edge") or one_sided.nnz == 0


# -------------------------------------------------------------------------------------------------------------- quality


def test_quality_of_two_triangles_by_hand() -> None:
    found = quality(TRIANGLES, Partition.of([0, 0, 0, 1, 1, 1, 2]))
    assert found.cut == pytest.approx(1 / 7)
    assert found.balance == pytest.approx(3 * 3 / 7)
    # One edge end of seven leaves each triangle; the isolated node has none.
    assert found.conductance == pytest.approx((1 / 7 + 1 / 7 + 0) / 3)
    assert (found.smallest, found.largest) == (1, 3)


def test_quality_of_one_cluster_and_of_no_edges() -> None:
    whole = quality(TRIANGLES, Partition.of([0] * 7))
    assert (whole.cut, whole.conductance, whole.balance) == (0, 0, 1)
    assert np.isnan(quality(csr_matrix((3, 3)), Partition.singletons(3)).cut)


@given(undirected_graphs(), st.data(), st.sampled_from([1, 3, 1 << 20]))
def test_quality_is_that_of_plain_counts(adjacency: csr_matrix, data: st.DataObject, block: int) -> None:
    nodes = adjacency.shape[0]
    made = Partition.of(data.draw(st.lists(st.integers(0, 4), min_size=nodes, max_size=nodes)))
    dense, own = adjacency.toarray(), made.assignment.numpy()
    apart = own[:, None] != own[None, :]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphkit.nodes.blocks.BLOCK_ENTRIES", block)
        found = quality(adjacency, made)
    assert found.cut == pytest.approx((dense * apart).sum() / dense.sum())
    shares = []
    for cluster in range(made.num_clusters):
        inside, outside = dense[own == cluster].sum(), dense[own != cluster].sum()
        leaving = (dense * apart)[own == cluster].sum()
        shares.append(leaving / min(inside, outside) if min(inside, outside) else 0.0)
    assert found.conductance == pytest.approx(np.mean(shares))


def test_quality_of_another_graph_is_refused() -> None:
    assert refusal(quality, TRIANGLES, Partition.singletons(6)) == (
        "the graph has 7 nodes and the partition 6; both have to be of the same graph"
    )


def test_an_adjacency_that_is_not_square_is_refused() -> None:
    matrix = csr_matrix(np.ones((3, 5), np.float32))
    for measured in (
        lambda: partition(matrix, 2, method="random"),
        lambda: quality(matrix, Partition(torch.tensor([0, 1, 0]))),
    ):
        with pytest.raises(GraphkitError) as error:
            measured()
        assert str(error.value) == (
            "the adjacency has the shape [3, 5], and [N, N] is needed; graphkit.nodes.adjacency makes one"
        )
