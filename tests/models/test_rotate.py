"""RotatE equals its formula over the complex numbers; rotations keep moduli, commute and turn back."""

from __future__ import annotations

from math import pi
from typing import Any

import pytest
import torch
from torch import Tensor

from graphkit import GraphkitError
from graphkit.models import RotatE

RELATIONS, DIM = 2, 6


def make(**settings: Any) -> RotatE:
    model = RotatE(RELATIONS, **{"dim": DIM, "margin": 4.0, **settings}).double()
    model.initialize(torch.Generator().manual_seed(0))
    return model


def rows(count: int, seed: int) -> Tensor:
    return torch.randn(count, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def complex_of(x: Tensor) -> Tensor:
    return torch.complex(x[..., : DIM // 2], x[..., DIM // 2 :])


def test_a_score_by_hand() -> None:
    """A quarter turn takes 1 + 2i to -2 + i, three times 3 and 4 away from 7 + 13i."""
    model = RotatE(1, dim=2, margin=20.0)
    with torch.no_grad():
        model.relations.fill_(model.scale / 2)  # half of what stands for π
    there = model.project(torch.tensor([[1.0, 2.0]]), torch.tensor([0]))
    torch.testing.assert_close(there, torch.tensor([[-2.0, 1.0]]))
    assert model.score(there, torch.tensor([[7.0, 13.0]])).item() == pytest.approx(20 - 15)
    back = model.project(torch.tensor([[1.0, 2.0]]), torch.tensor([1]))
    torch.testing.assert_close(back, torch.tensor([[2.0, -1.0]]))


@pytest.mark.parametrize("reciprocal", [True, False])
def test_the_score_is_the_margin_minus_the_moduli(reciprocal: bool) -> None:
    model, heads, tails = make(reciprocal=reciprocal), rows(8, 1), rows(6, 2)
    relations = torch.arange(8) % (2 * RELATIONS)
    scores = model.score(model.project(heads, relations), tails)
    for i in range(8):
        phase = model.relations[relations[i] if reciprocal else relations[i] // 2] * pi / model.scale
        if not reciprocal and relations[i] % 2:
            phase = -phase
        turned = complex_of(heads[i]) * torch.polar(torch.ones_like(phase), phase)
        for j in range(6):
            expected = 4.0 - (turned - complex_of(tails[j])).abs().sum()
            torch.testing.assert_close(scores[i, j], expected, rtol=1e-12, atol=1e-12)


def test_a_path_keeps_the_modulus_of_each_coordinate() -> None:
    model, x = make(), rows(3, 1)
    found = x
    for relations in ([0, 1, 2], [3, 3, 0], [2, 0, 1]):
        found = model.project(found, torch.tensor(relations))
    torch.testing.assert_close(complex_of(found).abs(), complex_of(x).abs(), rtol=1e-12, atol=0)


def test_a_full_turn_changes_no_query() -> None:
    model, x = make(), rows(4, 1)
    before = model.project(x, torch.arange(4))
    with torch.no_grad():
        model.relations += 2 * model.scale
    torch.testing.assert_close(model.project(x, torch.arange(4)), before, rtol=0, atol=1e-12)


def test_a_relation_and_its_inverse_lead_back() -> None:
    model, x = make(), rows(3, 1)
    there = model.project(x, torch.tensor([0, 2, 3]))
    torch.testing.assert_close(model.project(there, torch.tensor([1, 3, 2])), x, rtol=0, atol=1e-12)


def test_the_order_of_two_relations_does_not_count() -> None:
    model, x, one, other = make(reciprocal=True), rows(3, 1), torch.tensor([0, 1, 3]), torch.tensor([2, 2, 0])
    found = model.project(model.project(x, one), other)
    torch.testing.assert_close(model.project(model.project(x, other), one), found, rtol=0, atol=1e-12)


def test_a_triple_scores_equally_from_both_sides_without_reciprocals() -> None:
    model, heads, tails = make(), rows(4, 1), rows(4, 2)
    raw = torch.arange(4) % RELATIONS
    forward = model.score(model.project(heads, 2 * raw), tails).diagonal()
    inverse = model.score(model.project(tails, 2 * raw + 1), heads).diagonal()
    torch.testing.assert_close(forward, inverse, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_the_gradient_at_distance_zero_is_zero(shared: bool) -> None:
    model = make()
    queries = rows(2, 1).requires_grad_()
    candidates = queries.detach().clone().requires_grad_()
    scores = model.score(queries, candidates, None if shared else torch.arange(2).unsqueeze(1))
    exact = scores.diagonal() if shared else scores.squeeze(1)
    assert exact.tolist() == [4.0, 4.0]
    exact.sum().backward()
    assert not queries.grad.any()
    assert not candidates.grad.any()


@pytest.mark.parametrize(("dim", "even"), [(7, 8), (1, 2)])
def test_an_odd_dim_is_refused(dim: int, even: int) -> None:
    with pytest.raises(GraphkitError) as error:
        RotatE(RELATIONS, dim=dim)
    assert str(error.value) == f"model.dim is {dim}, and a complex row needs an even number of reals; give {even}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("queries", [1, 8])
@pytest.mark.parametrize("relation", [-1, 2 * RELATIONS])
def test_a_relation_that_there_is_not_is_refused(relation: int, queries: int, dtype: torch.dtype) -> None:
    model = make().to(dtype)
    with pytest.raises(GraphkitError) as error:
        model.project(rows(queries, 1).to(dtype), torch.full((queries,), relation))
    assert str(error.value) == (
        f"query 0 follows directed relation {relation}, and 2 relations have 0 to 3; give one of these"
    )
