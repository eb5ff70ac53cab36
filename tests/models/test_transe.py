"""TransE equals its formula, and its gradient at distance zero is zero."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphkit import GraphkitError
from graphkit.models import TransE

RELATIONS, DIM = 2, 5
norms = pytest.mark.parametrize("norm", [1, 2])


def make(norm: int, *, reciprocal: bool = False) -> TransE:
    model = TransE(RELATIONS, dim=DIM, margin=4.0, norm=norm, reciprocal=reciprocal).double()
    model.initialize(torch.Generator().manual_seed(0))
    return model


def rows(count: int, seed: int) -> Tensor:
    return torch.randn(count, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distance(x: Tensor, norm: int) -> Tensor:
    return x.abs().sum() if norm == 1 else x.square().sum().sqrt()


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
            expected = 4.0 - distance(heads[i] + r - tails[j], norm)
            torch.testing.assert_close(scores[i, j], expected, rtol=1e-12, atol=1e-12)


@norms
def test_a_triple_scores_equally_from_both_sides_without_reciprocals(norm: int) -> None:
    model, heads, tails = make(norm), rows(4, 1), rows(4, 2)
    raw = torch.arange(4) % RELATIONS
    forward = model.score(model.project(heads, 2 * raw), tails).diagonal()
    inverse = model.score(model.project(tails, 2 * raw + 1), heads).diagonal()
    torch.testing.assert_close(forward, inverse, rtol=1e-12, atol=1e-12)


@norms
def test_moving_all_entities_changes_no_score(norm: int) -> None:
    model, heads, tails, shift = make(norm), rows(4, 1), rows(6, 2), rows(1, 3)
    relations = torch.arange(4)
    moved = model.score(model.project(heads + shift, relations), tails + shift)
    torch.testing.assert_close(moved, model.score(model.project(heads, relations), tails), rtol=1e-12, atol=1e-12)


@norms
def test_a_relation_and_its_inverse_lead_back(norm: int) -> None:
    model, x = make(norm), rows(3, 1)
    there = model.project(x, torch.tensor([0, 2, 3]))
    torch.testing.assert_close(model.project(there, torch.tensor([1, 3, 2])), x, rtol=0, atol=1e-12)


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


@norms
def test_close_pairs_do_not_cancel(norm: int) -> None:
    """Distances by a matrix product lose every digit here: |x|² + |y|² - 2xy in fp32."""
    model = TransE(1, dim=64, norm=norm, margin=0.0)
    queries = torch.full((30, 64), 100.0)
    candidates = queries + 2.0**-10
    expected = -(64 * 2.0**-10 if norm == 1 else 8 * 2.0**-10)
    torch.testing.assert_close(model.score(queries, candidates), torch.full((30, 30), expected), rtol=1e-6, atol=0)


def test_fresh_values_are_uniform_in_the_stated_range() -> None:
    generator = torch.Generator().manual_seed(0)
    model = TransE(400, dim=50, margin=8.0)
    model.initialize(generator)
    for values in (model.initial_rows(400, generator), model.relations.detach()):
        assert 0.199 < values.max() <= 0.2
        assert -0.2 <= values.min() < -0.199
        assert abs(values.mean()) < 0.005


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"norm": 3}, "model.norm is 3, and 1 or 2 is needed"),
        ({"norm": 0}, "model.norm is 0, and 1 or 2 is needed"),
        ({"margin": -2.0}, "model.margin is -2.0, and a number above -2 is needed"),
        ({"margin": -5.0}, "model.margin is -5.0, and a number above -2 is needed"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, float], expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        TransE(RELATIONS, **settings)
    assert str(error.value) == expected
