"""What losses make of the logits of negatives, some of which are masked out: one pass, with the gradient in it.

float32 on the CPU is computed natively; everything else by the twins.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit import _native
from graphkit.engine.kernels.dispatch import is_native
from graphkit.errors import GraphkitError


def softplus_terms(negative: Tensor, mask: Tensor, *, sharpness: float) -> Tensor:
    """The sum of p · softplus(logit) over what counts, p being the softmax of sharpness · logit, without gradient.

    Args:
        negative: float32[B, K].
        mask: bool[B, K], True where a negative counts.
        sharpness: 0 or more; 0 weights all equally.

    Returns:
        float32[B]; 0 where nothing counts. The error is at most 1e-5 of the term, or 1e-37.

    Raises:
        GraphkitError: the mask is no bool of the shape of the logits; or, in float32, a second derivative is asked for.
    """
    require_masked(tuple(negative.shape), mask)
    if not is_native(negative):
        return reference_softplus_terms(negative, mask, sharpness=sharpness)
    found: tuple[Tensor, Tensor] = negative_terms(negative.contiguous(), mask.contiguous(), sharpness)
    return found[0]


def log_sum_terms(negative: Tensor, mask: Tensor) -> Tensor:
    """The logarithm of the sum of e^logit over what counts.

    Args:
        negative: float32[B, K].
        mask: bool[B, K], True where a negative counts.

    Returns:
        float32[B]; -infinity where nothing counts. The error is at most 1e-5 of the largest logit, or of 1.

    Raises:
        GraphkitError: the mask is no bool of the shape of the logits; or, in float32, a second derivative is asked for.
    """
    require_masked(tuple(negative.shape), mask)
    if not is_native(negative):
        return reference_log_sum_terms(negative, mask)
    found: tuple[Tensor, Tensor] = negative_terms(negative.contiguous(), mask.contiguous(), None)
    return found[0]


def reference_softplus_terms(negative: Tensor, mask: Tensor, *, sharpness: float) -> Tensor:
    """The plain twin of `softplus_terms`."""
    any_left = mask.any(dim=1)
    sharpened = (sharpness * negative.detach()).masked_fill(~mask, -math.inf)
    # A row without negatives would be a softmax over nothing: it is given equal weights, then dropped.
    weights = sharpened.masked_fill(~any_left.unsqueeze(1), 0.0).softmax(dim=1)
    return (weights * F.softplus(negative)).masked_fill(~mask, 0.0).sum(dim=1)


def reference_log_sum_terms(negative: Tensor, mask: Tensor) -> Tensor:
    """The plain twin of `log_sum_terms`."""
    return negative.masked_fill(~mask, -math.inf).logsumexp(dim=1)


@torch.library.custom_op("graphkit::negative_terms", mutates_args=())
def negative_terms(negative: Tensor, mask: Tensor, sharpness: float | None) -> tuple[Tensor, Tensor]:
    """Returns float32[B] terms, `softplus_terms` or, without a sharpness, `log_sum_terms`; and their slopes [B, K]."""
    terms, slopes = negative.new_empty(len(negative)), torch.empty_like(negative)
    threads = torch.get_num_threads()
    if sharpness is None:
        _native.log_sum_terms(negative, mask, terms, slopes, threads)
    else:
        _native.softplus_terms(negative, mask, sharpness, terms, slopes, threads)
    return terms, slopes


@negative_terms.register_fake
def _(negative: Tensor, mask: Tensor, sharpness: float | None) -> tuple[Tensor, Tensor]:
    return negative.new_empty(negative.shape[0]), torch.empty_like(negative)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[1])


def _backward(ctx: Any, gradient: Tensor | None, of_slopes: Tensor | None) -> tuple[Tensor | None, ...]:
    # Slopes are part of the graph for this alone: as constants they would make second derivatives silently wrong.
    if gradient is None or of_slopes is not None:
        raise GraphkitError("terms of negatives have no second derivative; take their gradient once")
    (slopes,) = ctx.saved_tensors
    return gradient.unsqueeze(1) * slopes, None, None


negative_terms.register_autograd(_backward, setup_context=_keep)


def require_masked(shape: tuple[int, ...], mask: Tensor) -> None:
    """Makes sure that every logit of [B, K] has its mask."""
    if len(shape) != 2 or mask.shape != shape or mask.dtype != torch.bool:
        raise GraphkitError(
            f"logits of negatives have shape {shape} and their mask is {mask.dtype} of shape {tuple(mask.shape)}; give "
            "both two dimensions, [B, K], and a mask of torch.bool"
        )
