"""The plain twins that define the steps of `sparse_optimizers`: any floating dtype, any device, nothing checked."""

from __future__ import annotations

import torch
from torch import Tensor


def sgd_(weight: Tensor, steps: Tensor | None, ids: Tensor | None, gradient: Tensor, lr: float, seed: int = 0) -> None:
    """See `sparse_optimizers.sgd_`."""
    _move(weight, _counted(steps, ids), ids, lr * gradient, seed)


def adagrad_(
    weight: Tensor,
    total: Tensor,
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    eps: float,
    seed: int = 0,
) -> None:
    """See `sparse_optimizers.adagrad_`."""
    rows = slice(None) if ids is None else ids
    sums = total[rows] + gradient.square()
    total[rows] = sums
    _move(weight, _counted(steps, ids), ids, lr * gradient / (sums.sqrt() + eps), seed)


def row_adagrad_(
    weight: Tensor,
    total: Tensor,
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    eps: float,
    seed: int = 0,
) -> None:
    """See `sparse_optimizers.row_adagrad_`."""
    rows = slice(None) if ids is None else ids
    sums = total[rows] + gradient.square().mean(dim=1)
    total[rows] = sums
    _move(weight, _counted(steps, ids), ids, (lr / (sums.sqrt() + eps)).unsqueeze(1) * gradient, seed)


def adam_(
    weight: Tensor,
    mean: Tensor,
    square: Tensor,
    steps: Tensor,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    seed: int = 0,
) -> None:
    """See `sparse_optimizers.adam_`."""
    rows = slice(None) if ids is None else ids
    means = mean[rows].lerp(gradient, 1 - beta1)
    squares = (beta2 * square[rows]).addcmul_(gradient, gradient, value=1 - beta2)
    mean[rows], square[rows] = means, squares
    counted = _counted(steps, ids)
    assert counted is not None  # steps are
    count = counted.to(torch.float64).unsqueeze(1)
    scale = (lr / (1 - beta1**count)).to(gradient.dtype)
    root = (1 - beta2**count).sqrt().to(gradient.dtype)
    _move(weight, counted, ids, scale * means / (squares.sqrt() / root + eps), seed)


def _counted(steps: Tensor | None, ids: Tensor | None) -> Tensor | None:
    """Counts a step of each row; returns int64[U] counts."""
    if steps is None:
        return None
    rows = slice(None) if ids is None else ids
    counted = steps[rows] + 1
    steps[rows] = counted
    return counted


def _move(weight: Tensor, counted: Tensor | None, ids: Tensor | None, step: Tensor, seed: int) -> None:
    """Subtracts a step [U, D] from the rows."""
    rows = slice(None) if ids is None else ids
    moved = weight[rows].to(step.dtype) - step
    if weight.dtype == torch.bfloat16:
        assert counted is not None  # a table of bfloat16 has steps
        places = torch.arange(len(weight), device=weight.device) if ids is None else ids
        moved = round_stochastically(moved, rounding_bits(seed, counted, places, weight.shape[1]))
    weight[rows] = moved


def rounding_bits(seed: int, steps: Tensor, rows: Tensor, width: int) -> Tensor:
    """Returns int64[U, width] below 2**16 for rows int64[U] at their steps int64[U]: a function of each alone."""
    first = second = torch.zeros_like(rows)
    for value in (torch.full_like(rows, seed), steps, rows):
        low, high = value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF
        first = _mix(first ^ low, high)
        second = _mix(second + first & 0xFFFFFFFF, low)
    coordinates = torch.arange(width, device=rows.device) * 0x9E3779B9 & 0xFFFFFFFF
    return _mix(coordinates ^ first.unsqueeze(1), second.unsqueeze(1)) >> 16


def _mix(x: Tensor, key: Tensor) -> Tensor:
    """Mixes 32 bits, in int64: an xorshift-multiply hash with a key between the rounds."""
    x = (x ^ x >> 16) * 0x7FEB352D & 0xFFFFFFFF
    x = ((x ^ x >> 15) + key & 0xFFFFFFFF) * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


def round_stochastically(values: Tensor, bits: Tensor) -> Tensor:
    """Rounds float32 to bfloat16, up where 16 random `bits` and the bits that are cut off carry."""
    exact = values.view(torch.int32).to(torch.int64)
    rounded = exact + bits
    # Of a NaN, only the top bit of the mantissa is sure to survive; infinity stays.
    kept = torch.where(values.isfinite(), rounded, torch.where(values.isnan(), exact | 0x00400000, exact))
    return (kept >> 16).to(torch.int16).view(torch.bfloat16)
