"""Moments of rows of Beta distributions: what a divergence needs of each side, once for any number of pairs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphkit import _native
from graphkit.engine import buffers
from graphkit.engine.kernels.dispatch import is_native
from graphkit.errors import GraphkitError


def beta_moments(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Statistics and logarithm of the beta function of rows of Betas.

    float32 on the CPU is computed natively, in double precision inside; everything else by the twin, `reference`.

    Args:
        parameters: float32[U, 2B]: a of all Betas of a row, then all b; from 1e-3 to 1e4.

    Returns:
        float32[U, 2B + 1]: E[log x] = ψ(a) - ψ(a + b), then E[log(1 - x)] = ψ(b) - ψ(a + b), then the entropy of all
        Betas of a row together, as it follows from the rounded expectations, so that errors cancel in divergences from
        close rows. And float64[U]: log B(a, b), summed over the Betas of a row. Errors are those of rounding, and some
        1e-10 of the terms.

    Raises:
        GraphkitError: parameters are no rows of pairs.
    """
    if parameters.dim() != 2 or parameters.shape[1] % 2:
        raise GraphkitError(
            f"parameters of Betas have shape {tuple(parameters.shape)}; give [U, 2B], all a of a row, then all b"
        )
    if not is_native(parameters):
        return reference(parameters)
    found: tuple[Tensor, Tensor] = moments(parameters.contiguous())
    return found


def reference(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """The plain twin that defines `beta_moments`; any floating dtype."""
    wide = parameters.double()
    a, b = wide.chunk(2, dim=1)
    rounded = (torch.digamma(wide) - torch.digamma(a + b).repeat(1, 2)).to(parameters.dtype)
    log_beta = (torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)).sum(dim=1)
    entropy = log_beta - ((wide - 1) * rounded.double()).sum(dim=1)
    return torch.cat([rounded, entropy.to(parameters.dtype).unsqueeze(1)], dim=1), log_beta


@torch.library.custom_op("graphkit::beta_moments", mutates_args=())
def moments(parameters: Tensor) -> tuple[Tensor, Tensor]:
    """See `beta_moments`; contiguous float32 on the CPU."""
    rows, width = parameters.shape
    statistics, log_beta = buffers.empty(rows, width + 1), torch.empty(rows, dtype=torch.float64)
    _native.beta_moments(parameters, statistics, log_beta, torch.get_num_threads())
    return statistics, log_beta


@moments.register_fake
def _(parameters: Tensor) -> tuple[Tensor, Tensor]:
    rows, width = parameters.shape
    return parameters.new_empty(rows, width + 1), parameters.new_empty(rows, dtype=torch.float64)


@torch.library.custom_op("graphkit::beta_gradients", mutates_args=())
def gradients(of_statistics: Tensor, of_log_beta: Tensor, parameters: Tensor, statistics: Tensor) -> Tensor:
    """The gradient float32[U, 2B] of `moments`, from those of its results."""
    found = buffers.empty(*parameters.shape)
    _native.beta_gradients(parameters, statistics, of_statistics, of_log_beta, found, torch.get_num_threads())
    return found


@gradients.register_fake
def _(of_statistics: Tensor, of_log_beta: Tensor, parameters: Tensor, statistics: Tensor) -> Tensor:
    return torch.empty_like(parameters)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, output[0])


def _backward(ctx: Any, of_statistics: Tensor, of_log_beta: Tensor) -> Tensor:
    found: Tensor = gradients(of_statistics.contiguous(), of_log_beta.contiguous(), *ctx.saved_tensors)
    return found


moments.register_autograd(_backward, setup_context=_keep)
