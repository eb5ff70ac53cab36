"""Steps of optimisers add up gradients of equal ids first: they are those of ids and sums from `reduce_duplicates`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from stepped_tables import RULES, Rule, assert_close
from torch import Tensor

from graphkit.engine.kernels import duplicate_ids, reduce_duplicates

each = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def draw_repeated(rows: int, places: int, width: int) -> tuple[Tensor, Tensor]:
    """Returns int64[places] ids, many of them several times, and float32[places, width]."""
    generator = torch.Generator().manual_seed(places)
    return torch.randint(0, rows, (places,), generator=generator), torch.randn(places, width, generator=generator)


@each
@pytest.mark.parametrize("width", [1, 3, 16, 17, 400])
def test_gradients_of_equal_ids_are_added_up(path: str, rule: Rule, width: int) -> None:
    before, (ids, gradient) = rule.table(31, width), draw_repeated(31, 40, width)
    found, reduced, expected = before.copy(), before.copy(), before.copy(torch.float64)
    rule.step(found, ids, gradient)
    rule.step(reduced, *reduce_duplicates(ids, gradient))
    assert all(torch.equal(one, other) for one, other in zip(found.tensors(), reduced.tensors(), strict=True))
    # The twin takes the sums of float32, whose error is that of the reduction.
    distinct, sums = duplicate_ids.reference(ids, gradient)
    rule.step(expected, distinct, sums.double(), twin=True)
    assert_close(found, expected, before.copy(torch.float64))


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("rows", "places", "width"), [(5000, 9000, 64), (100_000, 9000, 64), (1, 5000, 17)])
def test_threads_do_not_change_a_bit_of_sums(
    threads: Callable[[int], None], rule: Rule, dtype: torch.dtype, rows: int, places: int, width: int
) -> None:
    before, (ids, gradient) = rule.table(rows, width, dtype), draw_repeated(rows, places, width)
    expected = before.copy()
    rule.step(expected, *reduce_duplicates(ids, gradient))
    for count in (1, 2, 4):
        threads(count)
        found = before.copy()
        rule.step(found, ids, gradient)
        assert all(torch.equal(one, other) for one, other in zip(found.tensors(), expected.tensors(), strict=True))


@each
@pytest.mark.parametrize("how", ["float64", "turned"])
def test_gradients_of_equal_ids_are_added_up_where_twins_take_the_step(rule: Rule, how: str) -> None:
    dtype = torch.float64 if how == "float64" else torch.float32
    before, (ids, gradient) = rule.table(12, 6).copy(dtype), draw_repeated(12, 30, 6)
    if how == "turned":
        before.weight = before.weight.T.contiguous().T
    expected = before.copy()
    rule.step(before, ids, gradient.to(dtype))
    rule.step(expected, *duplicate_ids.reference(ids, gradient.to(dtype)), twin=True)
    for one, other in zip(before.tensors(), expected.tensors(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)
