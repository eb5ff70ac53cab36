"""BetaE equals its formulas: divergences of Beta distributions, by a matrix product."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Beta, kl_divergence

from graphkit import GraphkitError
from graphkit.models import BetaE

RELATIONS, DIM = 2, 6
LEAST, MOST = 0.05, 20.0


def make(**settings: Any) -> BetaE:
    model = BetaE(RELATIONS, **{"dim": DIM, "hidden": 7, "margin": 4.0, **settings}).double()
    model.initialize(torch.Generator().manual_seed(0))
    return model


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def anywhere(count: int, dim: int, *, seed: int) -> Tensor:
    """Parameters [count, dim], log-uniform within the bounds."""
    uniform = torch.rand(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (log(LEAST) + uniform * (log(MOST) - log(LEAST))).exp()


def divergences(queries: Tensor, entities: Tensor) -> Tensor:
    """KL(entity || query), summed over Betas, in float64 by torch: [B, N]."""
    a, b = entities.double().chunk(2, dim=1)
    rows = []
    for c, d in zip(*queries.double().chunk(2, dim=1), strict=True):
        rows.append(kl_divergence(Beta(a, b), Beta(c, d)).sum(dim=1))
    return torch.stack(rows)


def test_the_score_is_the_margin_minus_the_divergence_of_the_query_from_the_entity() -> None:
    model, queries, entities = make(), anywhere(8, DIM, seed=1), anywhere(5, DIM, seed=2)
    scores = model.score(queries, model.candidates(entities))
    torch.testing.assert_close(scores, 4.0 - divergences(queries, entities), rtol=1e-10, atol=1e-10)


def test_the_direction_of_the_divergence() -> None:
    """Values by the closed form, which an integral confirms."""
    model = make(dim=2, margin=0.0)
    one, other = torch.tensor([[2.0, 3.0], [4.0, 1.0]], dtype=torch.float64).split(1)
    assert model.score(other, model.candidates(one)).item() == pytest.approx(-2.09861228867, abs=1e-10)
    assert model.score(one, model.candidates(other)).item() == pytest.approx(-2.568054378, abs=1e-8)


def test_a_divergence_is_zero_from_itself_and_positive_from_others() -> None:
    model, x = make(margin=0.0), anywhere(20, DIM, seed=1)
    scores = model.score(x, model.candidates(x))
    torch.testing.assert_close(scores.diagonal(), torch.zeros(20).double(), rtol=0, atol=1e-10)
    scores.fill_diagonal_(-1.0)
    assert (scores < 0).all()


def test_exchanging_a_and_b_of_all_rows_changes_no_score() -> None:
    model, queries, entities = make(), anywhere(8, DIM, seed=1), anywhere(5, DIM, seed=2)
    swapped = model.score(queries.roll(DIM // 2, 1), model.candidates(entities.roll(DIM // 2, 1)))
    torch.testing.assert_close(swapped, model.score(queries, model.candidates(entities)), rtol=1e-12, atol=1e-10)


def test_candidates_are_expectations_and_entropy() -> None:
    entities = anywhere(5, DIM, seed=1)
    a, b = entities.chunk(2, dim=1)
    found = make().candidates(entities)
    expected = torch.cat([a.digamma() - (a + b).digamma(), b.digamma() - (a + b).digamma()], dim=1)
    torch.testing.assert_close(found[:, :-1], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[:, -1], Beta(a, b).entropy().sum(dim=1), rtol=1e-10, atol=1e-10)


def fresh(count: int, seed: int) -> Tensor:
    return 1 + 0.155 * (2 * torch.rand(count, 800, generator=torch.Generator().manual_seed(seed)) - 1)


def beside(entities: Tensor, apart: float, *, seed: int) -> Tensor:
    return (entities * (1 + apart * noise(*entities.shape, seed=seed))).clamp(LEAST, MOST)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize(
    ("kind", "allowed"), [("fresh", 5e-6), ("one cluster", 1.5e-4), ("each beside another", None), ("anywhere", None)]
)
def test_the_error_of_float32_is_as_stated(kind: str, allowed: float | None, own: bool) -> None:
    if kind == "fresh":
        entities, queries = fresh(60, 1), fresh(40, 2)
    elif kind == "one cluster":
        centre = anywhere(1, 800, seed=1)
        entities, queries = beside(centre.expand(60, -1), 0.03, seed=2), beside(centre.expand(40, -1), 0.03, seed=3)
    elif kind == "each beside another":
        entities = anywhere(60, 800, seed=1)
        queries = beside(entities[:40], 0.03, seed=2)
    else:
        entities, queries = anywhere(60, 800, seed=1), anywhere(40, 800, seed=2)
    entities, queries = entities.float(), queries.float()
    model = BetaE(RELATIONS, margin=0.0)
    candidates = model.candidates(entities)
    found = -model.score(queries, candidates, torch.arange(len(candidates)).expand(40, -1) if own else None)
    assert found.dtype == torch.float32
    expected = divergences(queries, entities)
    error = (found.double() - expected).abs().max()
    assert error < 1e-4 + 1e-6 * expected.max()
    assert allowed is None or error < allowed


def test_encoding_keeps_parameters_within_the_bounds() -> None:
    rows = torch.tensor([[-5.0, -0.96, -0.94, 0.0, 18.9, 30.0]], requires_grad=True)
    encoded = make().encode(rows)
    torch.testing.assert_close(encoded.detach(), torch.tensor([[0.05, 0.05, 0.06, 1.0, 19.9, 20.0]]))
    encoded.sum().backward()
    assert rows.grad.tolist() == [[0.0, 0.0, 1.0, 1.0, 1.0, 0.0]]


@pytest.mark.parametrize("layers", [1, 3])
def test_a_projection_is_the_network_of_row_and_relation(layers: int) -> None:
    model, x, relations = make(layers=layers), anywhere(5, DIM, seed=1), torch.tensor([0, 1, 2, 3, 3])
    y = torch.cat([x, model.relations[relations]], dim=1)
    linear = list(model.network)
    assert [tuple(layer.weight.shape) for layer in linear] == [(7, 9), *[(7, 7)] * (layers - 1), (6, 7)]
    for i, layer in enumerate(linear):
        y = y @ layer.weight.T + layer.bias
        y = y.clamp(min=0) if i < layers else y
    found = model.project(x, relations)
    torch.testing.assert_close(found, (y + 1).clamp(LEAST, MOST), rtol=1e-12, atol=1e-12)
    assert found.std() > 0.01


def test_an_intersection_equals_its_formula() -> None:
    model, branches = make(), [anywhere(4, DIM, seed=seed) for seed in range(3)]
    first, second = model.attention.first, model.attention.second
    logits = torch.stack([(x @ first.weight.T + first.bias).relu() @ second.weight.T + second.bias for x in branches])
    weights = logits.exp() / logits.exp().sum(dim=0)
    assert weights.shape == (3, 4, DIM // 2)
    a = sum(weight * x[:, : DIM // 2] for weight, x in zip(weights, branches, strict=True))
    b = sum(weight * x[:, DIM // 2 :] for weight, x in zip(weights, branches, strict=True))
    torch.testing.assert_close(model.intersect(branches), torch.cat([a, b], dim=1), rtol=1e-12, atol=1e-12)


def test_weights_sum_to_one() -> None:
    model, x = make(), anywhere(4, DIM, seed=1)
    for count in (2, 3, 7):
        torch.testing.assert_close(model.intersect([x] * count), x, rtol=1e-12, atol=1e-12)


def test_an_intersection_lies_between_its_branches_in_each_parameter() -> None:
    branches = torch.stack([anywhere(50, DIM, seed=seed) for seed in range(3)])
    found = make().intersect(list(branches))
    assert (found >= branches.amin(dim=0)).all()
    assert (found <= branches.amax(dim=0)).all()


def test_negating_twice_is_the_identity() -> None:
    model, x = make(), anywhere(100, DIM, seed=1).float()
    torch.testing.assert_close(model.negate(model.negate(x)), x, rtol=2.0**-22, atol=0)


def test_a_negation_stays_within_the_bounds() -> None:
    ends = make().encode(torch.tensor([[-9.0, 99.0, 0.0, 0.0, 0.0, 0.0]]))
    torch.testing.assert_close(
        make().negate(ends), torch.tensor([[20.0, 0.05, 1.0, 1.0, 1.0, 1.0]]), rtol=2.0**-23, atol=0
    )


def test_fresh_layers_have_the_stated_scales() -> None:
    generator = torch.Generator().manual_seed(0)
    model = BetaE(400, dim=100, margin=8.0, hidden=60)
    model.initialize(generator)
    layers = [*model.network, model.attention.first, model.attention.second]
    for layer, (inputs, outputs) in zip(layers, [(150, 60), (60, 60), (60, 100), (100, 100), (100, 50)], strict=True):
        for values, bound in ((layer.weight, sqrt(6 / (inputs + outputs))), (layer.bias, 1 / sqrt(inputs))):
            assert 0.9 * bound < values.abs().max() <= bound


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"dim": 7}, "model.dim is 7, and a row of Betas needs an even number of reals; give 8"),
        ({"dim": 1}, "model.dim is 1, and a row of Betas needs an even number of reals; give 2"),
        ({"hidden": 0}, "model.hidden is 0, and at least 1 is needed"),
        ({"layers": 0}, "model.layers is 0, and at least 1 is needed"),
        ({"layers": -3}, "model.layers is -3, and at least 1 is needed"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        BetaE(RELATIONS, **settings)
    assert str(error.value) == expected
