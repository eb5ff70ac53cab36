"""Rows taken out: their gradients add up to those of indexing."""

from __future__ import annotations

import pytest
import torch

from graphkit.engine import TakenRows

ROWS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
ONE, OTHER = torch.tensor([[4, 4], [0, 1]]), torch.tensor([4, 2])


@pytest.mark.parametrize("all_rows", [False, True])
def test_the_gradient_is_that_of_indexing(all_rows: bool) -> None:
    plain = ROWS.clone().requires_grad_()
    loss = plain[ONE].square().sum() + (3 * plain[OTHER]).sum() + (plain.sin().sum() if all_rows else 0)
    loss.backward()
    taken = TakenRows(ROWS)
    some = [taken.take(ONE), taken.take(OTHER), taken.take(torch.tensor([5]))]  # the last is not used
    found = some[0].square().sum() + (3 * some[1]).sum()
    if all_rows:
        found = found + taken.all().sin().sum()
    found.backward()
    torch.testing.assert_close(taken.gradient(), plain.grad)


def test_taken_rows_have_the_shape_of_their_places_and_share_no_memory() -> None:
    leaf = TakenRows(ROWS).take(ONE)
    assert leaf.shape == (2, 2, 3)
    assert leaf.requires_grad
    assert torch.equal(leaf.detach(), ROWS[ONE])
    assert not ROWS.requires_grad


def test_without_any_use_the_gradient_is_zero() -> None:
    assert not TakenRows(ROWS).gradient().any()
