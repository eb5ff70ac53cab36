"""Cross entropy over all rows of a table, whose logits are dot products: memory for a chunk of logits, not for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphkit import _native
from graphkit.engine import buffers

#: Logits that are held at once: 256 MiB in float32, half of that in bfloat16.
LOGITS_AT_ONCE = 2**26


def cross_entropy(queries: Tensor, rows: Tensor, targets: Tensor, *, rounded: bool = False) -> Tensor:
    """Cross entropy of one row for each query among all: ``log Σ_n exp(q · e_n) - q · e_target``.

    Two passes over the rows: one for the normalisers, which grow chunk by chunk (Milakov and Gimelshein, 2018), and
    one, in the backward pass, for the gradients. When all logits fit into `LOGITS_AT_ONCE` they are kept between the
    two, and else computed twice.

    Args:
        queries: float32[B, D].
        rows: float32[N, D].
        targets: int64[B], the row of each query's answer.
        rounded: round factors and logits of the products to bfloat16; sums are accumulated in float32, and the logit of
            the answer is float32 in any case.

    Returns:
        float32[B]. In float32 the error is at most 1e-5 of the largest logit, or of 1.
    """
    if queries.dtype != torch.float32 or queries.device.type != "cpu":
        return reference(queries, rows, targets)
    found: Tensor = _CrossEntropy.apply(queries, rows, targets, rounded)  # type: ignore[no-untyped-call]  # torch's
    return found


def reference(queries: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
    """The plain twin that defines `cross_entropy`; holds [B, N]."""
    return F.cross_entropy(queries @ rows.T, targets, reduction="none")


class _CrossEntropy(torch.autograd.Function):
    """Forward and backward of `cross_entropy`."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, rows: Tensor, targets: Tensor, rounded: bool) -> Tensor:
        factor = queries.to(torch.bfloat16) if rounded else queries
        most, totals = torch.full((len(queries),), -torch.inf), torch.zeros(len(queries))
        ctx.kept = None
        for chunk in _chunks(len(queries), len(rows)):
            logits = _products(factor, rows[chunk])
            _native.softmax_sums(_halves(logits), rounded, most, totals, torch.get_num_threads())
            if chunk == slice(0, len(rows)):
                ctx.kept = logits
        normalisers = most + totals.log()
        ctx.save_for_backward(queries, rows, targets, normalisers)
        ctx.rounded = rounded
        return normalisers - (queries * rows[targets]).sum(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        queries, rows, targets, normalisers = ctx.saved_tensors
        factor = queries.to(torch.bfloat16) if ctx.rounded else queries
        # The share of the target is taken off outside of the products: next to 1, it would be rounded away.
        of_queries = rows[targets] * -gradient.unsqueeze(1)
        of_rows = buffers.empty(*rows.shape)
        for chunk in _chunks(len(queries), len(rows)):
            weights = ctx.kept if ctx.kept is not None else _products(factor, rows[chunk])
            _native.softmax_gradients(
                _halves(weights), ctx.rounded, normalisers, gradient.contiguous(), torch.get_num_threads()
            )
            of_queries += weights @ rows[chunk].to(factor.dtype)
            if ctx.rounded:
                of_rows[chunk] = weights.T @ factor
            else:
                torch.mm(weights.T, factor, out=of_rows[chunk])
        ctx.kept = None
        of_rows.index_add_(0, targets, queries * -gradient.unsqueeze(1))
        return of_queries, of_rows, None, None


def _chunks(queries: int, rows: int) -> Iterator[slice]:
    step = max(1, LOGITS_AT_ONCE // max(1, queries))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _products(factor: Tensor, rows: Tensor) -> Tensor:
    """Returns [B, n] in the dtype of the factor."""
    if factor.dtype == torch.float32:
        return torch.mm(factor, rows.T, out=buffers.empty(len(factor), len(rows)))
    return factor @ rows.to(factor.dtype).T


def _halves(logits: Tensor) -> Tensor:
    """Returns logits as numbers that arrays know: bfloat16 as the integers of its bits."""
    return logits.view(torch.int16) if logits.dtype == torch.bfloat16 else logits
