"""L2 distances of queries to candidates that all share, by a matrix product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

#: A pair is close where its squared distance is below this share of the squared distances from the mean.
CLOSE = 1e-3
#: Reals of close pairs that are held at once: where candidates form tight clusters, many pairs are close.
AT_ONCE = 2**24


def l2_distances(queries: Tensor, candidates: Tensor) -> Tensor:
    """L2 distances by a matrix product, on a CPU many times faster than one by one.

    ``|q|² + |e|² - 2 q·e`` cancels for close pairs. So rows are taken from the mean of the queries, which leaves
    distances as they are, and pairs that are close against their distance from that mean are computed by the
    definition. In float32 the relative error of a distance is at most 5e-4, and below 1e-6 but for nearly close pairs.
    A candidate has the same distance, bit for bit, whatever it is scored beside.
    The gradient at distance 0 is 0. Autocast is ignored: rounded to bfloat16, the product would cancel sooner.

    Args:
        queries: float32[B, D].
        candidates: float32[N, D].

    Returns:
        float32[B, N].
    """
    found: Tensor = product_distances(queries, candidates)
    return found


@torch.library.custom_op("graphkit::product_distances", mutates_args=())
def product_distances(queries: Tensor, candidates: Tensor) -> Tensor:
    """Distances [B, N] of queries [B, D] and candidates [N, D]; see `l2_distances`."""
    with torch.autocast(queries.device.type, enabled=False):
        q, e = _from_mean(queries, candidates)
        sizes = q.square().sum(dim=1, keepdim=True) + e.square().sum(dim=1)
        squared = torch.addmm(sizes, q, e.T, alpha=-2)
        close = (squared < CLOSE * sizes).nonzero()
        for pairs in torch.split(close, max(1, AT_ONCE // max(q.shape[1], 1))):
            b, n = pairs.unbind(dim=1)
            squared[b, n] = (queries[b] - candidates[n]).square().sum(dim=1)
        return squared.sqrt_()


@product_distances.register_fake
def _(queries: Tensor, candidates: Tensor) -> Tensor:
    return queries.new_empty(queries.shape[0], candidates.shape[0])


def _from_mean(queries: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    mean = queries.nanmean(dim=0)
    return queries - mean, candidates - mean


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs, output)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
    queries, candidates, distances = ctx.saved_tensors
    with torch.autocast(queries.device.type, enabled=False):
        q, e = _from_mean(queries, candidates)
        weights = torch.where(distances > 0, gradient / distances, 0.0)
        of_queries = weights.sum(dim=1, keepdim=True) * q - weights @ e
        of_candidates = weights.sum(dim=0).unsqueeze(1) * e - weights.T @ q
    return of_queries, of_candidates


product_distances.register_autograd(_backward, setup_context=_keep)
