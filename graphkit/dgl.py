"""Graphs of DGL in and out; structure is shared, not copied, and so are features."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from torch_geometric.data import Data

from graphkit.errors import GraphkitError, did_you_mean
from graphkit.nodes.graph import MASKS, NodeGraph, sparse_rows

if TYPE_CHECKING:
    from dgl import DGLGraph


def from_dgl(graph: DGLGraph, *, features: str = "feat", labels: str = "label") -> NodeGraph:
    """Returns a graph of DGL as a `NodeGraph`.

    ``adj_t`` lies over the memory in which DGL keeps the edges by their targets; a graph that has them in another order
    only makes that form once, and keeps it. Features, labels and masks are shared where their type is right.

    Args:
        graph: a homogeneous graph on the CPU.
        features: the name of the features in ``graph.ndata``.
        labels: the name of the labels there; they may be missing, as ``train_mask``, ``val_mask`` and ``test_mask``.

    Raises:
        GraphkitError: the graph is of several kinds of nodes or edges or on another device, has no such features, or
            `NodeGraph.of` finds fault with it.
    """
    if not graph.is_homogeneous:
        raise GraphkitError(
            f"the DGLGraph has {len(graph.ntypes)} kinds of nodes and {len(graph.etypes)} of edges; a homogeneous "
            "one is needed, so say dgl.to_homogeneous(graph, ndata=[…])"
        )
    if graph.device.type != "cpu":
        raise GraphkitError(f"the DGLGraph is on {graph.device}; say graph.cpu(), since partitions are made there")
    if features not in graph.ndata:
        held = ", ".join(graph.ndata) or "nothing"
        raise GraphkitError(
            f"the DGLGraph has no ndata[{features!r}]{did_you_mean(features, graph.ndata)}; it has {held}, so say "
            "which is meant: graphkit.dgl.from_dgl(graph, features=NAME)"
        )
    starts, indices, _ = graph.adj_tensors("csc")
    data = Data(x=graph.ndata[features], adj_t=sparse_rows(starts, indices))
    for key, name in (("y", labels), *zip(MASKS, MASKS, strict=True)):
        if name in graph.ndata:
            data[key] = graph.ndata[name]
    return NodeGraph.of(data)


def to_dgl(graph: Data) -> DGLGraph:
    """Returns a graph as a DGLGraph with ``feat``, ``label`` and masks in its ``ndata``; tensors are shared.

    Names that have no place there (``node_ids``, ``class_names``) stay behind.

    Raises:
        GraphkitError: DGL is not installed.
    """
    dgl = _library()
    nodes = int(graph.num_nodes)
    if graph.get("edge_index") is not None:
        made = dgl.graph((graph.edge_index[0], graph.edge_index[1]), num_nodes=nodes)
    else:
        rows: tuple[Any, ...] = (graph.adj_t.crow_indices(), graph.adj_t.col_indices(), [])
        made = dgl.graph(("csc", rows), num_nodes=nodes)
    for name, key in (("feat", "x"), ("label", "y"), *zip(MASKS, MASKS, strict=True)):
        if graph.get(key) is not None:
            made.ndata[name] = graph[key]
    return made


def _library() -> Any:
    os.environ.setdefault("DGLBACKEND", "pytorch")  # DGL writes a file into the home folder otherwise
    try:
        import dgl
    except ImportError:
        raise GraphkitError("DGL is not installed; pip install dgl==1.1.3") from None
    return dgl
