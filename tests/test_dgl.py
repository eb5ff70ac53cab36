"""Graphs of DGL come in and go out over the same memory."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphkit.dgl import from_dgl, to_dgl
from graphkit.errors import GraphkitError
from graphkit.nodes import NodeGraph, adjacency, planted_communities, random_splits

os.environ.setdefault("DGLBACKEND", "pytorch")
dgl = pytest.importorskip("dgl", reason="DGL is not installed: make bench-env adds it")


def directed(**ndata: Any) -> Any:
    """0 → 1, 0 → 2, 2 → 1 and 3 alone."""
    graph = dgl.graph((torch.tensor([0, 0, 2]), torch.tensor([1, 2, 1])), num_nodes=4)
    for key, value in ({"feat": torch.arange(8.0).reshape(4, 2)} | ndata).items():
        graph.ndata[key] = value
    return graph


def test_structure_features_and_labels_lie_over_the_memory_of_dgl() -> None:
    given = directed(label=torch.tensor([0, 1, 0, -1]), train_mask=torch.tensor([True, False, False, False]))
    graph = from_dgl(given)
    starts, indices, _ = given.adj_tensors("csc")
    assert graph.adj_t.crow_indices().data_ptr() == starts.data_ptr()
    assert graph.adj_t.col_indices().data_ptr() == indices.data_ptr()
    assert graph.x.data_ptr() == given.ndata["feat"].data_ptr()
    assert graph.y.data_ptr() == given.ndata["label"].data_ptr()
    assert graph.train_mask.tolist() == [True, False, False, False]
    assert "test_mask" not in graph


def test_a_symmetric_graph_gives_its_indices_to_the_adjacency_matrix() -> None:
    given = dgl.to_bidirected(directed(), copy_ndata=True)
    given = dgl.graph(("csc", (*given.adj_tensors("csc")[:2], [])))  # rows in order, as DGL keeps them
    given.ndata["feat"] = torch.ones(4, 1)
    structure = adjacency(from_dgl(given))
    assert structure.indices.ctypes.data == given.adj_tensors("csc")[1].data_ptr()
    assert structure.toarray().tolist() == [[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_directions_are_kept_and_index_types_taken(kind: torch.dtype) -> None:
    graph = from_dgl(directed().astype(kind))
    assert graph.adj_t.col_indices().dtype == kind
    assert sorted(graph.with_edge_index().edge_index.T.tolist()) == [[0, 1], [0, 2], [2, 1]]


def test_other_names_can_be_given() -> None:
    graph = from_dgl(
        directed(h=torch.ones(4, 3), topic=torch.zeros(4, dtype=torch.int64)), features="h", labels="topic"
    )
    assert graph.x.shape == (4, 3)
    assert graph.y.tolist() == [0, 0, 0, 0]


def test_a_graph_goes_to_dgl_and_back() -> None:
    graph = planted_communities(nodes=90, edges=200, features=3, communities=9, classes=3)
    graph.test_mask = torch.arange(90) % 2 == 0
    sent = to_dgl(graph)
    assert sent.num_nodes() == 90
    assert sent.edges()[0].data_ptr() == graph.edge_index[0].data_ptr()
    assert sent.ndata["feat"].data_ptr() == graph.x.data_ptr()
    back = from_dgl(sent)
    assert back.fingerprint == graph.fingerprint
    assert torch.equal(back.test_mask, graph.test_mask)
    assert len(random_splits(back.y, number=1)) == 1
    again = to_dgl(back)
    assert again.adj_tensors("csc")[1].data_ptr() == back.adj_t.col_indices().data_ptr()
    np.testing.assert_array_equal(adjacency(from_dgl(again)).toarray(), adjacency(graph).toarray())


def test_nodes_without_edges_are_nodes_in_dgl() -> None:
    sent = to_dgl(NodeGraph.of(Data(x=torch.ones(5, 1), edge_index=torch.tensor([[0], [1]]))))
    assert (sent.num_nodes(), sent.num_edges(), list(sent.ndata)) == (5, 1, ["feat"])


def test_what_is_no_graph_of_one_kind_with_features_is_refused() -> None:
    with pytest.raises(GraphkitError) as error:
        from_dgl(directed(), features="feats")
    assert str(error.value) == (
        "the DGLGraph has no ndata['feats']; nearest: feat; it has feat, so say which is meant: "
        "graphkit.dgl.from_dgl(graph, features=NAME)"
    )
    several = dgl.heterograph({("user", "likes", "film"): ([0], [1]), ("user", "knows", "user"): ([0], [1])})
    with pytest.raises(GraphkitError) as error:
        from_dgl(several)
    assert str(error.value) == (
        "the DGLGraph has 2 kinds of nodes and 2 of edges; a homogeneous one is needed, so say "
        "dgl.to_homogeneous(graph, ndata=[…])"
    )
    with pytest.raises(GraphkitError, match="feature 0 of node 0 is nan"):
        from_dgl(directed(feat=torch.full((4, 1), float("nan"))))


def test_dgl_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dgl", None)
    with pytest.raises(GraphkitError) as error:
        to_dgl(planted_communities(nodes=30, edges=0, communities=5, features=1))
    assert str(error.value) == "DGL is not installed; pip install dgl==1.1.3"
