"""`NodeGraph`: what `Data` becomes one, what is refused and why, and the adjacency matrix of any structure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data
from torch_geometric.transforms import ToUndirected

from graphkit.errors import GraphkitError
from graphkit.graph import Vocabulary
from graphkit.nodes import NodeGraph, adjacency, standardized, undirected
from graphkit.nodes.graph import sparse_rows


def six(**changes: Any) -> Data:
    """Two triangles, 0 1 2 and 3 4 5, joined by 2 – 3; node i has the features (i, 1)."""
    pairs = torch.tensor([[0, 0, 1, 3, 3, 4, 2], [1, 2, 2, 4, 5, 5, 3]])
    x = torch.stack([torch.arange(6.0), torch.ones(6)], dim=1)
    data = Data(x=x, edge_index=undirected(pairs, 6), y=torch.tensor([0, 0, 0, 1, 1, 1]))
    for key, value in changes.items():
        data[key] = value
    return data


def complaint(data: Data) -> str:
    with pytest.raises(GraphkitError) as error:
        NodeGraph.of(data)
    return str(error.value)


def test_tensors_of_the_right_type_are_shared() -> None:
    data = six(train_mask=torch.tensor([True] * 6))
    graph = NodeGraph.of(data)
    for key in ("x", "edge_index", "y", "train_mask"):
        assert graph[key].data_ptr() == data[key].data_ptr()
    assert (graph.num_nodes, graph.num_classes, graph.node_ids, graph.class_names, graph.name) == (
        6,
        2,
        None,
        None,
        None,
    )


def test_other_number_types_are_converted() -> None:
    data = six(x=torch.ones(6, 2, dtype=torch.float64), edge_index=torch.tensor([[0], [1]], dtype=torch.int32))
    data.y = torch.tensor([[0.0], [1.0], [float("nan")], [1.0], [0.0], [2.0]], dtype=torch.float64)  # as OGB has it
    data.test_mask = torch.tensor([[0, 1]] * 6, dtype=torch.uint8)
    graph = NodeGraph.of(data)
    assert (graph.x.dtype, graph.edge_index.dtype, graph.test_mask.dtype) == (torch.float32, torch.int64, torch.bool)
    assert graph.y.tolist() == [0, 1, -1, 1, 0, 2]


def test_one_node_and_no_edges_are_a_graph() -> None:
    graph = NodeGraph.of(Data(x=torch.zeros(1, 1), edge_index=torch.empty(2, 0), y=torch.tensor([0])))
    assert adjacency(graph).shape == (1, 1)
    assert adjacency(graph).nnz == 0


def test_zero_feature_rows_are_allowed() -> None:
    assert NodeGraph.of(six(x=torch.zeros(6, 3))).x.abs().sum() == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"x": None}, "the graph has no features x; give a tensor of one row a node (ones, if there are none)"),
        (
            {"x": np.ones((6, 2))},
            "the features x are a ndarray; a dense tensor is needed, such as torch.from_numpy(array)",
        ),
        (
            {"x": torch.ones(6, 2).to_sparse()},
            "the features x are a torch.sparse_coo tensor; a dense tensor is needed, such as torch.from_numpy(array)",
        ),
        (
            {"x": torch.ones(6)},
            "the features x are float32[6]; real numbers of shape [nodes, features] are needed",
        ),
        ({"x": torch.ones(6, 0)}, "the features x have shape [6, 0]; at least one node and one feature are needed"),
        (
            {"x": torch.tensor([[0.0, 1.0]] * 5 + [[0.0, float("nan")]])},
            "feature 1 of node 5 is nan; features must be finite, so fill missing values in (with the column's mean, "
            "say) before you give them",
        ),
        (
            {"x": torch.tensor([[0.0, 1.0], [float("-inf"), 0.0]] * 3)},
            "feature 0 of node 1 is -inf; features must be finite, so fill missing values in (with the column's mean, "
            "say) before you give them",
        ),
        (
            {"x": torch.ones(5, 2)},
            "an edge names node 5, and there are features of 5 nodes, 0 to 4; give features of all nodes, or take the "
            "edge out",
        ),
        (
            {"edge_index": torch.tensor([[0, -1], [1, 2]])},
            "an edge names node -1, and there are features of 6 nodes, 0 to 5; give features of all nodes, or take the "
            "edge out",
        ),
        (
            {"edge_index": torch.tensor([[0, 1, 2]])},
            "edge_index is int64[1, 3]; whole numbers of shape [2, edges] are needed, sources above targets",
        ),
        (
            {"edge_index": torch.tensor([[0.5], [1.0]])},
            "edge_index is float32[2, 1]; whole numbers of shape [2, edges] are needed, sources above targets",
        ),
        (
            {"edge_index": None},
            "the graph has no structure; give edge_index, int64[2, edges] (torch.empty(2, 0) has no edges), or adj_t",
        ),
        (
            {"edge_index": None, "adj_t": torch.eye(6)},
            "adj_t is a torch.strided tensor; a torch.sparse_csr tensor is needed, or edge_index in its place",
        ),
        (
            {"edge_index": None, "adj_t": sparse_rows(torch.tensor([0, 1, 2]), torch.tensor([1, 0]))},
            "adj_t has shape [2, 2], and there are features of 6 nodes; the two have to agree",
        ),
        (
            {"edge_index": None, "adj_t": sparse_rows(torch.tensor([0, 1, 1, 1, 1, 1, 1]), torch.tensor([6]))},
            "an edge names node 6, and there are features of 6 nodes, 0 to 5; give features of all nodes, or take the "
            "edge out",
        ),
        (
            {"edge_index": None, "adj_t": sparse_rows(torch.tensor([0, 2, 1, 1, 1, 1, 2]), torch.tensor([1, 0]))},
            "the rows of adj_t do not part its entries; make it with torch.sparse_csr_tensor",
        ),
        ({"num_nodes": 7}, "the graph has 7 nodes, and features of 6; give one row of features a node"),
        (
            {"y": torch.zeros(4, dtype=torch.int64)},
            "there are labels y of 4 nodes, and features of 6; give one label a node",
        ),
        ({"y": torch.zeros(6, 3)}, "the labels y are float32[6, 3]; one class a node is needed, int64[nodes]"),
        (
            {"y": torch.full((6,), 0.5)},
            "the labels y are not whole; classes are 0, 1, 2 …, and -1 or NaN where unknown",
        ),
        (
            {"y": torch.tensor([0, 1, -2, 0, 1, 0])},
            "a label y is -2; classes are 0, 1, 2 …, and -1 where the class is not known",
        ),
        (
            {"train_mask": torch.ones(5, dtype=torch.bool)},
            "train_mask is bool[5], and there are features of 6 nodes; bool[nodes] or bool[nodes, splits] is needed",
        ),
        (
            {"val_mask": torch.arange(6)},
            "val_mask is int64[6], and there are features of 6 nodes; bool[nodes] or bool[nodes, splits] is needed",
        ),
        (
            {"node_ids": Vocabulary(["a", "b"])},
            "the graph has 2 node_ids, and features of 6 nodes; give one id a node",
        ),
    ],
)
def test_what_is_no_graph_is_refused(changes: dict[str, Any], expected: str) -> None:
    assert complaint(six(**changes)) == expected


# ---- adjacency


def plain_adjacency(pairs: list[tuple[int, int]], nodes: int) -> np.ndarray[Any, Any]:
    """The definition: a one for each pair, in both directions, but no loops."""
    dense = np.zeros((nodes, nodes), np.float32)
    for a, b in pairs:
        if a != b:
            dense[a, b] = dense[b, a] = 1.0
    return dense


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_adjacency_is_symmetric_without_loops_or_repeats_however_edges_are_given(
    drawn: tuple[int, list[tuple[int, int]]],
) -> None:
    nodes, pairs = drawn
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    expected = plain_adjacency(pairs, nodes)
    rows = torch.zeros(nodes, nodes).index_put((edges[1], edges[0]), torch.tensor(1.0)).to_sparse_csr()
    for data in (
        Data(edge_index=edges, num_nodes=nodes),
        Data(edge_index=undirected(edges, nodes), num_nodes=nodes),
        Data(adj_t=rows, num_nodes=nodes),
    ):
        found = adjacency(data)
        assert found.dtype == np.float32
        assert found.has_sorted_indices and found.has_canonical_format
        np.testing.assert_array_equal(found.toarray(), expected)


def test_adjacency_of_a_hand_drawn_graph() -> None:
    """Directed and repeated edges 0 → 1 → 2 ← 1 and a loop at 3."""
    edges = torch.tensor([[1, 0, 3, 1], [2, 1, 3, 2]])
    found = adjacency(Data(edge_index=edges, num_nodes=4))
    assert found.toarray().tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_many_repeats_of_an_edge_count_once() -> None:
    edges = torch.zeros(2, 256 * 256, dtype=torch.int64)
    edges[1] = 1
    edges[:, ::2] = edges[:, ::2].flip(0)  # unsorted
    assert adjacency(Data(edge_index=edges, num_nodes=2)).toarray().tolist() == [[0, 1], [1, 0]]


def test_indices_that_are_in_order_already_are_shared() -> None:
    graph = NodeGraph.of(six())
    assert adjacency(graph).indices.ctypes.data == graph.edge_index[1].data_ptr()
    starts, columns = torch.tensor([0, 1, 3, 4]), torch.tensor([1, 0, 2, 1])
    path = NodeGraph.of(Data(x=torch.ones(3, 1), adj_t=sparse_rows(starts, columns)))
    found = adjacency(path)
    assert (found.indices.ctypes.data, found.indptr.ctypes.data) == (columns.data_ptr(), starts.data_ptr())


# ---- parts of a graph, and its standard forms


def labelled() -> NodeGraph:
    graph = NodeGraph.of(six(val_mask=torch.tensor([[True, False]] * 5 + [[False, False]])))
    graph.node_ids = Vocabulary(list("abcdef"), kind="node")
    graph.class_names = ["left", "right"]
    graph.name = "six"
    return graph


@pytest.mark.parametrize("subset", [torch.tensor([False, False, True, True, False, True]), torch.tensor([2, 3, 5])])
def test_a_part_keeps_ids_masks_and_names_of_its_nodes(subset: torch.Tensor) -> None:
    part = labelled().subgraph(subset)
    assert isinstance(part, NodeGraph)
    assert part.node_ids is not None and part.node_ids.labels.to_pylist() == ["c", "d", "f"]
    assert part.x[:, 0].tolist() == [2, 3, 5]
    assert part.y.tolist() == [0, 1, 1]
    assert part.val_mask.tolist() == [[True, False], [True, False], [False, False]]
    assert (part.class_names, part.name) == (["left", "right"], "six")
    assert adjacency(part).toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_a_list_of_as_many_names_as_nodes_is_no_attribute_of_nodes() -> None:
    graph = labelled()
    graph.class_names = list("uvwxyz")
    assert graph.subgraph(torch.tensor([0, 1])).class_names == list("uvwxyz")


def test_a_part_of_a_graph_of_rows_is_the_part_of_the_same_graph_of_edges() -> None:
    graph = labelled()
    structure = adjacency(graph)
    rows = NodeGraph.of(
        Data(x=graph.x, adj_t=sparse_rows(torch.from_numpy(structure.indptr), torch.from_numpy(structure.indices)))
    )
    subset = torch.tensor([1, 2, 3])
    np.testing.assert_array_equal(
        adjacency(rows.subgraph(subset)).toarray(), adjacency(graph.subgraph(subset)).toarray()
    )


def test_edges_of_rows_run_from_columns_to_rows() -> None:
    """``adj_t`` is the transposed adjacency: row 0 holding column 1 is the edge 1 → 0."""
    graph = NodeGraph.of(Data(x=torch.ones(2, 1), adj_t=sparse_rows(torch.tensor([0, 1, 1]), torch.tensor([1]))))
    assert graph.with_edge_index().edge_index.tolist() == [[1], [0]]


def islands() -> NodeGraph:
    """0 → 1 → 2 with a loop at 1, given one way; 3 – 4; 5 alone."""
    graph = NodeGraph.of(six(edge_index=torch.tensor([[0, 1, 1, 3], [1, 2, 1, 4]])))
    graph.node_ids = Vocabulary(list("abcdef"), kind="node")
    return graph


def test_standard_forms_follow_one_another() -> None:
    graph = islands()
    found = standardized(graph, ["largest_component", "no_self_loops", "undirected"])
    assert found.node_ids is not None and found.node_ids.labels.to_pylist() == ["a", "b", "c"]
    assert sorted(found.edge_index.T.tolist()) == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert found.y.tolist() == [0, 0, 0]
    looped = standardized(graph, ["self_loops"])
    assert sorted(looped.edge_index.T.tolist()) == sorted([[0, 1], [1, 2], [3, 4]] + [[i, i] for i in range(6)])
    np.testing.assert_array_equal(adjacency(looped).toarray(), adjacency(graph).toarray())
    assert graph.edge_index.tolist() == [[0, 1, 1, 3], [1, 2, 1, 4]]  # as it was


def test_features_can_be_normalized_and_transforms_of_pyg_passed() -> None:
    graph = islands()
    before = graph.x.clone()
    rows = standardized(graph, ["normalize_features", ToUndirected()])
    assert torch.allclose(rows.x.sum(dim=1), torch.ones(6))
    assert rows.is_undirected()
    assert torch.equal(graph.x, before)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            ["largest_componet"],
            "there is no standard form 'largest_componet'; nearest: largest_component; forms: largest_component, "
            "undirected, no_self_loops, self_loops, no_duplicates, normalize_features",
        ),
        ("undirected", "standardize is 'undirected'; write a list, such as standardize=[undirected]"),
    ],
)
def test_unknown_standard_forms_are_refused(steps: Any, expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        standardized(islands(), steps)
    assert str(error.value) == expected


# ---- what is printed


def test_ids_are_printed_by_their_number() -> None:
    graph = NodeGraph.of(six())
    graph.node_ids = Vocabulary([*"abcdef"], kind="node")
    assert repr(graph).endswith("y=[6], node_ids=Vocabulary(6 labels, kind='node'))")


# ---- fingerprints


def test_fingerprint_is_of_structure_features_and_labels_however_they_are_kept() -> None:
    graph = NodeGraph.of(six())
    structure = adjacency(graph)
    rows = sparse_rows(torch.from_numpy(structure.indptr).int(), torch.from_numpy(structure.indices).int())
    same = [
        NodeGraph.of(six(edge_index=graph.edge_index[:, torch.randperm(14, generator=torch.manual_seed(0))])),
        NodeGraph.of(six(edge_index=None, adj_t=rows)),
        NodeGraph.of(six(name="another name", train_mask=torch.ones(6, dtype=torch.bool))),
    ]
    assert {other.fingerprint for other in same} == {graph.fingerprint}
    assert len(graph.fingerprint) == 16
    x, y = graph.x.clone(), graph.y.clone()
    x[0, 0], y[0] = 7, 1
    others = [six(x=x), six(y=y), six(y=None), six(edge_index=graph.edge_index[:, (graph.edge_index != 0).all(dim=0)])]
    assert len({NodeGraph.of(other).fingerprint for other in others} | {graph.fingerprint}) == 5


def test_vocabulary_is_saved_where_there_is_one(tmp_path: Any) -> None:
    NodeGraph.of(six()).save_vocabulary(tmp_path)
    assert not list(tmp_path.iterdir())
    labelled().save_vocabulary(tmp_path)
    assert Vocabulary.load(tmp_path / "nodes.arrow").labels.to_pylist() == list("abcdef")
