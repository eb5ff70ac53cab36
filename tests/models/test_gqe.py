"""GQE equals its formulas, and distances by a matrix product equal those by the definition."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels.l2_product import _L2Distances, l2_distances
from graphkit.models import GQE

RELATIONS, DIM = 2, 5
norms = pytest.mark.parametrize("norm", [1, 2])


def make(norm: int = 2, **settings: Any) -> GQE:
    model = GQE(RELATIONS, dim=DIM, margin=4.0, norm=norm, **settings).double()
    model.initialize(torch.Generator().manual_seed(0))
    return model


def rows(count: int, seed: int, *, dim: int = DIM) -> Tensor:
    return torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@norms
@pytest.mark.parametrize("reciprocal", [True, False])
def test_the_score_is_the_margin_minus_the_distance(norm: int, reciprocal: bool) -> None:
    model, heads, tails = make(norm, reciprocal=reciprocal), rows(8, 1), rows(6, 2)
    relations = torch.arange(8) % (2 * RELATIONS)
    scores = model.score(model.project(heads, relations), tails)
    for i in range(8):
        r = model.relations[relations[i]] if reciprocal else model.relations[relations[i] // 2]
        if not reciprocal and relations[i] % 2:
            r = -r
        for j in range(6):
            difference = heads[i] + r - tails[j]
            distance = difference.abs().sum() if norm == 1 else difference.square().sum().sqrt()
            torch.testing.assert_close(scores[i, j], 4.0 - distance, rtol=1e-12, atol=1e-12)


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


@norms
def test_moving_all_entities_changes_no_score_of_a_path(norm: int) -> None:
    model, heads, tails, shift = make(norm), rows(4, 1), rows(6, 2), rows(1, 3)
    relations = torch.arange(4)
    moved = model.score(model.project(heads + shift, relations), tails + shift)
    torch.testing.assert_close(moved, model.score(model.project(heads, relations), tails), rtol=1e-12, atol=1e-12)


@norms
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_the_gradient_at_distance_zero_is_zero(norm: int, shared: bool) -> None:
    model = make(norm)
    queries = rows(2, 1).requires_grad_()
    candidates, places = queries.detach().clone(), None if shared else torch.arange(len(queries)).unsqueeze(1)
    candidates.requires_grad_()
    scores = model.score(queries, candidates, places)
    exact = scores.diagonal() if shared else scores.squeeze(1)
    assert exact.tolist() == [4.0, 4.0]
    exact.sum().backward()
    assert not queries.grad.any()
    assert not candidates.grad.any()


def test_only_norm_2_is_a_matrix_product() -> None:
    assert [make(norm).matrix_product for norm in (1, 2)] == [False, True]


def test_fresh_values_have_the_stated_scales() -> None:
    generator = torch.Generator().manual_seed(0)
    model = GQE(400, dim=50, margin=8.0)
    model.initialize(generator)
    for values in (model.initial_rows(400, generator), model.relations.detach()):
        assert 0.199 < values.max() <= 0.2
        assert -0.2 <= values.min() < -0.199
    for layer in (model.attention.first, model.attention.second):
        for values, bound in ((layer.weight, sqrt(6 / 100)), (layer.bias, 1 / sqrt(50))):
            assert 0.9 * bound < values.abs().max() <= bound


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"norm": 3}, "model.norm is 3, and 1 or 2 is needed"),
        ({"margin": -2.0}, "model.margin is -2.0, and a number above -2 is needed"),
        ({"dim": 0}, "model.dim is 0, and at least 1 is needed; give the number of reals of an entity row"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        GQE(RELATIONS, **settings)
    assert str(error.value) == expected


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
