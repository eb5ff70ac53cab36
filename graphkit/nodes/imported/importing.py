"""From a user's files to a folder with an attributed graph: what ``graphkit data import-nodes`` does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.nodes.graph import adjacency
from graphkit.nodes.imported.feature_table import FeatureTable, read_features
from graphkit.nodes.imported.labelling import Labels, read_labels, read_masks
from graphkit.nodes.imported.lookup import NodeLookup, as_arrow
from graphkit.nodes.imported.store import NodeStoreContents, require_free_store, write_store
from graphkit.nodes.imported.tables import archive_names, read_array, read_columns, suffix_of

_SOURCES = frozenset({"source", "src", "from", "head", "u", "node1", "node_1", "id1", "id_1", "start"})
_TARGETS = frozenset(
    {"target", "dst", "to", "tail", "v", "node2", "node_2", "id2", "id_2", "end", "dest", "destination"}
)


@dataclass(frozen=True)
class NodeImportReport:
    """What an import read and made."""

    #: The folder of the graph.
    out: Path
    nodes: int
    features: int
    #: Whether nodes have ids of their own.
    ids: bool
    #: Rows of the table of edges.
    read: int
    #: Undirected edges in the graph.
    edges: int
    #: Rows that joined a node to itself, and were left out.
    loops: int
    #: Rows that repeated an edge, in either direction.
    repeated: int
    #: Nodes without an edge.
    isolated: int
    #: Nodes whose features are all zero.
    empty: int
    #: Nodes with a label, and classes; 0 without labels.
    labelled: int
    classes: int
    #: The fewest labels that a class has.
    smallest_class: int
    #: S, 0 without masks.
    splits: int
    #: How each file was laid out.
    layouts: tuple[str, ...]
    #: Columns of the table of edges that are neither end of them.
    left_out: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report as lines for a terminal; lines that start with ``warning:`` deserve a look."""
        ids = "under their own ids" if self.ids else f"numbered 0 to {self.nodes - 1}"
        dropped = [
            f"{count:,} {what}"
            for count, what in ((self.repeated, "repeated (in either direction)"), (self.loops, "self-loops"))
            if count
        ]
        said = [*self.layouts, f"{self.nodes:,} nodes {ids}, {self.features:,} features"]
        said.append(
            f"{self.edges:,} undirected edges of {self.read:,} rows"
            + (f"; left out: {', '.join(dropped)}" if dropped else "")
        )
        said.append(
            f"{self.labelled:,} nodes have labels, of {self.classes:,} classes" if self.classes else "no labels"
        )
        if self.splits:
            splits = f"{self.splits} split{'s' if self.splits > 1 else ''}"
            said.append(f"masks of {splits}, which task.labels_per_class=null takes in place of random ones")
        said += [f"warning: {warning}" for warning in self._warnings()]
        said.append(f"saved in {self.out}")
        return said

    def _warnings(self) -> list[str]:
        found: list[str] = []
        if self.left_out:
            found.append(
                f"edges have two ends and nothing else here; left out of their table: {', '.join(self.left_out)}"
            )
        if not self.edges:
            found.append("there are no edges, so nothing can be learnt of the structure")
        elif self.isolated:
            found.append(f"{self.isolated:,} nodes have no edge")
        if self.empty:
            found.append(f"{self.empty:,} nodes have features that are all zero")
        if not self.classes:
            found.append("without labels embeddings are made, but none are probed; --labels FILE gives them")
        elif self.smallest_class == 1:
            found.append("a class has 1 label, and random splits need at least 2: one to train, one to test")
        elif self.smallest_class <= 20:
            found.append(
                f"a class has {self.smallest_class} labels, and random splits take 20 of each class to train; "
                f"train with task.labels_per_class={self.smallest_class // 2}"
            )
        return found


def import_nodes(
    edges: str | os.PathLike[str],
    features: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    masks: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> NodeImportReport:
    """Reads a graph from files and saves it in a folder that `open_store` maps.

    Files are npy, npz, Parquet, CSV or TSV. Edges become undirected; self-loops and repeated ones are left out. Nothing
    is left behind when an error ends the import.

    Args:
        edges: two columns of ids of nodes, or of numbers of rows of features.
        features: numbers, one row a node, perhaps beside a column of ids; see `read_features`.
        out: the folder to make.
        labels: ids and labels, or one label a node; see `read_labels`.
        masks: which nodes train and test; see `read_masks`.
        overwrite: whether a graph in ``out`` may be replaced.

    Raises:
        GraphkitError: ``out`` exists, a file cannot be read, or its content is not that of a graph.
    """
    folder, given = Path(out), [Path(path) for path in (edges, features, labels, masks) if path is not None]
    require_free_store(folder, overwrite=overwrite)
    for path in given:  # a missing file of labels shows before the features have been read
        suffix_of(path)
    table = read_features(Path(features))
    nodes = NodeLookup(table.shape[0], table.ids)
    pairs, layout, left_out = _read_edges(Path(edges), nodes)
    structure = adjacency(Data(edge_index=torch.from_numpy(pairs), num_nodes=nodes.nodes))
    known = read_labels(Path(labels), nodes) if labels is not None else None
    parts = read_masks(Path(masks), nodes) if masks is not None else None
    if parts is not None and known is None:
        raise GraphkitError(
            f"{masks} says which nodes train and test, and there are no labels to train on; give them too "
            "(--labels FILE)"
        )
    contents = NodeStoreContents(
        features=table.blocks(),
        shape=table.shape,
        indptr=structure.indptr.astype(np.int64),
        indices=structure.indices.astype(np.int64),
        labels=known.classes if known is not None else None,
        masks=parts,
        node_ids=table.ids,
        class_names=known.names if known is not None else None,
    )
    write_store(folder, contents, overwrite=overwrite)
    return _report(folder, table, pairs, contents, known, layout, left_out)


def _read_edges(path: Path, nodes: NodeLookup) -> tuple[NDArray[np.int64], str, tuple[str, ...]]:
    """Returns int64[2, M] of the rows of a table of edges, how the file was laid out, and what was left out."""
    if suffix_of(path) in (".npy", ".npz"):
        array = read_array(path, ("edges", "edge_index"))
        by_end = suffix_of(path) == ".npz" and "edges" not in archive_names(path)  # edge_index, as PyG has it
        if array.shape == (2, 2) and suffix_of(path) == ".npy":
            raise GraphkitError(
                f"{path} holds edges of shape [2, 2], which may be [edges, 2] or [2, edges]; save them with "
                "numpy.savez(edges=…) or numpy.savez(edge_index=…)"
            )
        if array.ndim == 2 and array.shape[0] == 2 and (array.shape[1] != 2 or by_end):
            array = array.T
        if array.ndim != 2 or array.shape[1] != 2:
            raise GraphkitError(f"{path} holds edges of shape {list(array.shape)}; [edges, 2] or [2, edges] is needed")
        columns = [as_arrow(array[:, place], str(path)) for place in range(2)]
        found = [nodes.find(column, f"{path}, column {place + 1}") for place, column in enumerate(columns)]
        return np.stack(found), f"{path}: array {list(array.shape)}", ()
    table = read_columns(path, roles=(_SOURCES, _TARGETS), texts=(0, 1))
    named = [[i for i, name in enumerate(table.names or ()) if name in role] for role in (_SOURCES, _TARGETS)]
    clear = all(len(found) == 1 for found in named)
    places = [found[0] for found in named] if clear else [0, 1]
    if len(table.columns) != 2 and not clear:
        listed = table.names or [str(column[0].as_py()) for column in table.columns]
        raise GraphkitError(
            f"{path} has {len(table.columns)} column{'s' if len(table.columns) > 1 else ''} ({table.layout}), "
            f"{', '.join(listed[:8])}; edges need two, or a header that names one of them source and one target"
        )
    found = [nodes.find(table.columns[place], f"{path}, {table.name(place)}") for place in places]
    left_out = tuple(name for place, name in enumerate(table.names or ()) if place not in places)
    return np.stack(found), f"{path}: {table.layout}", left_out


def _named_features(table: FeatureTable) -> str:
    names = table.names or ()
    return f", features {', '.join(names[:5])}{' …' if len(names) > 5 else ''}" if names else ""


def _report(
    folder: Path,
    table: FeatureTable,
    pairs: NDArray[np.int64],
    contents: NodeStoreContents,
    known: Labels | None,
    layout: str,
    left_out: tuple[str, ...],
) -> NodeImportReport:
    loops = int((pairs[0] == pairs[1]).sum())
    edges = len(contents.indices) // 2
    counts = np.bincount(known.classes[known.classes >= 0]) if known is not None else np.zeros(0, np.int64)
    features = np.load(folder / "features.npy", mmap_mode="r")
    return NodeImportReport(
        out=folder,
        nodes=contents.shape[0],
        features=contents.shape[1],
        ids=table.ids is not None,
        read=pairs.shape[1],
        edges=edges,
        loops=loops,
        repeated=pairs.shape[1] - loops - edges,
        isolated=int((np.diff(contents.indptr) == 0).sum()),
        empty=sum(int((~block.any(axis=1)).sum()) for block in np.array_split(features, max(1, features.size >> 22))),
        labelled=int(counts.sum()),
        classes=len(counts),
        smallest_class=int(counts.min()) if len(counts) else 0,
        splits=contents.masks.shape[2] if contents.masks is not None else 0,
        layouts=(layout, f"{table.path}: {table.layout}{_named_features(table)}"),
        left_out=left_out,
    )
