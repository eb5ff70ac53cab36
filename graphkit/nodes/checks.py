"""What the parts of an attributed graph have to be, and the sentence for each that is not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit.errors import GraphkitError

#: Values of features that are looked at together: a mapped file is read in pieces of 64 MiB.
_BLOCK_VALUES = 1 << 24


def checked_features(x: Any) -> Tensor:
    """Returns features as a dense float32[N, F] without NaN or infinite values.

    Raises:
        GraphkitError: they are none.
    """
    if x is None:
        raise GraphkitError("the graph has no features x; give a tensor of one row a node (ones, if there are none)")
    if not isinstance(x, Tensor) or x.layout != torch.strided:
        kind = f"a {x.layout} tensor" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise GraphkitError(f"the features x are {kind}; a dense tensor is needed, such as torch.from_numpy(array)")
    if x.dim() != 2 or x.is_complex():
        raise GraphkitError(f"the features x are {_shown(x)}; real numbers of shape [nodes, features] are needed")
    if not len(x) or not x.size(1):
        raise GraphkitError(f"the features x have shape {list(x.shape)}; at least one node and one feature are needed")
    features: Tensor = x.detach().to(torch.float32)
    rows = max(1, _BLOCK_VALUES // features.size(1))
    for start in range(0, len(features), rows):
        finite = torch.isfinite(features[start : start + rows])
        if not finite.all():
            row, column = (int(place) for place in (~finite).nonzero()[0])
            found = float(features[start + row, column])
            raise GraphkitError(
                f"feature {column} of node {start + row} is {found}; features must be finite, so fill missing "
                "values in (with the column's mean, say) before you give them"
            )
    return features


def checked_edges(graph: Any, nodes: int) -> None:
    """Checks the structure of a graph, ``edge_index`` or ``adj_t``; index types become int64 in ``edge_index``.

    Raises:
        GraphkitError: there is none, it has another shape or type, or an id is out of range.
    """
    edges, adj_t = graph.get("edge_index"), graph.get("adj_t")
    if edges is not None:
        if not isinstance(edges, Tensor) or edges.dim() != 2 or len(edges) != 2 or not _whole(edges):
            raise GraphkitError(
                f"edge_index is {_shown(edges)}; whole numbers of shape [2, edges] are needed, sources above targets"
            )
        _in_range(edges, nodes)
        graph.edge_index = edges.long()
    elif adj_t is None:
        raise GraphkitError(
            "the graph has no structure; give edge_index, int64[2, edges] (torch.empty(2, 0) has no edges), or adj_t"
        )
    elif not isinstance(adj_t, Tensor) or adj_t.layout != torch.sparse_csr:
        kind = f"a {adj_t.layout} tensor" if isinstance(adj_t, Tensor) else f"a {type(adj_t).__name__}"
        raise GraphkitError(f"adj_t is {kind}; a torch.sparse_csr tensor is needed, or edge_index in its place")
    elif list(adj_t.shape) != [nodes, nodes]:
        raise GraphkitError(
            f"adj_t has shape {list(adj_t.shape)}, and there are features of {nodes:,} nodes; the two have to agree"
        )
    else:
        starts = adj_t.crow_indices()
        if int(starts[0]) != 0 or int(starts[-1]) != adj_t.col_indices().numel() or bool((starts.diff() < 0).any()):
            raise GraphkitError("the rows of adj_t do not part its entries; make it with torch.sparse_csr_tensor")
        _in_range(adj_t.col_indices(), nodes)


def _in_range(ids: Tensor, nodes: int) -> None:
    if not ids.numel():
        return
    for worst in (int(ids.min()), int(ids.max())):
        if not 0 <= worst < nodes:
            raise GraphkitError(
                f"an edge names node {worst}, and there are features of {nodes:,} nodes, 0 to {nodes - 1}; give "
                "features of all nodes, or take the edge out"
            )


def checked_labels(y: Any, nodes: int) -> Tensor:
    """Returns labels as int64[N], -1 where there is none.

    Raises:
        GraphkitError: their number or type is another, or a label is below -1.
    """
    if not isinstance(y, Tensor) or y.is_complex() or y.dim() not in (1, 2) or (y.dim() == 2 and y.size(1) != 1):
        raise GraphkitError(f"the labels y are {_shown(y)}; one class a node is needed, int64[nodes]")
    y = y.flatten()
    if len(y) != nodes:
        raise GraphkitError(f"there are labels y of {len(y):,} nodes, and features of {nodes:,}; give one label a node")
    if y.is_floating_point():
        y = y.nan_to_num(nan=-1.0)
        if not torch.equal(y, y.round()):
            raise GraphkitError("the labels y are not whole; classes are 0, 1, 2 …, and -1 or NaN where unknown")
    labels: Tensor = y.long()
    if len(labels) and int(labels.min()) < -1:
        raise GraphkitError(
            f"a label y is {int(labels.min())}; classes are 0, 1, 2 …, and -1 where the class is not known"
        )
    return labels


def checked_mask(name: str, mask: Any, nodes: int) -> Tensor:
    """Returns a mask as bool[N] or bool[N, S].

    Raises:
        GraphkitError: it has another shape or type.
    """
    if not isinstance(mask, Tensor) or mask.dim() not in (1, 2) or len(mask) != nodes or not _binary(mask):
        raise GraphkitError(
            f"{name} is {_shown(mask)}, and there are features of {nodes:,} nodes; bool[nodes] or bool[nodes, splits] "
            "is needed"
        )
    checked: Tensor = mask.bool()
    return checked


def _whole(value: Tensor) -> bool:
    return not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool) or not value.numel()


def _binary(mask: Any) -> bool:
    return mask.dtype == torch.bool or bool(((mask == 0) | (mask == 1)).all())


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    return f"a {type(value).__name__}"
