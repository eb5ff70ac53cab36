"""Citation graphs in the files of Planetoid (Yang et al. 2016), as PyG reads them, but without running pickles."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.nodes.graph import undirected
from graphkit.nodes.published.catalogue import PLANETOID_PARTS
from graphkit.nodes.published.sparse_parts import dense_features
from graphkit.nodes.published.unpickling import unpickled

#: Nodes after the training nodes that the public split validates with.
_VALIDATION = 500


def read_planetoid(folder: Path, prefix: str) -> Data:
    """Reads a citation graph with its public split.

    Test nodes lie apart from the others and in another order; ids between them that have no row (15 of CiteSeer) are
    nodes without features, of class 0, as in PyG.

    Args:
        folder: the folder with the files.
        prefix: what they are called after ``ind.``: cora, citeseer, pubmed.

    Raises:
        GraphkitError: a file is damaged, names what it should not, or does not fit the others.
    """
    read = {part: unpickled(folder / f"ind.{prefix}.{part}") for part in PLANETOID_PARTS[:-1]}
    shown = folder / f"ind.{prefix}.*"
    test = _test_ids(folder / f"ind.{prefix}.test.index")
    features = {part: _dense(read[part], shown, part) for part in ("allx", "tx")}
    classes = {part: _dense(read[part], shown, part) for part in ("ally", "ty", "y")}
    first, nodes = len(features["allx"]), int(test.max(initial=-1)) + 1
    lengths = (len(classes["ally"]), len(classes["ty"]), len(features["tx"]))
    if lengths != (first, len(test), len(test)) or int(test.min(initial=first)) < first:
        raise _unfit(shown, "allx and ally, or tx, ty and test.index, have different lengths")
    if nodes > 2 * (first + len(test)):  # the published files skip some ids, never most
        raise _unfit(shown, f"test.index names node {nodes - 1}, and there are rows of {first + len(test)} nodes")
    for kind, parts in (("features", features), ("classes", classes)):
        if len({part.shape[1] for part in parts.values()}) > 1:
            raise _unfit(shown, f"the {kind} of its parts have different numbers of columns")
    x, hot = (np.zeros((nodes, part.shape[1]), np.float32) for part in (features["allx"], classes["ally"]))
    x[:first], x[test] = features["allx"], features["tx"]
    hot[:first], hot[test] = classes["ally"], classes["ty"]
    data = Data(x=torch.from_numpy(x), y=torch.from_numpy(hot.argmax(axis=1)))
    data.edge_index = undirected(torch.from_numpy(_edges(read["graph"], nodes, shown)), nodes)
    train = len(classes["y"])
    ranges = {"train": np.arange(train), "val": np.arange(train, min(train + _VALIDATION, nodes)), "test": test}
    for name, ids in ranges.items():
        mask = torch.zeros(nodes, dtype=torch.bool)
        mask[torch.from_numpy(ids)] = True
        data[f"{name}_mask"] = mask
    return data


def _dense(part: Any, shown: Path, name: str) -> NDArray[np.float32]:
    if not isinstance(part, csr_matrix | np.ndarray) or part.ndim != 2:
        raise _unfit(shown, f"{name} is no matrix of numbers")
    try:
        return dense_features(part)
    except ValueError as error:
        raise _unfit(shown, f"{name}: {error}") from None


def _test_ids(path: Path) -> NDArray[np.int64]:
    try:
        ids = np.array([int(line) for line in path.read_text(encoding="utf-8").split()], np.int64)
    except (ValueError, OverflowError):
        raise GraphkitError(f"{path} holds something else than one number a line; fetch it again") from None
    if len(np.unique(ids)) != len(ids):
        raise GraphkitError(f"{path} names a node twice; fetch it again")
    return ids


def _edges(neighbors: Any, nodes: int, shown: Path) -> NDArray[np.int64]:
    """Returns int64[2, ·] of a dictionary from each node to the list of its neighbours."""
    try:
        counts = np.array([len(listed) for listed in neighbors.values()], np.int64)
        sources = np.repeat(np.array(list(neighbors), np.int64), counts)
        targets = np.array(list(chain.from_iterable(neighbors.values())))
        if len(targets) and targets.dtype.kind != "i":
            raise TypeError
    except (AttributeError, TypeError, ValueError, OverflowError):
        raise _unfit(shown, "graph is no dictionary of lists of nodes") from None
    edges = np.stack([sources, targets.astype(np.int64)])
    if edges.size and not 0 <= edges.min() <= edges.max() < nodes:
        raise _unfit(shown, f"graph names a node outside of 0 to {nodes - 1}")
    return edges


def _unfit(shown: Path, why: str) -> GraphkitError:
    return GraphkitError(f"the files {shown} do not fit together: {why}; put the published files there")
