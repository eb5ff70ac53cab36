"""Steps of sparse optimisers on a GPU: the operations of `engine.kernels.sparse_optimizers`, by kernels of that name.

Formulas, roundings and random bits are those of the CPU. float32 differs from the twin in float64 by at most 1e-6 of
the weight and of its step. Weights of SGD and Adagrad have the very bits of a CPU with fused multiply-add; the others
differ by few units in the last place, so that of bfloat16 weights one in some thousands is rounded to the other side.

Tables that are not contiguous, or of another dtype, are updated by the twins. Each function has the arguments of its
operation after a launcher. What is `checked` is not looked at again, for which the host would wait; shapes and dtypes
are looked at in any case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from graphkit.engine.cuda.extents import of_teams
from graphkit.engine.cuda.launcher import Launcher
from graphkit.engine.kernels import reference_steps as reference
from graphkit.engine.kernels.sparse_optimizers import require_state, require_step

_NAMES = {torch.float32: "f32", torch.bfloat16: "bf16"}


def sgd_(
    launcher: Launcher,
    weight: Tensor,
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    seed: int = 0,
    checked: bool = False,
) -> None:
    """See `engine.kernels.sgd_`."""
    ids, gradient = require_step(weight, {}, steps, ids, gradient, values=not checked)
    if _has_kernel(weight, steps):
        _launch(launcher, "sgd", weight, (), steps, ids, gradient, seed, (lr,))
    else:
        reference.sgd_(weight, steps, ids, gradient, lr, seed)


def adagrad_(
    launcher: Launcher,
    weight: Tensor,
    total: Tensor,
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    eps: float,
    seed: int = 0,
    checked: bool = False,
) -> None:
    """See `engine.kernels.adagrad_`."""
    ids, gradient = require_step(weight, {"total": total}, steps, ids, gradient, values=not checked)
    if _has_kernel(weight, total, steps):
        _launch(launcher, "adagrad", weight, (total,), steps, ids, gradient, seed, (lr, eps))
    else:
        reference.adagrad_(weight, total, steps, ids, gradient, lr, eps, seed)


def row_adagrad_(
    launcher: Launcher,
    weight: Tensor,
    total: Tensor,
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    eps: float,
    seed: int = 0,
    checked: bool = False,
) -> None:
    """See `engine.kernels.row_adagrad_`."""
    ids, gradient = require_step(weight, {}, steps, ids, gradient, values=not checked)
    require_state("total", total, weight, (len(weight),))
    if _has_kernel(weight, total, steps):
        _launch(launcher, "row_adagrad", weight, (total,), steps, ids, gradient, seed, (lr, eps))
    else:
        reference.row_adagrad_(weight, total, steps, ids, gradient, lr, eps, seed)


def adam_(
    launcher: Launcher,
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
    checked: bool = False,
) -> None:
    """See `engine.kernels.adam_`."""
    ids, gradient = require_step(weight, {"mean": mean, "square": square}, steps, ids, gradient, values=not checked)
    if _has_kernel(weight, mean, square, steps):
        settings = (lr, _log(beta1), _log(beta2), 1 - beta1, 1 - beta2, beta2, eps)
        _launch(launcher, "adam", weight, (mean, square), steps, ids, gradient, seed, settings)
    else:
        reference.adam_(weight, mean, square, steps, ids, gradient, lr, beta1, beta2, eps, seed)


def _log(beta: float) -> float:
    return math.log(beta) if beta > 0 else -math.inf


def _has_kernel(weight: Tensor, *state: Tensor | None) -> bool:
    return weight.dtype in _NAMES and all(tensor.is_contiguous() for tensor in (weight, *state) if tensor is not None)


def _launch(
    launcher: Launcher,
    rule: str,
    weight: Tensor,
    state: Sequence[Tensor],
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    seed: int,
    settings: Sequence[float],
) -> None:
    rows, width = gradient.shape
    if rows == 0 or width == 0:
        return
    grid, block, lanes = of_teams(rows, width // 4 if width % 4 == 0 else width)
    launcher.launch(
        "sparse_optimizers",
        f"sparse_optimizers_{rule}_{_NAMES[weight.dtype]}",
        grid,
        block,
        [
            weight,
            *state,
            steps,
            None if ids is None else ids.contiguous(),
            gradient,
            rows,
            width,
            lanes,
            seed,
            *map(float, settings),
        ],
    )
