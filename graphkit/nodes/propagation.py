"""Propagation: the normalised adjacency of a graph, and features after 0, 1, 2 … hops over it.

Â = D̃^-1/2 (A + I) D̃^-1/2 is that of Kipf and Welling (ICLR 2017, eq. 2).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphkit.errors import GraphkitError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def normalized(adjacency: csr_matrix, *, loops: bool = True) -> Tensor:
    """Divides each entry by the root of both degrees.

    Args:
        adjacency: [N, N], symmetric; entries are weights ≥ 0, and the diagonal counts once.
        loops: add one loop to each node first.

    Returns:
        Sparse CSR float32 [N, N]; a node without edges has an empty row or, with `loops`, itself alone. Without
        `loops`, the indices of `adjacency` are shared.
    """
    from scipy.sparse import eye_array

    matrix = adjacency + eye_array(adjacency.shape[0], dtype=np.float32, format="csr") if loops else adjacency
    degrees = np.asarray(matrix.sum(axis=1, dtype=np.float64)).reshape(-1)
    scale = np.zeros(len(degrees), dtype=np.float32)
    np.divide(1.0, np.sqrt(degrees), out=scale, where=degrees > 0, casting="same_kind")
    values = np.repeat(scale, np.diff(matrix.indptr))
    values *= matrix.data
    values *= scale[matrix.indices]
    return sparse_csr(matrix.indptr, matrix.indices, values, matrix.shape)


def sparse_csr(starts: Any, columns: Any, values: Any, shape: tuple[int, int]) -> Tensor:
    """Returns the sparse CSR tensor of these parts; those of numpy are shared.

    Columns need not be sorted within a row, nor be distinct: products add up what stands there twice.
    """
    with warnings.catch_warnings():
        # Indices may lie in a file that is mapped for reading.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        starts, columns, values = (torch.as_tensor(part) for part in (starts, columns, values))
        # torch says so once, of all that is CSR; only products of it are used here.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(starts, columns, values, shape, check_invariants=False)


def product(matrix: Tensor, x: Tensor) -> Tensor:
    """Returns the product of a sparse CSR matrix [N, N] and x [N, D], without autograd.

    ``matrix @ x`` is the same, and holds one more tensor of the size of its result.
    """
    out = x.new_empty(matrix.shape[0], x.shape[1])
    return torch.addmm(out, matrix, x, beta=0, out=out)


class _Propagation(torch.autograd.Function):
    """A product with a symmetric matrix, whose gradient is the same product."""

    @staticmethod
    def forward(ctx: Any, adjacency: Tensor, x: Tensor) -> Tensor:
        ctx.adjacency = adjacency
        return product(adjacency, x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, product(ctx.adjacency, gradients[0])


def propagate(adjacency: Tensor, x: Tensor) -> Tensor:
    """Multiplies by a symmetric matrix; its backward multiplies by the same one.

    Args:
        adjacency: sparse CSR float32 [N, N], symmetric; gets no gradient.
        x: float32 [N, D].

    Returns:
        float32 [N, D].

    Raises:
        GraphkitError: the sizes do not agree.
    """
    if x.shape[0] != adjacency.shape[1]:
        raise GraphkitError(
            f"the features have {x.shape[0]} rows and the adjacency has {adjacency.shape[1]} nodes; give both of one "
            "graph"
        )
    product: Tensor = _Propagation.apply(adjacency, x)  # type: ignore[no-untyped-call]
    return product


def hop_features(adjacency: Tensor, x: Tensor, hops: int) -> Iterator[Tensor]:
    """Yields X, ÂX, Â²X … Â^hops X; two of them are alive at a time.

    Args:
        adjacency: sparse CSR float32 [N, N], of `normalized`.
        x: float32 [N, F].
        hops: how often to propagate, 0 or more.
    """
    yield x
    for _ in range(hops):
        x = propagate(adjacency, x)
        yield x
