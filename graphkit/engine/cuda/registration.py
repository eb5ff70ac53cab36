"""Kernels of `cuda/` as implementations of the operations of `engine.kernels`, for tensors on GPUs."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch

from graphkit.engine.cuda import beta_moments as cuda_moments
from graphkit.engine.cuda import duplicate_ids as cuda_duplicates
from graphkit.engine.cuda import gather as cuda_gather
from graphkit.engine.cuda import log_softmax as cuda_softmax
from graphkit.engine.cuda import negative_terms as cuda_terms
from graphkit.engine.cuda import pair_scores as cuda_scores
from graphkit.engine.cuda import rank_counts as cuda_counts
from graphkit.engine.cuda import sparse_optimizers as cuda_optimizers
from graphkit.engine.cuda.launcher import Launcher, current
from graphkit.engine.kernels import dispatch, log_softmax
from graphkit.engine.kernels.beta_moments import gradients as moment_gradients
from graphkit.engine.kernels.beta_moments import moments
from graphkit.engine.kernels.duplicate_ids import _reduce_duplicates
from graphkit.engine.kernels.log_softmax import cross_entropies, cross_entropy_gradients
from graphkit.engine.kernels.negative_terms import negative_terms
from graphkit.engine.kernels.pair_scores import own_gradients, own_scores, shared_gradients, shared_scores
from graphkit.engine.kernels.rank_counts import pair_counts, score_counts
from graphkit.engine.kernels.sparse_optimizers import adagrad_, adam_, row_adagrad_, sgd_
from graphkit.engine.taken_rows import add_rows_

#: What computes an operation, given a launcher before the operation's own arguments.
Implementation = Callable[..., Any]

#: Logits that are held at once, at least, however little memory there is.
LEAST_LOGITS = 2**16


def implementations() -> list[tuple[Any, Implementation]]:
    """Returns each operation of `engine.kernels`, with its implementation by kernels of `cuda/`."""
    return [
        (moments, cuda_moments.moments),
        (moment_gradients, cuda_moments.gradients),
        (_reduce_duplicates, functools.partial(cuda_duplicates.reduce_duplicates, checked=True)),
        (add_rows_, functools.partial(cuda_gather.add_rows, checked=True)),
        (cross_entropies, _cross_entropies),
        (cross_entropy_gradients, _cross_entropy_gradients),
        (negative_terms, cuda_terms.negative_terms),
        (own_scores, cuda_scores.own_scores),
        (own_gradients, cuda_scores.own_gradients),
        (shared_scores, cuda_scores.shared_scores),
        (shared_gradients, cuda_scores.shared_gradients),
        (score_counts, cuda_counts.score_counts),
        (pair_counts, cuda_counts.pair_counts),
        (sgd_, cuda_optimizers.sgd_),
        (adagrad_, cuda_optimizers.adagrad_),
        (row_adagrad_, cuda_optimizers.row_adagrad_),
        (adam_, cuda_optimizers.adam_),
    ]


@functools.cache
def register() -> bool:
    """Registers all kernels, once in a process, if there is a GPU to run them on; otherwise says why not.

    Returns:
        Whether they are registered.
    """
    launcher = current()
    if launcher is None:
        return False
    for operation, implementation in implementations():
        operation.register_kernel("cuda")(functools.partial(implementation, launcher))
    dispatch.serve("cuda")
    return True


def _cross_entropies(
    launcher: Launcher, queries: torch.Tensor, rows: torch.Tensor, targets: torch.Tensor, rounded: bool
) -> Any:
    return in_smaller_chunks(lambda: cuda_softmax.cross_entropies(launcher, queries, rows, targets, rounded))


def _cross_entropy_gradients(
    launcher: Launcher,
    gradient: torch.Tensor,
    queries: torch.Tensor,
    rows: torch.Tensor,
    targets: torch.Tensor,
    normalisers: torch.Tensor,
    kept: torch.Tensor,
    rounded: bool,
) -> Any:
    def run() -> Any:
        return cuda_softmax.cross_entropy_gradients(
            launcher, gradient, queries, rows, targets, normalisers, kept, rounded
        )

    # Kept logits are one chunk, and are written over.
    return run() if len(kept) > 0 else in_smaller_chunks(run)


def in_smaller_chunks(run: Callable[[], Any]) -> Any:
    """Runs what holds `log_softmax.LOGITS_AT_ONCE` logits; where memory is short, with half as many, from now on.

    Raises:
        torch.OutOfMemoryError: chunks of `LEAST_LOGITS` do not fit either.
    """
    before = log_softmax.LOGITS_AT_ONCE
    while True:
        try:
            found = run()
        except torch.OutOfMemoryError:
            if log_softmax.LOGITS_AT_ONCE <= LEAST_LOGITS:
                raise
            log_softmax.LOGITS_AT_ONCE = max(LEAST_LOGITS, log_softmax.LOGITS_AT_ONCE // 2)
            continue
        if before != log_softmax.LOGITS_AT_ONCE:
            _warn_of_chunks()
        return found


@functools.cache
def _warn_of_chunks() -> None:
    warnings.warn(
        f"the GPU's memory is short: losses over all entities are computed in chunks of {log_softmax.LOGITS_AT_ONCE} "
        "logits; a smaller batch would be faster",
        RuntimeWarning,
        stacklevel=4,
    )
