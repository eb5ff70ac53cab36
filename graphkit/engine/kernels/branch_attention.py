"""Intersections by attention: the mean of the branches of a query, weighted by two layers on each.

The weights of a query's branches are the softmax, over its branches and for each weight by itself, of
``W₂ relu(W₁ x + b₁) + b₂`` (Ren and Leskovec, NeurIPS 2020). A softmax sees differences alone. So the second layer is
taken of what the hidden units of each branch differ by from those of the query's first branch: a row less for each
query, forward and backward. Its bias falls out, and its gradient is 0.

float32 on the CPU is computed natively, but for the matrix products, which are torch's; everything else by the twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit import _native
from graphkit.engine import buffers
from graphkit.engine.kernels.dispatch import on_cpu
from graphkit.errors import GraphkitError

#: Branches of each query of a group, and queries of the group.
Group = tuple[int, int]


def attended_means(x: Tensor, layers: Sequence[Tensor], groups: Sequence[Group], *, rounded: bool = False) -> Tensor:
    """Means of the branches of queries, weighted by attention.

    Args:
        x: float32[M, W], the branches: group after group, within it branch after branch, each of all its queries.
        layers: W₁ float32[H, W], b₁ [H], W₂ [A, H] and b₂ [A]; A divides W, and a weight counts for the same column of
            each of the W / A parts of a row.
        groups: of queries with equally many branches.
        rounded: round factors and results of matrix products to bfloat16.

    Returns:
        float32[B, W], group after group.

    Raises:
        GraphkitError: shapes do not go together.
    """
    first, bias, second, last = layers
    _require(x, layers, groups)
    if not on_cpu(x, *layers):
        return reference(x, layers, groups, rounded=rounded)
    ways, sizes = ([group[i] for group in groups] for i in (0, 1))
    found: tuple[Tensor, ...] = branch_attention(
        x.contiguous(), first, bias.contiguous(), second, last, ways, sizes, rounded
    )
    return found[0]


def reference(x: Tensor, layers: Sequence[Tensor], groups: Sequence[Group], *, rounded: bool = False) -> Tensor:
    """The plain twin that defines `attended_means`; any floating dtype, on any device."""
    means = []
    for part, (ways, size) in zip(torch.split(x, [ways * size for ways, size in groups]), groups, strict=True):
        branches = part.view(ways, size, x.shape[1])
        weights = attention_weights(branches, layers, rounded=rounded)
        means.append((weights.repeat(1, 1, x.shape[1] // weights.shape[2]) * branches).sum(dim=0))
    return torch.cat(means)


def attention_weights(branches: Tensor, layers: Sequence[Tensor], *, rounded: bool = False) -> Tensor:
    """Returns float[n, B, A] for n branches [n, B, W]: weights that sum to 1 over branches; see `attended_means`."""
    first, bias, second, last = layers
    with torch.autocast(branches.device.type, dtype=torch.bfloat16, enabled=rounded):
        hidden = F.linear(branches, first, bias).to(branches.dtype).relu()
        return F.linear(hidden, second, last).to(branches.dtype).softmax(dim=0)


@torch.library.custom_op("graphkit::branch_attention", mutates_args=())
def branch_attention(
    x: Tensor,
    first: Tensor,
    bias: Tensor,
    second: Tensor,
    last: Tensor,
    ways: list[int],
    sizes: list[int],
    rounded: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `attended_means`; contiguous float32 on the CPU.

    Returns:
        The means [B, W]; hidden units [M, H]; differences [M - B, H] of those of each branch but the first of a query
        from those of that one; and scores [M - B, A] of the same branches.
    """
    groups, threads = (torch.tensor(ways), torch.tensor(sizes)), torch.get_num_threads()
    hidden = _product(x, first.T, rounded)
    differences = buffers.empty(len(x) - sum(sizes), hidden.shape[1])
    _native.attention_hidden(*groups, hidden, bias, differences, threads)
    scores = _product(differences, second.T, rounded)
    means = buffers.empty(sum(sizes), x.shape[1])
    _native.attention_means(*groups, x, scores, means, threads)
    return means, hidden, differences, scores


@branch_attention.register_fake
def _(
    x: Tensor,
    first: Tensor,
    bias: Tensor,
    second: Tensor,
    last: Tensor,
    ways: list[int],
    sizes: list[int],
    rounded: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    queries = sum(sizes)
    others = x.shape[0] - queries
    shapes = (
        (queries, x.shape[1]),
        (x.shape[0], first.shape[0]),
        (others, first.shape[0]),
        (others, second.shape[0]),
    )
    means, hidden, differences, scores = (x.new_empty(shape) for shape in shapes)
    return means, hidden, differences, scores


@torch.library.custom_op("graphkit::branch_attention_gradients", mutates_args=())
def branch_attention_gradients(
    of_means: Tensor,
    x: Tensor,
    first: Tensor,
    second: Tensor,
    hidden: Tensor,
    differences: Tensor,
    scores: Tensor,
    ways: list[int],
    sizes: list[int],
    rounded: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of `branch_attention`: those of x, W₁, b₁ and W₂."""
    groups, threads = (torch.tensor(ways), torch.tensor(sizes)), torch.get_num_threads()
    of_x, of_scores = buffers.empty(*x.shape), buffers.empty(*scores.shape)
    _native.attention_gradients(*groups, x, scores, of_means, of_x, of_scores, threads)
    of_second = _product(of_scores.T, differences, rounded)
    of_differences = _product(of_scores, second, rounded)
    of_hidden = buffers.empty(*hidden.shape)
    _native.attention_hidden_gradients(*groups, of_differences, hidden, of_hidden, threads)
    of_first = _product(of_hidden.T, x, rounded)
    if rounded:
        of_x += _product(of_hidden, first, rounded)
    else:
        of_x.addmm_(of_hidden, first)
    return of_x, of_first, of_hidden.sum(dim=0), of_second


@branch_attention_gradients.register_fake
def _(
    of_means: Tensor,
    x: Tensor,
    first: Tensor,
    second: Tensor,
    hidden: Tensor,
    differences: Tensor,
    scores: Tensor,
    ways: list[int],
    sizes: list[int],
    rounded: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(first), x.new_empty(hidden.shape[1]), torch.empty_like(second)


def _product(a: Tensor, b: Tensor, rounded: bool) -> Tensor:
    """Returns float32 a @ b, of factors and rounded as a product of bfloat16 if `rounded`."""
    with torch.autocast("cpu", enabled=False):
        return (a.bfloat16() @ b.bfloat16()).float() if rounded else a @ b


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, first, _, second, last, ctx.ways, ctx.sizes, ctx.rounded = inputs
    ctx.weights = len(last)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)  # else zeros are filled for what has no gradient
    ctx.save_for_backward(x, first, second, *output[1:])


def _backward(ctx: Any, of_means: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if of_means is None:
        return (None,) * 8
    of_x, of_first, of_bias, of_second = branch_attention_gradients(
        of_means.contiguous(), *ctx.saved_tensors, ctx.ways, ctx.sizes, ctx.rounded
    )
    return of_x, of_first, of_bias, of_second, of_means.new_zeros(ctx.weights), None, None, None


branch_attention.register_autograd(_backward, setup_context=_keep)


def _require(x: Tensor, layers: Sequence[Tensor], groups: Sequence[Group]) -> None:
    """Makes sure that branches, layers and groups go together."""
    first, bias, second, last = layers
    if bias.dim() != 1 or last.dim() != 1:
        raise GraphkitError(f"biases have shape {tuple(bias.shape)} and {tuple(last.shape)}; give [H] and [A]")
    hidden, weights = len(bias), len(last)
    if x.dim() != 2 or first.shape != (hidden, x.shape[1]) or second.shape != (weights, hidden):
        raise GraphkitError(
            f"branches have shape {tuple(x.shape)} and the layers weights of {tuple(first.shape)} and "
            f"{tuple(second.shape)} for {hidden} and {weights} biases; give [M, W], [H, W] and [A, H]"
        )
    if weights < 1 or x.shape[1] % weights:
        raise GraphkitError(
            f"branches have width {x.shape[1]} and {weights} weights; give weights whose number divides the width"
        )
    if not groups:
        raise GraphkitError("there are no groups of queries; give at least one (branches of a query, queries)")
    if any(ways < 1 or size < 0 for ways, size in groups) or sum(ways * size for ways, size in groups) != len(x):
        raise GraphkitError(
            f"there are {len(x)} branches for groups of {list(groups)} (branches of a query, queries); give a row for "
            "each branch of each query, of which each has at least one"
        )
