"""Moments of rows of Betas on a GPU: the operations of `engine.kernels.beta_moments`."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.engine.cuda.extents import of_teams
from graphkit.engine.cuda.launcher import Launcher


def moments(launcher: Launcher, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Returns statistics and logarithms of the beta function.

    Args:
        launcher: runs the kernels.
        parameters: float32[U, 2B]: a of all Betas of a row, then all b; from 1e-3 to 1e4.

    Returns:
        float32[U, 2B + 1] and float64[U], see `engine.kernels.beta_moments.beta_moments`. Expectations are rounded from
        values with a relative error of 1e-10, small ones too; the logarithm has one of 1e-13 of its terms, or of 1.
    """
    rows, width = parameters.shape
    statistics = parameters.new_empty(rows, width + 1)
    log_beta = parameters.new_empty(rows, dtype=torch.float64)
    if rows > 0:
        grid, block, lanes = of_teams(rows, max(1, width // 2))
        launcher.launch(
            "beta_moments",
            "beta_moments_f32",
            grid,
            block,
            [parameters.contiguous(), rows, width // 2, lanes, statistics, log_beta],
        )
    return statistics, log_beta


def gradients(
    launcher: Launcher, of_statistics: Tensor, of_log_beta: Tensor, parameters: Tensor, statistics: Tensor
) -> Tensor:
    """Returns the gradient float32[U, 2B] of `moments`, from those of its results."""
    found = torch.empty_like(parameters, memory_format=torch.contiguous_format)
    rows, width = parameters.shape
    if found.numel() > 0:
        grid, block, lanes = of_teams(rows, width // 2)
        given = [tensor.contiguous() for tensor in (parameters, statistics, of_statistics, of_log_beta)]
        launcher.launch(
            "beta_moments",
            "beta_moments_gradients_f32",
            grid,
            block,
            [*given, rows, width // 2, lanes, found],
        )
    return found
