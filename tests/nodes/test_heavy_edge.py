"""Heavy-edge clusters: the native clustering equals its plain twin, keeps its promises, and cuts few edges."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from undirected_graphs import cliques, path, star, undirected, undirected_graphs

from graphkit import _native
from graphkit.nodes import Partition, partition, quality
from graphkit.nodes.reference_heavy_edge import heavy_edge_clusters


def native(adjacency: csr_matrix, clusters: int, threads: int = 1, dtype: type = np.int32) -> list[int]:
    starts, targets = adjacency.indptr.astype(dtype), adjacency.indices.astype(dtype)
    return _native.heavy_edge_clusters(starts, targets, clusters=clusters, threads=threads).tolist()


def grid(side: int) -> csr_matrix:
    cells = [(row, column) for row in range(side) for column in range(side)]
    right = [(row * side + column, row * side + column + 1) for row, column in cells if column + 1 < side]
    down = [(row * side + column, (row + 1) * side + column) for row, column in cells if row + 1 < side]
    return undirected(side * side, right + down)


@given(undirected_graphs(), st.data())
def test_native_clusters_equal_the_twin(adjacency: csr_matrix, data: st.DataObject) -> None:
    clusters = data.draw(st.integers(1, adjacency.shape[0]))
    expected = heavy_edge_clusters(adjacency, clusters).tolist()
    assert native(adjacency, clusters) == expected
    assert native(adjacency, clusters, threads=3, dtype=np.int64) == expected


@pytest.mark.parametrize("clusters", [1, 2, 5, 13, 40])
@pytest.mark.parametrize("adjacency", [path(90), star(70), cliques(9, 8), grid(9), csr_matrix((50, 50))])
def test_native_clusters_of_regular_graphs_equal_the_twin(adjacency: csr_matrix, clusters: int) -> None:
    assert native(adjacency, clusters) == heavy_edge_clusters(adjacency, clusters).tolist()


@given(undirected_graphs(max_nodes=120), st.data())
def test_there_are_exactly_as_many_clusters_as_asked_for_within_the_cap(
    adjacency: csr_matrix, data: st.DataObject
) -> None:
    nodes = adjacency.shape[0]
    clusters = data.draw(st.integers(1, nodes))
    made = native(adjacency, clusters)
    assert sorted(set(made)) == list(range(clusters))
    assert list(dict.fromkeys(made)) == list(range(clusters))  # numbered by their first nodes
    assert max(np.bincount(made)) <= max(2, 2 * -(-nodes // clusters))


@pytest.mark.parametrize("threads", [1, 2, 4, 7])
def test_clusters_do_not_depend_on_threads(threads: int) -> None:
    random = np.random.default_rng(1)
    adjacency = undirected(3000, random.integers(0, 3000, (12_000, 2)).tolist())
    assert native(adjacency, 150, threads) == native(adjacency, 150)


def test_a_star_of_many_leaves_takes_few_levels() -> None:
    # Level by level the middle merges with one leaf alone: without pairs of leaves that would be 50,000 levels.
    began = time.process_time()
    sizes = np.bincount(native(star(50_000), 100))
    assert time.process_time() - began < 5
    assert len(sizes) == 100


def test_isolated_nodes_do_not_stay_alone() -> None:
    adjacency = undirected(200, [(a, a + 1) for a in range(99)])  # 100 nodes without edges
    sizes = np.bincount(native(adjacency, 20))
    assert min(sizes) >= 4


@pytest.mark.parametrize(("side", "clusters"), [(30, 90), (40, 100)])
def test_fewer_edges_are_cut_than_by_metis_at_up_to_half_as_many_nodes_again(side: int, clusters: int) -> None:
    adjacency = grid(side)
    heavy, metis = (quality(adjacency, partition(adjacency, clusters, method=m)) for m in ("heavy_edge", "metis"))
    assert heavy.cut < metis.cut
    assert heavy.balance <= 1.6


def test_planted_groups_are_found() -> None:
    random = np.random.default_rng(3)
    group = np.repeat(np.arange(60), 20)
    near = group[:, None] == group[None, :]
    drawn = np.triu(random.random(near.shape) < np.where(near, 0.5, 0.002), 1)
    adjacency = undirected(1200, np.argwhere(drawn).tolist())
    found = quality(adjacency, Partition(torch.tensor(native(adjacency, 60))))
    assert found.cut < 1.2 * quality(adjacency, Partition(torch.from_numpy(group))).cut


@pytest.mark.parametrize(
    ("starts", "targets", "others"),
    [
        ([0, 1, 2], [1, 5], {}),
        ([0, 1, 1], [1], {}),
        ([0, 9, 2], [1, 0], {}),
        ([], [], {}),
        ([0, 1, 2], [1, 0], {"clusters": 3}),
        ([0, 1, 2], [1, 0], {"clusters": 0}),
        ([0, 1, 2], [1, 0], {"threads": 0}),
    ],
)
def test_nothing_is_read_out_of_bounds(starts: list[int], targets: list[int], others: dict[str, int]) -> None:
    arrays = np.array(starts, np.int64), np.array(targets, np.int64)
    with pytest.raises(ValueError, match=r"fault|out of range|empty"):
        _native.heavy_edge_clusters(*arrays, **({"clusters": 1, "threads": 1} | others))


def test_indices_are_never_converted() -> None:
    starts, targets = np.array([0, 1, 2], np.int64), np.array([1, 0], np.int32)
    with pytest.raises(TypeError):
        _native.heavy_edge_clusters(starts, targets, clusters=1, threads=1)
    with pytest.raises(TypeError):
        _native.adjacency_fault(starts[::2], targets)


def test_other_threads_run_while_clusters_are_made() -> None:
    random = np.random.default_rng(1)
    adjacency = undirected(20_000, random.integers(0, 20_000, (60_000, 2)).tolist())
    counted, done = 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.wait(0.001):
            counted += 1

    other = threading.Thread(target=count)
    other.start()
    native(adjacency, 1000)
    done.set()
    other.join()
    assert counted > 5
