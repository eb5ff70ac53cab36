"""GQE intersects by its formula."""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor

from graphkit.models import GQE

RELATIONS, DIM = 2, 5


def make(norm: int = 2, **settings: Any) -> GQE:
    model = GQE(RELATIONS, dim=DIM, margin=4.0, norm=norm, **settings).double()
    model.initialize(torch.Generator().manual_seed(0))
    return model


def rows(count: int, seed: int, *, dim: int = DIM) -> Tensor:
    return torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_an_intersection_equals_its_formula() -> None:
    model, branches = make(), [rows(4, seed) for seed in range(3)]
    first, second = model.attention.first, model.attention.second
    logits = torch.stack([(x @ first.weight.T + first.bias).relu() @ second.weight.T + second.bias for x in branches])
    weights = logits.exp() / logits.exp().sum(dim=0)
    assert weights.std() > 0.01
    expected = sum(weight * x for weight, x in zip(weights, branches, strict=True))
    torch.testing.assert_close(model.intersect(branches), expected, rtol=1e-12, atol=1e-12)


def test_weights_sum_to_one_in_each_coordinate() -> None:
    model, x = make(), rows(4, 1)
    torch.testing.assert_close(
        model.attention(torch.stack([x, rows(4, 2), rows(4, 3)])).sum(dim=0), torch.ones(4, DIM).double()
    )
    for count in (2, 3, 7):
        torch.testing.assert_close(model.intersect([x] * count), x, rtol=1e-12, atol=1e-12)


def test_an_intersection_lies_between_its_branches_in_each_coordinate() -> None:
    branches = torch.stack([rows(50, seed) for seed in range(3)])
    found = make().intersect(list(branches))
    assert (found >= branches.amin(dim=0)).all()
    assert (found <= branches.amax(dim=0)).all()


def test_only_norm_2_is_a_matrix_product() -> None:
    assert [make(norm).matrix_product for norm in (1, 2)] == [False, True]


def test_fresh_layers_have_the_stated_scales() -> None:
    model = GQE(400, dim=50)
    model.initialize(torch.Generator().manual_seed(0))
    for layer in (model.attention.first, model.attention.second):
        for values, bound in ((layer.weight, sqrt(6 / 100)), (layer.bias, 1 / sqrt(50))):
            assert 0.9 * bound < values.abs().max() <= bound
