"""GQE intersects by its formula, and distances by a matrix product equal those by the definition."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor

from graphkit.engine.kernels.l2_product import _L2Distances, l2_distances
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


# ------------------------------------------------------------------------------------------------- distances, float32


def directly(queries: Tensor, candidates: Tensor) -> Tensor:
    """Distances by the definition in float64."""
    difference = queries.double().unsqueeze(1) - candidates.double()
    return difference.square().sum(dim=2).sqrt()


def close_pairs(apart: float, *, dim: int = 400, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    """Queries, each beside one of many candidates: `apart` times their distance from the mean away from it."""
    candidates = rows(200, 1, dim=dim)
    return (candidates[:50] + apart * rows(50, 2, dim=dim) + offset).float(), (candidates + offset).float()


@pytest.mark.parametrize("offset", [0.0, 100.0], ids=["centred", "far"])
@pytest.mark.parametrize("apart", [1.0, 0.1, 0.05, 0.04, 0.03, 0.02, 0.01, 1e-3, 1e-5])
def test_the_error_of_a_distance_is_as_stated(apart: float, offset: float) -> None:
    queries, candidates = close_pairs(apart, offset=offset)
    expected = directly(queries, candidates)
    error = (l2_distances(queries, candidates).double() - expected).abs() / expected.clamp(min=1e-30)
    assert error.max() < 5e-4
    assert error.median() < 1e-6
    if apart not in (0.05, 0.04, 0.03):  # where pairs are nearly close, and not yet computed by the definition
        assert error.max() < (1e-6 if apart in (1.0, 0.02, 0.01, 1e-3, 1e-5) else 5e-5)


def test_equal_rows_are_at_distance_zero() -> None:
    queries, candidates = close_pairs(0.0)
    assert not l2_distances(queries, candidates)[:, :50].diagonal().any()
    same = torch.full((7, 400), 3.3)
    assert not l2_distances(same[:2], same).any()


def test_clusters_of_close_pairs_are_computed_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tight clusters: half of all pairs are close, more than are held at once."""
    centres = rows(2, 1, dim=400).repeat(50, 1)
    candidates = (centres + 1e-4 * rows(100, 2, dim=400)).float()
    queries = (centres[:20] + 1e-4 * rows(20, 3, dim=400)).float()
    expected = directly(queries, candidates).float()
    whole = l2_distances(queries, candidates)
    torch.testing.assert_close(whole, expected, rtol=1e-6, atol=0)
    monkeypatch.setattr(_L2Distances, "AT_ONCE", 7 * 400)
    torch.testing.assert_close(l2_distances(queries, candidates), whole, rtol=1e-6, atol=0)


@pytest.mark.parametrize("apart", [1.0, 0.1, 1e-3])
def test_gradients_of_float32_distances_are_those_of_the_definition(apart: float) -> None:
    pairs = close_pairs(apart)
    weights = rows(50, 4, dim=200)
    wide = [x.double().requires_grad_() for x in pairs]
    (directly(*wide) * weights).sum().backward()
    narrow = [x.requires_grad_() for x in pairs]
    (l2_distances(*narrow) * weights.float()).sum().backward()
    for found, expected in zip(narrow, wide, strict=True):
        torch.testing.assert_close(found.grad.double(), expected.grad, rtol=1e-3, atol=1e-3)


def test_autocast_leaves_distances_as_they_are() -> None:
    queries, candidates = close_pairs(0.1)
    exact = l2_distances(queries, candidates)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(l2_distances(queries, candidates), exact)
