"""Query2box equals its formulas: distances from boxes, growth along paths, gated intersections."""

from __future__ import annotations

from math import log, sqrt
from typing import Any

import pytest
import torch
from torch import Tensor

from graphkit import GraphkitError
from graphkit.models import GQE, Query2box
from graphkit.queries import STRUCTURES

RELATIONS, DIM = 2, 5
activations = pytest.mark.parametrize("activation", ["softplus", "relu", "none"])


def make(**settings: Any) -> Query2box:
    model = Query2box(RELATIONS, **{"dim": DIM, "margin": 4.0, "inside": 0.25, **settings}).double()
    model.initialize(torch.Generator().manual_seed(0))
    return model


def rows(count: int, seed: int, *, dim: int = DIM) -> Tensor:
    return torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def boxes(count: int, seed: int) -> Tensor:
    """Boxes [count, 2 DIM] with positive half widths."""
    return torch.cat([rows(count, seed), rows(count, seed + 100).abs()], dim=1)


def test_a_score_by_hand() -> None:
    """A box from -1 to 3 and from 2 to 4: an entity beyond it by 2 and 0, and within by 2 and 1."""
    model = Query2box(1, dim=2, margin=10.0, inside=0.5)
    box = torch.tensor([[1.0, 3.0, 2.0, 1.0]])
    entities = torch.tensor([[5.0, 4.0], [1.0, 3.0], [2.0, 2.5]])
    assert model.score(box, entities).tolist() == [[10 - 2 - 0.5 * 3, 10.0, 10 - 0.5 * 1.5]]


def test_a_path_by_hand() -> None:
    model = Query2box(1, dim=2, activation="none", reciprocal=False)
    with torch.no_grad():
        model.relations.copy_(torch.tensor([[1.0, -2.0, 0.5, 3.0]]))
    start = model.start(torch.tensor([[7.0, 8.0]]))
    assert start.tolist() == [[7.0, 8.0, 0.0, 0.0]]
    there = model.project(start, torch.tensor([0]))
    assert there.tolist() == [[8.0, 6.0, 0.5, 3.0]]
    # Back to the centre, and wider again.
    assert model.project(there, torch.tensor([1])).tolist() == [[7.0, 8.0, 1.0, 6.0]]


@pytest.mark.parametrize(
    ("activation", "growths"),
    [("softplus", [log(1 + 2.718281828459045), log(2), log(1.25)]), ("relu", [1, 0, 0]), ("none", [1, 0, log(0.25)])],
)
def test_what_activations_make_of_a_parameter(activation: str, growths: list[float]) -> None:
    model = make(dim=3, activation=activation)
    with torch.no_grad():
        model.relations[:, 3:] = torch.tensor([1.0, 0.0, log(0.25)], dtype=torch.float64)
    found = model.project(model.start(rows(1, 1, dim=3)), torch.tensor([2]))
    assert found[0, 3:].tolist() == pytest.approx(growths)


def test_an_intersection_equals_its_formula() -> None:
    model, branches = make(), [boxes(4, seed) for seed in range(3)]
    centres, widths = zip(*(box.chunk(2, dim=1) for box in branches), strict=True)
    first, second = model.attention.first, model.attention.second
    logits = torch.stack([(x @ first.weight.T + first.bias).relu() @ second.weight.T + second.bias for x in centres])
    weights = logits.exp() / logits.exp().sum(dim=0)
    centre = sum(weight * x for weight, x in zip(weights, centres, strict=True))
    first, second = model.gate
    seen = sum((x @ first.weight.T + first.bias).relu() for x in widths) / 3
    gate = 1 / (1 + (-(seen @ second.weight.T + second.bias)).exp())
    assert gate.std() > 0.01
    width = torch.minimum(torch.minimum(widths[0], widths[1]), widths[2]) * gate
    torch.testing.assert_close(model.intersect(branches), torch.cat([centre, width], dim=1), rtol=1e-12, atol=1e-12)


def test_of_equally_wide_branches_the_first_has_the_gradient() -> None:
    model = make()
    with torch.no_grad():  # a gate that does not depend on the widths
        for layer in model.gate:
            layer.weight.zero_()
    branches = [boxes(4, 1).requires_grad_() for _ in range(3)]
    model.intersect(branches)[:, DIM:].sum().backward()
    assert branches[0].grad[:, DIM:].gt(0).all()
    assert not branches[1].grad[:, DIM:].any()
    assert not branches[2].grad[:, DIM:].any()


def test_an_intersection_of_a_box_with_itself_keeps_the_centre_and_shrinks_the_box() -> None:
    model, box = make(), boxes(4, 1)
    for count in (2, 3, 7):
        centre, width = model.intersect([box] * count).chunk(2, dim=1)
        torch.testing.assert_close(centre, box[:, :DIM], rtol=1e-12, atol=1e-12)
        assert (width < box[:, DIM:]).all() and (width > 0).all()


def test_an_intersected_box_is_no_wider_than_each_branch_and_centred_between_them() -> None:
    branches = torch.stack([boxes(50, seed) for seed in range(3)])
    centre, width = make().intersect(list(branches)).chunk(2, dim=1)
    assert (width <= branches[:, :, DIM:].amin(dim=0)).all()
    assert (centre >= branches[:, :, :DIM].amin(dim=0)).all()
    assert (centre <= branches[:, :, :DIM].amax(dim=0)).all()


@pytest.mark.parametrize("activation", ["softplus", "relu"])
def test_a_box_never_shrinks_along_a_path(activation: str) -> None:
    model, found = make(activation=activation), boxes(4, 1)
    with torch.no_grad():
        model.relations.copy_(rows(len(model.relations), 2, dim=2 * DIM))
    for relation in range(2 * RELATIONS):
        following = model.project(found, torch.full((4,), relation))
        assert (following[:, DIM:] >= found[:, DIM:]).all()
        found = following


def test_an_entity_is_inside_where_nothing_but_the_distance_within_counts() -> None:
    model, queries, entities = make(inside=0.0), boxes(20, 1), 0.5 * rows(400, 2)
    within = ((entities - queries[:, None, :DIM]).abs() <= queries[:, None, DIM:]).all(dim=2)
    assert 10 < within.sum() < within.numel() - 10
    assert torch.equal(model.score(queries, entities) == 4.0, within)


def test_a_wider_box_scores_higher_by_at_most_what_it_grew() -> None:
    model, queries, entities = make(inside=0.25), boxes(20, 1), rows(30, 2)
    grown = queries.clone()
    grown[:, DIM:] += 0.125
    gains = model.score(grown, entities) - model.score(queries, entities)
    assert (gains >= -1e-12).all()
    assert (gains <= 0.75 * 0.125 * DIM + 1e-12).all()
    assert gains.max() > 0.75 * 0.125 * (DIM - 1)


def test_a_distance_within_that_counts_in_full_makes_it_gqe_by_norm_1() -> None:
    boxed, plain = make(inside=1.0), GQE(RELATIONS, dim=DIM, margin=4.0, norm=1).double()
    with torch.no_grad():
        plain.relations.copy_(boxed.relations[:, :DIM])
    anchors, relations, entities = rows(4, 1).unsqueeze(1), torch.tensor([[0, 1, 2]] * 4), rows(6, 2)
    scores = [model.logits(model.embed(STRUCTURES["3p"], anchors, relations), entities) for model in (boxed, plain)]
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-12, atol=1e-12)


def test_moving_all_entities_changes_no_score_of_a_path() -> None:
    model, heads, tails, shift = make(), rows(4, 1), rows(6, 2), rows(1, 3)
    relations = torch.arange(4)
    moved = model.score(model.project(model.start(heads + shift), relations), tails + shift)
    still = model.score(model.project(model.start(heads), relations), tails)
    torch.testing.assert_close(moved, still, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("width", [-0.5, -3.0])
def test_a_negative_width_costs_itself_and_what_within_counts(width: float) -> None:
    """The published form lets widths be negative: δ + (1 + α)|o| in each coordinate."""
    model, centres, entities = make(inside=0.25), rows(4, 1), rows(6, 2)
    scores = model.score(torch.cat([centres, torch.full_like(centres, width)], dim=1), entities)
    expected = 4.0 - torch.cdist(centres, entities, p=1) + 1.25 * width * DIM
    torch.testing.assert_close(scores, expected, rtol=1e-12, atol=1e-12)


@activations
def test_fresh_boxes_are_as_wide_as_stated(activation: str) -> None:
    model = Query2box(400, dim=50, margin=8.0, activation=activation)
    model.initialize(torch.Generator().manual_seed(0))
    widths = model.project(torch.zeros(800, 100), torch.arange(800))[:, 50:]
    assert 0.199 < widths.max() <= 0.2001
    assert 0 <= widths.min() < 0.001
    assert abs(widths.mean() - 0.1) < 0.001
    assert torch.isfinite(model.relations).all()


def test_fresh_layers_have_the_stated_scales() -> None:
    model = Query2box(400, dim=50)
    model.initialize(torch.Generator().manual_seed(0))
    for layer in (model.attention.first, model.attention.second, *model.gate):
        for values, bound in ((layer.weight, sqrt(6 / 100)), (layer.bias, 1 / sqrt(50))):
            assert 0.9 * bound < values.abs().max() <= bound


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"inside": -0.1}, "model.inside is -0.1, and a number from 0 to 1 is needed"),
        ({"inside": 1.5}, "model.inside is 1.5, and a number from 0 to 1 is needed"),
        ({"inside": float("nan")}, "model.inside is nan, and a number from 0 to 1 is needed"),
        ({"activation": "gelu"}, "model.activation is 'gelu', and softplus, relu or none is needed"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        Query2box(RELATIONS, **settings)
    assert str(error.value) == expected
