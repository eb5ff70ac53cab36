"""The planted graph: exact counts, communities that hold together, classes that features alone do not show."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphkit.errors import GraphkitError
from graphkit.nodes import adjacency, planted_communities


def test_counts_are_those_asked_for() -> None:
    graph = planted_communities(nodes=300, edges=1_500, features=7, communities=20, classes=4, seed=3)
    structure = adjacency(graph)
    assert (graph.num_nodes, graph.x.shape, graph.x.dtype) == (300, (300, 7), torch.float32)
    assert structure.nnz == graph.edge_index.size(1) == 3_000
    assert structure.indices.ctypes.data == graph.edge_index[1].data_ptr()  # sorted, undirected, no loops
    assert graph.community.unique().tolist() == list(range(20))
    assert (graph.num_classes, graph.class_names) == (4, ["class 0", "class 1", "class 2", "class 3"])


def test_a_community_has_one_class_and_classes_share_communities_evenly() -> None:
    graph = planted_communities(communities=50)
    pairs = torch.unique(torch.stack([graph.community, graph.y]), dim=1)
    assert pairs.size(1) == 50
    assert torch.bincount(pairs[1]).tolist() == [10] * 5


def test_most_edges_stay_within_a_community() -> None:
    graph = planted_communities(mixing=0.3)
    sources, targets = graph.edge_index
    inner = (graph.community[sources] == graph.community[targets]).float().mean()
    assert 0.6 < inner < 0.75  # 0.7, less a little since repeats are drawn again
    alone = planted_communities(mixing=0.0)
    assert torch.equal(*alone.community[alone.edge_index])


def test_degrees_are_uneven() -> None:
    degrees = np.diff(adjacency(planted_communities()).indptr)
    assert degrees.mean() == 10
    assert degrees.max() > 2.5 * degrees.mean()


def test_neighbourhoods_tell_classes_apart_and_single_nodes_do_not() -> None:
    """Nearest class mean, fitted on all nodes: a bound on what any linear probe of few labels can do with X."""
    graph = planted_communities()
    structure, x = adjacency(graph), graph.x.numpy()
    hops = [x, None, None]
    for hop in (1, 2):
        before = hops[hop - 1]
        hops[hop] = (structure @ before + before) / (np.diff(structure.indptr) + 1)[:, None]
    means = [np.stack([rows[graph.y == label].mean(axis=0) for label in range(5)]) for rows in hops]
    nearest = [((rows[:, None] - mean) ** 2).sum(axis=2).argmin(axis=1) for rows, mean in zip(hops, means, strict=True)]
    accuracies = [float((guess == graph.y.numpy()).mean()) for guess in nearest]
    assert accuracies[0] < 0.7 < 0.9 < accuracies[2]


def test_the_same_seed_gives_the_same_graph_and_another_does_not() -> None:
    assert planted_communities(seed=5).fingerprint == planted_communities(seed=5).fingerprint
    assert planted_communities(seed=5).fingerprint != planted_communities(seed=6).fingerprint


def test_ids_tell_nothing_of_communities() -> None:
    community = planted_communities().community
    assert (community[1:] == community[:-1]).float().mean() < 0.1


def test_there_need_not_be_edges() -> None:
    assert planted_communities(nodes=30, edges=0, communities=5, features=1).edge_index.shape == (2, 0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"nodes": 2}, "nodes is 2; a planted graph needs at least 3"),
        ({"features": 0}, "features is 0; a planted graph needs at least 1"),
        (
            {"communities": 3},
            "communities is 3; a planted graph of 2,000 nodes and 5 classes can have 5 to 666: one a class at least, "
            "and three nodes a community",
        ),
        ({"mixing": 1.5}, "mixing is 1.5; it is a share of the edges, 0 to 1"),
        ({"noise": -1.0}, "noise is -1.0; it is a standard deviation, 0 or more"),
        (
            {"nodes": 6, "edges": 15, "communities": 2, "classes": 2, "mixing": 0.0},
            "edges is 15, and only about 6 fit into 2 communities of 6 nodes at mixing 0.0; ask for fewer edges or "
            "communities, or for more mixing",
        ),
    ],
)
def test_what_cannot_be_planted_is_refused(settings: dict[str, float], expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        planted_communities(**settings)  # type: ignore[arg-type]
    if "fit into" in expected:  # how many do depends on the sizes that were drawn
        assert str(error.value).startswith("edges is 15, and only about ")
        assert str(error.value).endswith(expected.partition(" fit into")[2])
    else:
        assert str(error.value) == expected
