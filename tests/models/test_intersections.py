"""DeepSets equal their formula, and serve every model that has no intersection of its own."""

from __future__ import annotations

from itertools import permutations
from math import sqrt

import pytest
import torch
from torch import Tensor

from graphkit.models import ComplEx, DistMult, RotatE
from graphkit.models.intersections import BranchAttention, DeepSets, PathModel, initialize_layers

WIDTH = 6


def make(width: int = WIDTH) -> DeepSets:
    found = DeepSets(width).double()
    initialize_layers(found, torch.Generator().manual_seed(0))
    return found


def branches(count: int) -> Tensor:
    return torch.randn(count, 4, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_vector_of_a_set_equals_its_formula() -> None:
    deep_sets, some = make(), branches(3)
    one, two, three, four = (layer for layer in deep_sets.modules() if isinstance(layer, torch.nn.Linear))
    seen = [((x @ one.weight.T + one.bias).relu() @ two.weight.T + two.bias).relu() for x in some]
    expected = (sum(seen) / 3 @ three.weight.T + three.bias).relu() @ four.weight.T + four.bias
    assert expected.std() > 0.01
    torch.testing.assert_close(deep_sets(some), expected, rtol=1e-12, atol=1e-12)


def test_the_order_of_branches_does_not_count_nor_does_repeating_all() -> None:
    deep_sets, some = make(), branches(3)
    expected = deep_sets(some)
    for order in permutations(range(3)):
        torch.testing.assert_close(deep_sets(some[list(order)]), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(deep_sets(some.repeat(2, 1, 1)), expected, rtol=1e-12, atol=1e-12)


def test_fresh_layers_have_the_stated_scales() -> None:
    for layer in (layer for layer in make(50).modules() if isinstance(layer, torch.nn.Linear)):
        for values, bound in ((layer.weight, sqrt(6 / 100)), (layer.bias, 1 / sqrt(50))):
            assert 0.9 * bound < values.abs().max() <= bound


@pytest.mark.parametrize("kind", [ComplEx, DistMult, RotatE])
def test_models_of_paths_intersect_by_deep_sets_over_their_whole_width(kind: type[PathModel]) -> None:
    model, some = kind(2, dim=WIDTH, intersection="deepsets").double(), branches(3)
    assert model.intersects
    assert (model.dense_lr_share, model.default_n3) == (0.1, 0.0)
    assert not kind(2, dim=WIDTH).intersects
    assert torch.equal(model.intersect(list(some)), model.intersection(some))


@pytest.mark.parametrize(("dtype", "rounds"), [(torch.bfloat16, True), (torch.float16, False)])
def test_attention_rounds_where_autocast_rounds_to_bfloat16(dtype: torch.dtype, rounds: bool) -> None:
    attention = BranchAttention(WIDTH, WIDTH)
    initialize_layers(attention, torch.Generator().manual_seed(0))
    x = branches(3).float().flatten(0, 1)
    exact = attention.means(x, [(3, 4)])
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(attention.means(x, [(3, 4)]), exact) != rounds
