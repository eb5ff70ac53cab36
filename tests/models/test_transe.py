"""TransE, and GQE on paths, equal their formula, and their gradient at distance zero is zero."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphkit import GraphkitError
from graphkit.models import GQE, TransE

RELATIONS, DIM = 2, 5
norms = pytest.mark.parametrize("norm", [1, 2])
kinds = pytest.mark.parametrize("kind", [TransE, GQE])


def make(kind: type[TransE], norm: int, *, reciprocal: bool = False) -> TransE:
    model = kind(RELATIONS, dim=DIM, margin=4.0, norm=norm, reciprocal=reciprocal).double()
    model.initialize(torch.Generator().manual_seed(0))
    return model


def rows(count: int, seed: int) -> Tensor:
    return torch.randn(count, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distance(x: Tensor, norm: int) -> Tensor:
    return x.abs().sum() if norm == 1 else x.square().sum().sqrt()


@kinds
@norms
@pytest.mark.parametrize("reciprocal", [True, False])
def test_the_score_is_the_margin_minus_the_distance(kind: type[TransE], norm: int, reciprocal: bool) -> None:
    model, heads, tails = make(kind, norm, reciprocal=reciprocal), rows(8, 1), rows(6, 2)
    relations = torch.arange(8) % (2 * RELATIONS)
    scores = model.score(model.project(heads, relations), tails)
    for i in range(8):
        r = model.relations[relations[i]] if reciprocal else model.relations[relations[i] // 2]
        if not reciprocal and relations[i] % 2:
            r = -r
        for j in range(6):
            expected = 4.0 - distance(heads[i] + r - tails[j], norm)
            torch.testing.assert_close(scores[i, j], expected, rtol=1e-12, atol=1e-12)


@kinds
@norms
def test_a_triple_scores_equally_from_both_sides_without_reciprocals(kind: type[TransE], norm: int) -> None:
    model, heads, tails = make(kind, norm), rows(4, 1), rows(4, 2)
    raw = torch.arange(4) % RELATIONS
    forward = model.score(model.project(heads, 2 * raw), tails).diagonal()
    inverse = model.score(model.project(tails, 2 * raw + 1), heads).diagonal()
    torch.testing.assert_close(forward, inverse, rtol=1e-12, atol=1e-12)


@kinds
@norms
def test_moving_all_entities_changes_no_score(kind: type[TransE], norm: int) -> None:
    model, heads, tails, shift = make(kind, norm), rows(4, 1), rows(6, 2), rows(1, 3)
    relations = torch.arange(4)
    moved = model.score(model.project(heads + shift, relations), tails + shift)
    torch.testing.assert_close(moved, model.score(model.project(heads, relations), tails), rtol=1e-12, atol=1e-12)


@kinds
@norms
def test_a_relation_and_its_inverse_lead_back(kind: type[TransE], norm: int) -> None:
    model, x = make(kind, norm), rows(3, 1)
    there = model.project(x, torch.tensor([0, 2, 3]))
    torch.testing.assert_close(model.project(there, torch.tensor([1, 3, 2])), x, rtol=0, atol=1e-12)


@kinds
@norms
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_the_gradient_at_distance_zero_is_zero(kind: type[TransE], norm: int, shared: bool) -> None:
    model = make(kind, norm)
    queries = rows(2, 1).requires_grad_()
    candidates, places = queries.detach().clone(), None if shared else torch.arange(len(queries)).unsqueeze(1)
    candidates.requires_grad_()
    scores = model.score(queries, candidates, places)
    exact = scores.diagonal() if shared else scores.squeeze(1)
    assert exact.tolist() == [4.0, 4.0]
    exact.sum().backward()
    assert not queries.grad.any()
    assert not candidates.grad.any()


@kinds
@norms
def test_close_pairs_do_not_cancel(kind: type[TransE], norm: int) -> None:
    """Distances by a matrix product lose every digit here: |x|² + |y|² - 2xy in fp32."""
    model = kind(1, dim=64, norm=norm, margin=0.0)
    queries = torch.full((30, 64), 100.0)
    candidates = queries + 2.0**-10
    expected = -(64 * 2.0**-10 if norm == 1 else 8 * 2.0**-10)
    torch.testing.assert_close(model.score(queries, candidates), torch.full((30, 30), expected), rtol=1e-6, atol=0)


@kinds
@pytest.mark.parametrize("norm", [0, 3])
def test_another_norm_is_refused(kind: type[TransE], norm: int) -> None:
    with pytest.raises(GraphkitError) as error:
        kind(RELATIONS, norm=norm)
    assert str(error.value) == f"model.norm is {norm}, and 1 or 2 is needed"
