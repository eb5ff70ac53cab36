"""Terms of the logits of negatives on a GPU: the operation of `engine.kernels.negative_terms`."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.engine.cuda.extents import of_blocks
from graphkit.engine.cuda.launcher import Launcher


def negative_terms(
    launcher: Launcher, negative: Tensor, mask: Tensor, sharpness: float | None
) -> tuple[Tensor, Tensor]:
    """Returns terms and their slopes; the errors are those of the operation on the CPU.

    Args:
        launcher: runs the kernels.
        negative: float32[B, K].
        mask: bool[B, K], True where a negative counts.
        sharpness: that of `softplus_terms`; None for `log_sum_terms`.

    Returns:
        float32[B] terms and float32[B, K] slopes, which the gradient of the terms is multiplied with.
    """
    queries, count = negative.shape
    terms, slopes = negative.new_empty(queries), torch.empty_like(negative, memory_format=torch.contiguous_format)
    if queries == 0:
        return terms, slopes
    kernel, settings = ("log_sum", ()) if sharpness is None else ("softplus", (float(sharpness),))
    launcher.launch(
        "negative_terms",
        f"negative_terms_{kernel}_f32",
        *of_blocks(queries, count),
        [negative.contiguous(), mask.contiguous(), queries, count, *settings, terms, slopes],
    )
    return terms, slopes
