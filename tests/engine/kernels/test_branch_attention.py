"""Attended means equal their twin in float64, on every path and number of threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels.branch_attention import (
    attended_means,
    attention_weights,
    branch_attention,
    reference,
)

Groups = list[tuple[int, int]]
Layers = list[Tensor]


pytestmark = pytest.mark.usefixtures("path")  # each instruction set


def some(groups: Groups, hidden: int, weights: int, parts: int, *, scale: float = 1.0, seed: int = 0) -> list[Tensor]:
    """Branches, then the layers."""
    generator = torch.Generator().manual_seed(seed)
    width = weights * parts
    shapes = ((sum(ways * size for ways, size in groups), width), (hidden, width), (hidden,), (weights, hidden))
    return [scale * torch.randn(shape, generator=generator) for shape in (*shapes, (weights,))]


def with_gradients(function: Any, x: Tensor, layers: Sequence[Tensor], groups: Groups) -> list[Tensor]:
    """The means, and the gradients of branches and layers."""
    leaves = [value.detach().clone().requires_grad_() for value in (x, *layers)]
    means = function(leaves[0], leaves[1:], groups)
    means.backward(torch.linspace(-1, 2, means.numel(), dtype=means.dtype).view_as(means))
    gradients = [leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves]
    return [means.detach(), *gradients]


def require_close(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        size = max(1.0, float(other.abs().max())) if other.numel() else 1.0
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5 * size)


@given(
    groups=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 40)), min_size=1, max_size=4),
    hidden=st.integers(1, 40),
    weights=st.integers(1, 40),
    parts=st.integers(1, 3),
    scale=st.sampled_from([0.1, 1.0]),
)
def test_means_and_gradients_equal_those_of_the_twin(
    groups: Groups, hidden: int, weights: int, parts: int, scale: float
) -> None:
    x, *layers = some(groups, hidden, weights, parts, scale=scale)
    found = with_gradients(attended_means, x, layers, groups)
    wide = [layer.double() for layer in layers]
    require_close(found, with_gradients(reference, x.double(), wide, groups))
    assert not found[-1].any()


def test_scores_far_apart_choose_a_branch() -> None:
    x, *layers = some([(3, 20)], 33, 17, 1, scale=60.0)
    found = attended_means(x, layers, [(3, 20)])
    expected = reference(x.double(), [layer.double() for layer in layers], [(3, 20)])
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-3)


def test_queries_are_grouped_by_their_branches_in_any_order() -> None:
    x, *layers = some([(2, 5), (3, 7)], 8, 6, 2)
    both = attended_means(x, layers, [(2, 5), (3, 7)])
    apart = [attended_means(x[:10], layers, [(2, 5)]), attended_means(x[10:], layers, [(3, 7)])]
    torch.testing.assert_close(both, torch.cat(apart), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_stays_with_its_query(value: float) -> None:
    x, *layers = some([(3, 4)], 9, 20, 1)
    x[5, 2] = value  # a branch of query 1
    means = attended_means(x, layers, [(3, 4)])
    assert torch.isfinite(means).all(dim=1).tolist() == [True, False, True, True]


def test_weights_sum_to_one_and_make_the_mean() -> None:
    x, *layers = some([(3, 4)], 9, 5, 2)
    branches = x.view(3, 4, 10)
    weights = attention_weights(branches, layers)
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(4, 5))
    expected = (torch.cat([weights, weights], dim=2) * branches).sum(dim=0)
    torch.testing.assert_close(attended_means(x, layers, [(3, 4)]), expected, rtol=1e-5, atol=1e-5)


def test_rounded_products_are_near_and_their_gradients_too() -> None:
    groups = [(2, 30), (3, 20)]
    x, *layers = some(groups, 64, 64, 1, scale=0.2)
    exact = with_gradients(attended_means, x, layers, groups)
    for function in (attended_means, reference):
        rounded = with_gradients(lambda *given, of=function: of(*given, rounded=True), x, layers, groups)
        assert not torch.equal(rounded[0], exact[0])
        for one, other in zip(rounded[:-1], exact[:-1], strict=True):
            assert one.dtype == torch.float32
            # Together, since a hidden unit near 0 may come to lie on its other side.
            assert (one - other).norm() < 0.03 * other.norm()


def test_no_bit_depends_on_the_number_of_threads(threads: Callable[[int], None]) -> None:
    groups = [(2, 90), (3, 80)]
    x, *layers = some(groups, 400, 400, 1, scale=0.1)
    found = []
    for count in (1, 2, 4):
        threads(count)
        found.append(with_gradients(attended_means, x, layers, groups))
    for other in found[1:]:
        assert all(torch.equal(one, same) for one, same in zip(found[0], other, strict=True))


def test_other_precisions_are_the_twin_s() -> None:
    x, *layers = (value.double() for value in some([(2, 3)], 4, 5, 1))
    assert torch.equal(attended_means(x, layers, [(2, 3)]), reference(x, layers, [(2, 3)]))


def test_a_bias_that_is_not_contiguous_counts_as_its_copy() -> None:
    x, first, bias, second, last = some([(2, 3)], 4, 5, 1)
    spread = torch.stack([bias, bias], dim=-1)[:, 0]
    assert not spread.is_contiguous()
    found = attended_means(x, [first, spread, second, last], [(2, 3)])
    assert torch.equal(found, attended_means(x, [first, bias, second, last], [(2, 3)]))


def test_a_second_derivative_is_refused() -> None:
    x, *layers = (value.requires_grad_() for value in some([(2, 3)], 4, 5, 1))
    [gradient] = torch.autograd.grad(attended_means(x, layers, [(2, 3)]).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        gradient.sum().backward()


@pytest.mark.parametrize("rounded", [False, True])
def test_the_custom_operation_passes_torch_s_own_checks(rounded: bool) -> None:
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    values = [value.requires_grad_() for value in some([(2, 3), (3, 2)], 4, 5, 2)]
    torch.library.opcheck(branch_attention, (*values, [2, 3], [3, 2], rounded), test_utils=tests)


@pytest.mark.parametrize(
    ("shapes", "groups", "said"),
    [
        (
            ((6, 4), (3, 5), (3,), (4, 3), (4,)),
            [(2, 3)],
            "branches have shape (6, 4) and the layers weights of (3, 5) and (4, 3) for 3 and 4 biases; give [M, W], "
            "[H, W] and [A, H]",
        ),
        (
            ((6, 4), (3, 4), (3,), (3, 3), (3,)),
            [(2, 3)],
            "branches have width 4 and 3 weights; give weights whose number divides the width",
        ),
        (
            ((6, 4), (3, 4), (3,), (4, 3), (4,)),
            [(2, 2)],
            "there are 6 branches for groups of [(2, 2)] (branches of a query, queries); give a row for each branch of "
            "each query, of which each has at least one",
        ),
        (
            ((6, 4), (3, 4), (3, 1), (4, 3), (4,)),
            [(2, 3)],
            "biases have shape (3, 1) and (4,); give [H] and [A]",
        ),
        (
            ((0, 4), (3, 4), (3,), (4, 3), (4,)),
            [],
            "there are no groups of queries; give at least one (branches of a query, queries)",
        ),
        (
            ((0, 4), (3, 4), (3,), (4, 3), (4,)),
            [(0, 2)],
            "there are 0 branches for groups of [(0, 2)] (branches of a query, queries); give a row for each branch of "
            "each query, of which each has at least one",
        ),
    ],
)
def test_shapes_that_do_not_go_together_are_refused(shapes: Any, groups: Groups, said: str) -> None:
    x, *layers = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(GraphkitError) as error:
        attended_means(x, layers, groups)
    assert str(error.value) == said
