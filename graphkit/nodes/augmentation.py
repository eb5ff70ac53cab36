"""Random views of a graph for contrastive training over all nodes: edges dropped, columns of features masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphkit.errors import GraphkitError
from graphkit.nodes.propagation import sparse_csr

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class EdgeDropper:
    """Drops undirected edges and normalises what is left (GRACE: Zhu et al., 2020, section 3.2.1).

    Which entries are the two directions of an edge is found once, so that a view costs a few passes over the entries.

    Args:
        adjacency: [N, N], symmetric, without loops and repeated entries; an entry is an edge, whatever its weight.
    """

    def __init__(self, adjacency: csr_matrix) -> None:
        from scipy.sparse import csr_matrix, eye_array

        nodes = adjacency.shape[0]
        looped = csr_matrix(adjacency + eye_array(nodes, dtype=np.float32, format="csr"))
        looped.sort_indices()
        self._starts, self._columns = looped.indptr, looped.indices
        places = np.arange(looped.nnz, dtype=looped.indices.dtype)
        rows = np.repeat(np.arange(nodes, dtype=looped.indices.dtype), np.diff(looped.indptr))
        upper, lower = looped.indices > rows, looped.indices < rows
        # Entry (i, j) of the transpose says where (j, i) is; columns of both ascend, so its places are the same.
        mirror = csr_matrix((places, looped.indices, looped.indptr), shape=looped.shape).T.tocsr().data
        self._edges = int(np.count_nonzero(upper))
        #: the edge of each entry, numbered by rows of the upper triangle; loops come after all edges
        self._edge_of = np.full(looped.nnz, self._edges, dtype=looped.indices.dtype)
        self._edge_of[upper] = np.arange(self._edges)
        self._edge_of[lower] = self._edge_of[mirror[lower]]

    def __call__(self, rate: float, generator: torch.Generator) -> Tensor:
        """Returns a view: sparse CSR float32[N, N], Â of the kept edges.

        Args:
            rate: the probability that an edge is dropped, both directions at once.
            generator: decides.

        Raises:
            GraphkitError: a rate that is no probability.
        """
        _require_probability(rate, "dropping edges")
        kept = np.ones(self._edges + 1, np.bool_)  # loops stay
        kept[:-1] = torch.rand(self._edges, generator=generator).numpy() >= rate
        entries = kept[self._edge_of]
        nodes = len(self._starts) - 1
        # A row has its loop at least, so that no slice is empty.
        degrees = np.add.reduceat(entries, self._starts[:-1], dtype=self._starts.dtype)
        starts = np.zeros_like(self._starts)
        np.cumsum(degrees, out=starts[1:])
        columns = self._columns[entries]
        scale = (1.0 / np.sqrt(degrees, dtype=np.float64)).astype(np.float32)
        values = np.repeat(scale, degrees)
        values *= scale[columns]
        return sparse_csr(starts, columns, values, (nodes, nodes))


def drop_edges(adjacency: csr_matrix, rate: float, generator: torch.Generator) -> Tensor:
    """Returns one view of an `EdgeDropper`, which is the quicker for several of them.

    Args:
        adjacency: [N, N], symmetric, without loops and repeated entries.
        rate: the probability that an edge is dropped, both directions at once.
        generator: decides.

    Returns:
        Sparse CSR float32[N, N], Â of the kept edges.

    Raises:
        GraphkitError: a rate that is no probability.
    """
    return EdgeDropper(adjacency)(rate, generator)


def mask_features(x: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Sets whole columns to 0 (GRACE: Zhu et al., 2020, section 3.2.2).

    Args:
        x: float32[N, F].
        rate: the probability that a column is masked, in all rows at once.
        generator: decides.

    Returns:
        float32[N, F], a copy.

    Raises:
        GraphkitError: a rate that is no probability.
    """
    _require_probability(rate, "masking features")
    return x * (torch.rand(x.shape[1], generator=generator) >= rate)


def _require_probability(rate: float, what: str) -> None:
    if not 0 <= rate <= 1:
        raise GraphkitError(f"the rate of {what} is {rate}, and 0 to 1 is allowed")
