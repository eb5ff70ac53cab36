"""Quadratic forms tr(ZᵀMZ) of sparse symmetric matrices, the random graphs that negatives make, and products ZᵀZ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphkit.nodes.propagation import product, sparse_csr


@dataclass(frozen=True)
class RandomGraph:
    """A symmetric multigraph of rows: an edge that was drawn twice stands here twice."""

    starts: Tensor  #: int64[B + 1], where the neighbours of each row begin
    columns: Tensor  #: int64[2 pairs], neighbours

    @property
    def degrees(self) -> Tensor:
        """int64[B], how many neighbours each row has."""
        return self.starts.diff()


def negative_graph(negatives: Tensor) -> RandomGraph:
    """Returns both directions of each draw; a row that drew itself has no edge of it.

    Args:
        negatives: int64[B, K], rows.
    """
    rows = torch.arange(len(negatives), device=negatives.device).repeat_interleave(negatives.shape[1])
    drawn = negatives.flatten()
    kept = rows != drawn
    rows, drawn = rows[kept], drawn[kept]
    sources, order = torch.cat([rows, drawn]).sort(stable=True)
    columns = torch.cat([drawn, rows])[order]
    starts = torch.zeros(len(negatives) + 1, dtype=torch.int64, device=negatives.device)
    torch.cumsum(torch.bincount(sources, minlength=len(negatives)), 0, out=starts[1:])
    return RandomGraph(starts, columns)


def laplacian(graph: RandomGraph, *, dtype: torch.dtype) -> Tensor:
    """Returns D − A, sparse CSR [B, B]."""
    size = len(graph.degrees)
    places = torch.arange(size + 1, device=graph.starts.device)
    starts = graph.starts + places
    columns = graph.columns.new_empty(len(graph.columns) + size)
    values = torch.full(columns.shape, -1.0, dtype=dtype, device=columns.device)
    diagonal = starts[:-1]
    others = torch.ones_like(columns, dtype=torch.bool)
    others[diagonal] = False
    columns[diagonal] = places[:-1]
    columns[others] = graph.columns
    values[diagonal] = graph.degrees.to(dtype)
    return sparse_csr(starts, columns, values, (size, size))


def normalized_graph(graph: RandomGraph, *, dtype: torch.dtype) -> Tensor:
    """Returns D^-1/2 A D^-1/2, sparse CSR [B, B]; duplicates stand side by side, and count as their sum."""
    degrees = graph.degrees
    scale = degrees.clamp(min=1).to(dtype).rsqrt()
    values = scale.repeat_interleave(degrees) * scale[graph.columns]
    return sparse_csr(graph.starts, graph.columns, values, (len(degrees), len(degrees)))


class _QuadraticForm(torch.autograd.Function):
    """Σ w tr(ZᵀMZ); ΣwMZ is kept for the gradient, which is twice that."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, *terms: Any) -> Tensor:
        weights, matrices = terms[0::2], terms[1::2]
        result = product(matrices[0], z).mul_(weights[0])
        for weight, matrix in zip(weights[1:], matrices[1:], strict=True):
            torch.addmm(result, matrix, z, alpha=weight, out=result)
        ctx.save_for_backward(result)
        return torch.dot(z.reshape(-1), result.reshape(-1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (result,) = ctx.saved_tensors
        return (result * (2 * gradients[0]), *(None for _ in ctx.needs_input_grad[1:]))


def quadratic_form(z: Tensor, terms: Sequence[tuple[float, Tensor]]) -> Tensor:
    """The sum of weight · tr(ZᵀMZ), by products with sparse matrices; two tensors of the size of Z are held.

    Args:
        z: float[B, D].
        terms: weights, and symmetric matrices, sparse CSR float[B, B], which get no gradient.

    Returns:
        A scalar.
    """
    form: Tensor = _QuadraticForm.apply(z, *(part for term in terms for part in term))  # type: ignore[no-untyped-call]
    return form


class _ColumnProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return z.T @ z

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        z: Tensor
        (z,) = ctx.saved_tensors
        return z @ (gradients[0] + gradients[0].T)


def column_products(z: Tensor) -> Tensor:
    """ZᵀZ, float[D, D]; its backward takes one product of that size, where that of ``z.T @ z`` takes two."""
    products: Tensor = _ColumnProducts.apply(z)  # type: ignore[no-untyped-call]
    return products
