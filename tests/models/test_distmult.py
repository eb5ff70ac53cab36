"""DistMult equals its formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphkit.models import DistMult

RELATIONS, DIM = 2, 5


def make(*, reciprocal: bool = True) -> DistMult:
    model = DistMult(RELATIONS, dim=DIM, init_scale=1.0, reciprocal=reciprocal).double()
    model.initialize(torch.Generator().manual_seed(0))
    return model


def rows(count: int, seed: int) -> Tensor:
    return torch.randn(count, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_a_score_by_hand() -> None:
    model = DistMult(1, dim=3, reciprocal=False)
    with torch.no_grad():
        model.relations.copy_(torch.tensor([[1.0, -2.0, 0.5]]))
    query = model.project(torch.tensor([[2.0, 3.0, 4.0]]), torch.tensor([0]))
    assert query.tolist() == [[2.0, -6.0, 2.0]]
    assert model.score(query, torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 3.0]])).tolist() == [[-2.0, 0.0]]


@pytest.mark.parametrize("reciprocal", [True, False])
def test_the_score_is_the_sum_of_h_r_t(reciprocal: bool) -> None:
    model, heads, tails = make(reciprocal=reciprocal), rows(8, 1), rows(5, 2)
    relations = torch.arange(8) % (2 * RELATIONS)
    r = model.relations[relations if reciprocal else relations // 2]
    expected = torch.einsum("bd,bd,nd->bn", heads, r, tails)
    torch.testing.assert_close(model.score(model.project(heads, relations), tails), expected, rtol=1e-12, atol=1e-12)


def test_the_score_is_linear_in_each_argument() -> None:
    model, x, y, tails = make(), rows(3, 1), rows(3, 2), rows(4, 3)
    relation = torch.tensor([0, 1, 3])

    def score(heads: Tensor, candidates: Tensor) -> Tensor:
        return model.score(model.project(heads, relation), candidates)

    torch.testing.assert_close(score(2 * x - y, tails), 2 * score(x, tails) - score(y, tails))
    torch.testing.assert_close(score(x, 3 * tails), 3 * score(x, tails))


def test_head_and_tail_may_be_exchanged() -> None:
    model, heads, tails = make(), rows(4, 1), rows(4, 2)
    relations = torch.arange(4)
    forward = model.score(model.project(heads, relations), tails).diagonal()
    torch.testing.assert_close(model.score(model.project(tails, relations), heads).diagonal(), forward)


def test_an_inverse_without_reciprocals_is_the_relation() -> None:
    model, x = make(reciprocal=False), rows(2, 1)
    assert torch.equal(model.project(x, torch.tensor([0, 2])), model.project(x, torch.tensor([1, 3])))
