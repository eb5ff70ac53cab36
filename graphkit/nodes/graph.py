"""`NodeGraph`: PyG's `Data` whose parts have been checked, with the user's ids; and its adjacency matrix."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from torch import Tensor
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.graph import Vocabulary
from graphkit.graph.store import checksum
from graphkit.nodes.checks import checked_edges, checked_features, checked_labels, checked_mask
from graphkit.nodes.propagation import sparse_csr

#: The masks of a graph that come with it.
MASKS = ("train_mask", "val_mask", "test_mask")
#: Entries of a matrix that are checked at a time.
_ENTRIES_AT_ONCE = 1 << 19


class NodeGraph(Data):  # type: ignore[misc]  # PyG has no type information
    """A graph with features of its nodes, and perhaps their classes; made by `of`, by name, or from a folder.

    It is a `Data` of PyG, so transforms, loaders and models of PyG take it. Its parts:

    - ``x``: float32[N, F], perhaps over a file that is mapped, not read;
    - ``edge_index``: int64[2, E], both directions of an undirected edge; or ``adj_t``: sparse CSR [N, N], whose row i
      holds the nodes with an edge to i. Values of ``adj_t`` and attributes of edges are not looked at: an entry is an
      edge;
    - ``y``: int64[N], the class of each node, -1 where it is not known; or absent;
    - ``train_mask``, ``val_mask``, ``test_mask``: bool[N], or bool[N, S] of S splits; or absent;
    - ``node_ids``, ``class_names``, ``name``: below.
    """

    @classmethod
    def of(cls, data: Data) -> NodeGraph:
        """Returns the graph of a `Data`, checked; tensors are shared where they have the right type already.

        Features of other number types become float32, labels int64 (``[N, 1]`` becomes ``[N]``, NaN -1), masks bool.

        Raises:
            GraphkitError: no features or no structure, features that are NaN or infinite, parts whose sizes do not
                agree, ids out of range, labels or masks that are none.
        """
        graph = cls()
        for key, value in data.to_dict().items():
            graph[key] = value
        graph.x = checked_features(data.get("x"))
        nodes = len(graph.x)
        if data.get("num_nodes") is not None and data.num_nodes != nodes:
            raise GraphkitError(
                f"the graph has {data.num_nodes:,} nodes, and features of {nodes:,}; give one row of features a node"
            )
        checked_edges(graph, nodes)
        if data.get("y") is not None:
            graph.y = checked_labels(data.y, nodes)
        for name in MASKS:
            if data.get(name) is not None:
                graph[name] = checked_mask(name, data[name], nodes)
        if graph.node_ids is not None and len(graph.node_ids) != nodes:
            raise GraphkitError(
                f"the graph has {len(graph.node_ids):,} node_ids, and features of {nodes:,} nodes; give one id a node"
            )
        return graph

    @property
    def node_ids(self) -> Vocabulary | None:
        """The user's ids: that of node i at place i; None where nodes have numbers only."""
        return self._store.get("node_ids")  # type: ignore[no-any-return]

    @node_ids.setter
    def node_ids(self, ids: Vocabulary | None) -> None:
        self._store.node_ids = ids

    @property
    def class_names(self) -> list[str] | None:
        """The name of each class, or None."""
        return self._store.get("class_names")  # type: ignore[no-any-return]

    @class_names.setter
    def class_names(self, names: list[str] | None) -> None:
        self._store.class_names = names

    @property
    def name(self) -> str | None:
        """What the graph is called in reports, or None."""
        return self._store.get("name")  # type: ignore[no-any-return]

    @name.setter
    def name(self, name: str | None) -> None:
        self._store.name = name

    @property
    def num_classes(self) -> int:
        """C: the classes that have a name, or else the largest label + 1; 0 without labels."""
        if self.class_names is not None:
            return len(self.class_names)
        return int(self.y.max()) + 1 if self.y is not None and len(self.y) else 0

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that tell this graph from another: of `adjacency`, features and labels."""
        structure = adjacency(self)
        parts: dict[str, NDArray[Any]] = {
            "indptr": structure.indptr.astype(np.int64),
            "indices": structure.indices.astype(np.int64),
            "x": self.x.numpy(),
        }
        if self.y is not None:
            parts["y"] = self.y.numpy()
        sums = {name: [list(part.shape), checksum(part)] for name, part in parts.items()}
        return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()[:16]

    def save_vocabulary(self, folder: Path) -> None:
        """Writes the user's ids, where there are any, as ``nodes.arrow`` into a folder."""
        if self.node_ids is not None:
            self.node_ids.save(folder / "nodes.arrow")

    def subgraph(self, subset: Tensor) -> NodeGraph:
        """Returns the graph of some nodes and the edges between them, with their ids; see `Data.subgraph`.

        Args:
            subset: bool[N], or int64[M] of nodes.
        """
        bare = self.with_edge_index()
        bare.node_ids = bare.class_names = None  # PyG would take a list of N names for an attribute of nodes
        part: NodeGraph = super(NodeGraph, bare).subgraph(subset)
        part.class_names = self.class_names
        if self.node_ids is not None:
            places = subset.nonzero().flatten() if subset.dtype == torch.bool else subset
            part.node_ids = Vocabulary(self.node_ids.labels.take(places.numpy()), kind="node", checked=True)
        return part

    def with_edge_index(self) -> NodeGraph:
        """Returns a copy that shares tensors and whose structure is ``edge_index``, as PyG's transforms need it."""
        graph: NodeGraph = NodeGraph()
        for key, value in self.to_dict().items():
            if key != "adj_t":
                graph[key] = value
        if self.edge_index is None:
            starts, sources = self.adj_t.crow_indices().long(), self.adj_t.col_indices().long()
            targets = torch.repeat_interleave(torch.arange(len(starts) - 1), starts.diff())
            graph.edge_index = torch.stack([sources, targets])
        return graph


def adjacency(graph: Data) -> csr_matrix:
    """Returns the undirected structure of a graph: float32[N, N] of ones, symmetric, without loops.

    Edges that are given in one direction get the other, repeated ones count once, loops are left out; indices are
    sorted. Where the graph has it in this form already, its indices are shared, not copied.
    """
    nodes = int(graph.num_nodes)
    if graph.get("edge_index") is not None:
        starts, indices = _rows(graph.edge_index.numpy(), nodes)
    else:
        starts, indices = graph.adj_t.crow_indices().numpy(), graph.adj_t.col_indices().numpy()
    given = _matrix(starts, indices, nodes)
    return given if _is_plain(given) else _plain(given)


def sparse_rows(starts: Tensor, indices: Tensor) -> Tensor:
    """Returns ``adj_t``: sparse CSR float32[N, N] of ones, which shares the starts of rows and the indices."""
    return sparse_csr(starts, indices, torch.ones(len(indices)), (len(starts) - 1, len(starts) - 1))


def undirected(edges: Tensor, nodes: int) -> Tensor:
    """Returns both directions of edges: int64[2, E], by source and then target, without loops and repeated ones.

    Args:
        edges: int64[2, ·], ids 0 to nodes - 1, in any order and in one direction or both.
        nodes: N.
    """
    matrix = adjacency(Data(edge_index=edges, num_nodes=nodes))
    both = np.empty((2, matrix.nnz), np.int64)
    both[0] = np.repeat(np.arange(nodes), np.diff(matrix.indptr))
    both[1] = matrix.indices
    return torch.from_numpy(both)


def _rows(edges: NDArray[np.int64], nodes: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the starts of rows and the columns of edges int64[2, E], sorted by rows; shared if they are sorted."""
    sources, targets = edges
    if np.all(sources[1:] >= sources[:-1]):
        return np.searchsorted(sources, np.arange(nodes + 1)), targets
    ones = np.ones(len(sources), np.int8)
    # A conversion of SciPy sums repeated entries; int8 may then wrap round to 0, which stays an entry.
    csr = coo_matrix((ones, (sources, targets)), shape=(nodes, nodes)).tocsr()
    return csr.indptr, csr.indices


def _matrix(starts: NDArray[Any], indices: NDArray[Any], nodes: int) -> csr_matrix:
    """Puts the parts of a matrix together as they are: the constructor would copy indices into a smaller type."""
    matrix = csr_matrix((nodes, nodes), dtype=np.float32)
    matrix.indptr, matrix.indices, matrix.data = starts, indices, np.ones(len(indices), np.float32)
    return matrix


def _is_plain(matrix: csr_matrix) -> bool:
    """Whether indices ascend strictly in each row, no entry is on the diagonal, and each has its mirror image."""
    starts, indices = matrix.indptr, matrix.indices
    ascending = np.ones(len(indices), np.bool_)
    ascending[1:] = indices[1:] > indices[:-1]
    ascending[starts[:-1][starts[:-1] < len(indices)]] = True
    if not ascending.all():
        return False
    return _is_mirrored(starts, indices)


def _is_mirrored(starts: NDArray[Any], indices: NDArray[Any]) -> bool:
    """Whether no entry (i, j) is on the diagonal and each has its mirror image; columns ascend strictly in each row.

    Read row by row, the entries that name j come in the order of their rows, which is that of row j's own columns: so
    the next of them has to be the next column of row j. Blocks of entries need little memory beside the matrix, of
    which a transpose would take several times as much as training on clusters.
    """
    nodes = len(starts) - 1
    next_of = np.array(starts[:-1])
    cuts = np.unique(np.searchsorted(starts, np.arange(0, len(indices), _ENTRIES_AT_ONCE)))
    for first, last in pairwise([*cuts, nodes]):
        start, stop = starts[first], starts[last]
        kept = np.ones(stop - start, np.bool_), indices[start:stop], starts[first : last + 1] - start
        block = csr_matrix(kept, shape=(last - first, nodes)).tocsc()
        counts = np.diff(block.indptr)
        # Where the next entries of each row are that the block names, in the order of the block's columns.
        places = np.repeat(next_of - block.indptr[:-1], counts) + np.arange(stop - start)
        named, rows = np.repeat(np.arange(nodes), counts), block.indices + first
        if np.any(rows == named) or np.any(places >= starts[named + 1]) or np.any(indices[places] != rows):
            return False
        next_of += counts
    return True


def _plain(matrix: csr_matrix) -> csr_matrix:
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    apart = rows != matrix.indices
    sources, targets = rows[apart], matrix.indices[apart]
    both = (np.concatenate([sources, targets]), np.concatenate([targets, sources]))
    made = coo_matrix((np.ones(len(both[0]), np.float32), both), shape=matrix.shape).tocsr()
    made.sort_indices()
    made.data.fill(1.0)
    return made
