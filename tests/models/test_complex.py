"""ComplEx equals its formula over the complex numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphkit import GraphkitError
from graphkit.models import ComplEx

RELATIONS, DIM = 2, 6


def make(*, reciprocal: bool) -> ComplEx:
    model = ComplEx(RELATIONS, dim=DIM, init_scale=1.0, reciprocal=reciprocal).double()
    model.initialize(torch.Generator().manual_seed(0))
    return model


def rows(count: int, seed: int) -> Tensor:
    return torch.randn(count, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def complex_of(x: Tensor) -> Tensor:
    real, imaginary = x[..., : DIM // 2], x[..., DIM // 2 :]
    return torch.complex(real, imaginary)


@pytest.mark.parametrize("reciprocal", [True, False])
def test_the_score_is_the_real_part_of_h_r_conj_t(reciprocal: bool) -> None:
    model, heads, tails = make(reciprocal=reciprocal), rows(8, 1), rows(5, 2)
    relations = torch.arange(8) % (2 * RELATIONS)
    scores = model.score(model.project(heads, relations), tails)
    for i in range(8):
        r = complex_of(model.relations[relations[i] if reciprocal else relations[i] // 2])
        if not reciprocal and relations[i] % 2:
            r = r.conj()
        for j in range(5):
            expected = (complex_of(heads[i]) * r * complex_of(tails[j]).conj()).sum().real
            torch.testing.assert_close(scores[i, j], expected, rtol=1e-12, atol=1e-12)


def test_a_triple_scores_equally_from_both_sides_without_reciprocals() -> None:
    model, heads, tails = make(reciprocal=False), rows(4, 1), rows(4, 2)
    raw = torch.arange(4) % RELATIONS
    forward = model.score(model.project(heads, 2 * raw), tails)
    inverse = model.score(model.project(tails, 2 * raw + 1), heads)
    torch.testing.assert_close(forward.diagonal(), inverse.diagonal(), rtol=1e-12, atol=1e-12)


def test_the_score_is_linear_in_each_argument() -> None:
    model, x, y, tails = make(reciprocal=True), rows(3, 1), rows(3, 2), rows(4, 3)
    relation = torch.tensor([0, 1, 3])

    def score(heads: Tensor, candidates: Tensor) -> Tensor:
        return model.score(model.project(heads, relation), candidates)

    torch.testing.assert_close(score(2 * x - y, tails), 2 * score(x, tails) - score(y, tails))
    torch.testing.assert_close(score(x, 3 * tails), 3 * score(x, tails))


def test_squared_moduli_are_those_of_the_complex_coordinates() -> None:
    x = rows(4, 1)
    found = make(reciprocal=True).squared_moduli(x)
    assert found.shape == (4, DIM // 2)
    torch.testing.assert_close(found, complex_of(x).abs().square())


def test_the_nuclear_norm_of_a_zero_row_has_a_zero_gradient() -> None:
    x = torch.zeros(2, DIM, requires_grad=True)
    make(reciprocal=True).squared_moduli(x).pow(1.5).sum().backward()
    assert x.grad.tolist() == torch.zeros(2, DIM).tolist()


@pytest.mark.parametrize(("dim", "even"), [(7, 8), (1, 2)])
def test_an_odd_dim_is_refused(dim: int, even: int) -> None:
    with pytest.raises(GraphkitError) as error:
        ComplEx(RELATIONS, dim=dim)
    assert str(error.value) == f"model.dim is {dim}, and a complex row needs an even number of reals; give {even}"
