"""The contrastive loss over all pairs of rows, of which a block is held at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

#: rows of a block, and its columns: 4 MiB of float32
BLOCK = 1024


def _blocks(h: Tensor, temperature: float) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yields exp((cos − 1) / τ) of the upper triangle of blocks; a row with itself is 0, wherever it stands."""
    parts = [slice(start, start + BLOCK) for start in range(0, len(h), BLOCK)]
    for place, rows in enumerate(parts):
        for columns in parts[place:]:
            terms = (h[rows] @ h[columns].T).sub_(1.0).div_(temperature).exp_()
            if rows == columns:
                terms.fill_diagonal_(0.0)
            yield rows, columns, terms


class _Contrast(torch.autograd.Function):
    """Both passes walk over the blocks; what is kept in between are the rows, and the sum of each."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, temperature: float) -> Tensor:
        sums = h.new_zeros(len(h))
        for rows, columns, terms in _blocks(h, temperature):
            sums[rows] += terms.sum(dim=1)
            if rows != columns:
                sums[columns] += terms.sum(dim=0)
        ctx.save_for_backward(h, sums)
        ctx.temperature = temperature
        first, second = h.chunk(2)
        positives = (torch.dot(first.reshape(-1), second.reshape(-1)) * (2 / len(h)) - 1.0) / temperature
        return sums.log().mean() - positives

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        h, sums = ctx.saved_tensors
        shares = sums.reciprocal()
        gradient = torch.cat(list(h.chunk(2))[::-1]).mul_(-2.0)  # the partner, as the positive of both
        for rows, columns, terms in _blocks(h, ctx.temperature):
            terms *= shares[rows].unsqueeze(1) + shares[columns]
            gradient[rows].addmm_(terms, h[columns])
            if rows != columns:
                gradient[columns].addmm_(terms.T, h[rows])
        return gradient.mul_(gradients[0] / (ctx.temperature * len(h))), None


def contrast(h: Tensor, temperature: float) -> Tensor:
    """The mean of −log softmax of each row's partner among all rows but itself.

    Row i and row i + B are partners (GRACE: Zhu et al., 2020, eq. 1 and 2; the NT-Xent of SimCLR). The logits are
    symmetric, so that each pair of blocks is computed once in the forward and once in the backward pass.

    Args:
        h: float[2B, D], rows of norm 1 at most.
        temperature: what products are divided by.

    Returns:
        A scalar.
    """
    loss: Tensor = _Contrast.apply(h, temperature)  # type: ignore[no-untyped-call]
    return loss
