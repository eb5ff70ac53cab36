"""Attributed graphs in npz archives, as two collections publish them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.nodes.graph import undirected
from graphkit.nodes.npz import brief, read_arrays
from graphkit.nodes.published.sparse_parts import dense_features, sparse_matrix

_SPARSE_PARTS = ("data", "indices", "indptr", "shape")


def read_ppnp(path: Path) -> Data:
    """Reads a graph of the collection of PPNP (Klicpera et al. 2019): sparse edges and features, and labels.

    Edges are made undirected, without loops.

    Raises:
        GraphkitError: the file is damaged, or its parts do not fit together.
    """
    sparse = [f"{matrix}.{part}" for matrix in ("adj_matrix", "attr_matrix") for part in _SPARSE_PARTS]
    arrays = read_arrays(path, [*sparse, "labels"])
    edges = _sparse(arrays, "adj_matrix", path).tocoo()
    features = _sparse(arrays, "attr_matrix", path)
    nodes = features.shape[0]
    if edges.shape != (nodes, nodes) or arrays["labels"].shape != (nodes,):
        raise GraphkitError(
            f"{path} does not fit together: adj_matrix is {list(edges.shape)} and labels "
            f"{list(arrays['labels'].shape)}, with features of {nodes:,} nodes; fetch it again"
        )
    pairs = torch.from_numpy(np.stack([edges.row, edges.col]).astype(np.int64))
    y = torch.from_numpy(_whole(arrays, "labels", path))
    return Data(x=_features(features, "attr_matrix", path), edge_index=undirected(pairs, nodes), y=y)


def read_heterophilous(path: Path) -> Data:
    """Reads a graph of Platonov et al. 2023 with its ten splits; each edge stands once in the file.

    Raises:
        GraphkitError: the file is damaged, or its parts do not fit together.
    """
    masks = ("train_masks", "val_masks", "test_masks")
    arrays = read_arrays(path, ["node_features", "node_labels", "edges", *masks])
    x, y, edges = arrays["node_features"], *(_whole(arrays, name, path) for name in ("node_labels", "edges"))
    nodes = len(x) if x.ndim else 0
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    fits = x.ndim == 2 and y.shape == (nodes,) and edges.ndim == 2 and edges.shape[1] == 2
    fits = fits and all(arrays[name].ndim == 2 and arrays[name].shape[1] == nodes for name in masks)
    if not fits or (edges.size and not 0 <= edges.min() <= edges.max() < nodes):
        why = f"the arrays have shapes {shapes}" if not fits else f"an edge names a node outside of 0 to {nodes - 1}"
        raise GraphkitError(f"{path} does not fit together: {why}; fetch it again")
    data = Data(x=_features(x, "node_features", path), y=torch.from_numpy(y))
    data.edge_index = undirected(torch.from_numpy(edges.T), nodes)
    for name in masks:
        data[name.removesuffix("s")] = torch.from_numpy(np.ascontiguousarray(_whole(arrays, name, path).T))
    return data


def _sparse(arrays: Mapping[str, NDArray[Any]], name: str, path: Path) -> csr_matrix:
    data, indices, indptr, shape = (arrays[f"{name}.{part}"] for part in _SPARSE_PARTS)
    try:
        return sparse_matrix(data, indices, indptr, [int(extent) for extent in shape])
    except (ValueError, TypeError, OverflowError) as error:
        raise GraphkitError(
            f"{path} is damaged: {name} is no sparse matrix ({brief(error)}); fetch it again"
        ) from error


def _features(matrix: csr_matrix | NDArray[Any], name: str, path: Path) -> Tensor:
    try:
        return torch.from_numpy(dense_features(matrix))
    except ValueError as error:
        raise GraphkitError(f"{path} is damaged: {name}: {error}; fetch it again") from None


def _whole(arrays: Mapping[str, NDArray[Any]], name: str, path: Path) -> NDArray[np.int64]:
    if arrays[name].dtype.kind not in "biu":
        raise GraphkitError(
            f"{path} is damaged: {name} holds {arrays[name].dtype}, and whole numbers are needed; fetch it again"
        )
    return arrays[name].astype(np.int64)
