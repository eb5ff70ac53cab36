"""What holds for every model: each YAML of conf/model is tested, so that a new model brings its tests with it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest
import torch
from every_model import (
    DIM,
    ENTITIES,
    RELATIONS,
    SETTINGS,
    class_of,
    directed_relations,
    each,
    each_side,
    keywords,
    make,
    paths,
    rows,
    small,
)
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels import PairDistance
from graphkit.models import GQE, Asked, BetaE, Embedded, Encoder, Model, Query2box, RotatE, TransE
from graphkit.queries import ONE_HOP


def test_there_is_a_yaml_for_every_public_model() -> None:
    models = import_module("graphkit.models")
    public = {getattr(models, name) for name in models.__all__} - {Asked, Embedded}
    assert {class_of(name) for name in SETTINGS} == {found for found in public if issubclass(found, Model)} - {Model}
    assert public == {found for found in public if issubclass(found, (Model, Encoder))}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_yaml_lists_every_keyword_with_its_default(name: str) -> None:
    listed = {key: value for key, value in SETTINGS[name].items() if key != "_target_"}
    assert listed == keywords(name)
    assert {key: type(value) for key, value in listed.items()} == {
        key: type(value) for key, value in keywords(name).items()
    }


@each
def test_shapes_are_those_of_the_protocol(name: str) -> None:
    model = small(name)
    generator = torch.Generator().manual_seed(0)
    model.initialize(generator)
    table = model.initial_rows(ENTITIES, generator)
    assert (table.dtype, table.shape) == (torch.float32, (ENTITIES, DIM))
    encoded = model.encode(table)
    queries = model.embed(ONE_HOP, encoded[:4].unsqueeze(1), directed_relations(4).unsqueeze(1))
    assert (queries.owners, queries.size) == (None, 4)
    assert queries.vectors.dtype == torch.float32
    assert queries.vectors.shape[0] == 4
    candidates = model.candidates(encoded)
    assert (candidates.dtype, candidates.shape[0]) == (torch.float32, ENTITIES)
    shared = model.score(queries.vectors, candidates)
    own = model.score(queries.vectors, candidates, torch.zeros(4, 5, dtype=torch.int64))
    assert (shared.dtype, shared.shape) == (torch.float32, (4, ENTITIES))
    assert (own.dtype, own.shape) == (torch.float32, (4, 5))
    assert model.relations.shape[0] == model.relation_rows
    assert model.relation_parameters(directed_relations(5)).shape[0] == 5
    assert model.squared_moduli(encoded).shape[0] == ENTITIES


@each
def test_fresh_values_are_finite_not_constant_and_repeat_with_their_seed(name: str) -> None:
    def fresh(seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        model = small(name)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(torch.nan)
        model.initialize(generator)
        return [model.initial_rows(ENTITIES, generator), *(parameter.detach() for parameter in model.parameters())]

    for one, again, other in zip(fresh(0), fresh(0), fresh(1), strict=True):
        assert torch.isfinite(one).all()
        assert one.std() > 0
        assert torch.equal(one, again)
        assert not torch.equal(one, other)


@each_side
def test_own_candidates_that_are_equal_for_all_score_as_shared_ones(name: str, settings: dict[str, Any]) -> None:
    model = make(name, **settings)
    table = model.encode(rows(ENTITIES))
    queries, candidates = paths(model, table[:6]), model.candidates(table)
    own = model.score(queries, candidates, torch.arange(ENTITIES).expand(6, -1))
    torch.testing.assert_close(own, model.score(queries, candidates), rtol=1e-12, atol=1e-12)


@each
def test_own_candidates_score_as_the_same_entities_among_shared_ones(name: str) -> None:
    model = make(name)
    table = model.encode(rows(ENTITIES))
    queries, candidates = paths(model, table[:6]), model.candidates(table)
    places = torch.randint(ENTITIES, (6, 4), generator=torch.Generator().manual_seed(3))
    expected = model.score(queries, candidates).gather(1, places)
    torch.testing.assert_close(model.score(queries, candidates, places), expected, rtol=1e-12, atol=1e-12)


@each
@pytest.mark.parametrize("norm", [1, 2])
def test_scores_that_are_distances_of_pairs_are_those_that_the_model_says(name: str, norm: int) -> None:
    model = small(name, **({"norm": norm} if "norm" in keywords(name) else {}))
    model.initialize(torch.Generator().manual_seed(0))
    distance = model.pair_distance()
    assert distance is None or not model.matrix_product
    if distance is not None:
        encoded = model.encode(rows(ENTITIES).float())
        queries, table = model.project(model.start(encoded[:6]), directed_relations(6)), model.candidates(encoded)
        assert torch.equal(model.score(queries, table), distance.scores(queries, table))


@pytest.mark.parametrize("kind", [TransE, RotatE, Query2box])
def test_a_subclass_with_a_score_of_its_own_has_no_distance_unless_it_says_so(kind: type[Model]) -> None:
    class Own(kind):  # type: ignore[misc, valid-type]
        def score(self, queries: Tensor, candidates: Tensor, places: Tensor | None = None) -> Tensor:
            return 2 * super().score(queries, candidates, places)

    class Said(Own):
        def pair_distance(self) -> PairDistance:
            return PairDistance("l1", 3.0)

    class Same(kind):  # type: ignore[misc, valid-type]
        pass

    assert Own(2, dim=DIM).pair_distance() is None
    assert Said(2, dim=DIM).pair_distance() == PairDistance("l1", 3.0)
    assert Same(2, dim=DIM).pair_distance() == kind(2, dim=DIM).pair_distance() is not None


@pytest.mark.parametrize("kind", [GQE, Query2box, BetaE])
def test_a_subclass_intersects_by_groups_where_its_model_does(kind: type[Model]) -> None:
    class Own(kind):  # type: ignore[misc, valid-type]
        def intersect_groups(self, x: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:
            return 2 * super().intersect_groups(x, groups)

    model, branches = Own(2, dim=DIM), list(torch.rand(3, 4, 2 * DIM if kind is Query2box else DIM))
    model.initialize(torch.Generator().manual_seed(0))
    assert torch.equal(model.intersect(branches), 2 * kind.intersect_groups(model, torch.cat(branches), [(3, 4)]))
    with pytest.raises(GraphkitError) as error:

        class Ignored(kind):  # type: ignore[misc, valid-type]
            def intersect(self, branches: Sequence[Tensor]) -> Tensor:
                return branches[0]

    assert str(error.value) == (
        f"Ignored overrides intersect, but queries are embedded by intersect_groups, which {kind.__name__} has; "
        "override intersect_groups, of which intersect is one group"
    )


@each
def test_each_candidate_is_scored_by_itself(name: str) -> None:
    model = make(name)
    encoded = model.encode(rows(ENTITIES))
    queries, table = paths(model, encoded[:6]), model.candidates(encoded)
    whole = model.score(queries, table)
    order = torch.randperm(ENTITIES, generator=torch.Generator().manual_seed(3))
    reordered = model.score(queries, model.candidates(encoded[order]))
    torch.testing.assert_close(reordered, whole[:, order], rtol=1e-12, atol=1e-12)
    chunks = torch.cat([model.score(queries, table[i : i + 2]) for i in range(0, ENTITIES, 2)], dim=1)
    torch.testing.assert_close(chunks, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(model.score(queries[2:3], table), whole[2:3], rtol=1e-12, atol=1e-12)


@each_side
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_gradients_equal_finite_differences(name: str, settings: dict[str, Any], shared: bool) -> None:
    model = make(name, **settings)
    relations = directed_relations(3)
    encoded = model.encode(rows(5, seed=5))

    def score(anchors: Tensor, entities: Tensor, parameters: Tensor) -> Tensor:
        queries = torch.func.functional_call(_Project(model), {"model.relations": parameters}, (anchors, relations))
        candidates = model.candidates(entities)
        return model.score(queries, candidates, None if shared else torch.tensor([[0, 1], [2, 3], [4, 0]]))

    inputs = (model.encode(rows(3)), encoded, model.relations.detach().clone())
    assert torch.autograd.gradcheck(score, tuple(value.requires_grad_() for value in inputs))


class _Project(torch.nn.Module):
    """Paths of one hop as a forward, so that torch.func can replace parameters."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, relations: Tensor) -> Tensor:
        return self.model.project(self.model.start(x), relations)


@each
def test_gradients_of_encoding_equal_finite_differences(name: str) -> None:
    assert torch.autograd.gradcheck(make(name).encode, rows(3).requires_grad_())


@each
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_gradients_are_finite_where_all_rows_are_equal(name: str, value: float) -> None:
    model = make(name)
    with torch.no_grad():
        model.relations.fill_(value)
    anchors = torch.full((2, DIM), value, dtype=torch.float64, requires_grad=True)
    entities = torch.full((5, DIM), value, dtype=torch.float64, requires_grad=True)
    queries = paths(model, model.encode(anchors))
    candidates = model.candidates(model.encode(entities))
    own = torch.tensor([[0, 1], [2, 3]])
    (model.score(queries, candidates).sum() + model.score(queries, candidates, own).sum()).backward()
    for tensor in (anchors, entities, model.relations):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


@each
def test_a_saved_state_gives_equal_scores(name: str) -> None:
    one, other = make(name, seed=0), make(name, seed=9)
    anchors = one.encode(rows(4))
    assert not torch.equal(paths(one, anchors), paths(other, anchors))
    other.load_state_dict(one.state_dict())
    assert torch.equal(paths(one, anchors), paths(other, anchors))


@each_side
def test_reciprocal_says_whether_inverses_have_parameters_of_their_own(name: str, settings: dict[str, Any]) -> None:
    model, reciprocal = make(name, **settings), settings.get("reciprocal", True)
    assert model.reciprocal == reciprocal
    assert model.relation_rows == len(model.relations) == (2 if reciprocal else 1) * RELATIONS
    forward, inverse = (model.relation_parameters(torch.tensor([4 + side])) for side in (0, 1))
    assert torch.equal(forward, inverse) != reciprocal


@each
def test_scores_under_autocast_stay_close(name: str) -> None:
    model = small(name)
    generator = torch.Generator().manual_seed(0)
    model.initialize(generator)
    encoded = model.encode(model.initial_rows(ENTITIES, generator))
    queries, candidates = paths(model, encoded[:4]), model.candidates(encoded)
    for places in (None, torch.arange(ENTITIES).expand(4, -1)):
        exact = model.score(queries, candidates, places).detach()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = model.score(queries, candidates, places).detach().float()
        torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.02 * float(exact.abs().max()))


@each
@pytest.mark.parametrize("dim", [0, -4])
def test_a_dim_below_one_is_refused(name: str, dim: int) -> None:
    with pytest.raises(GraphkitError) as error:
        class_of(name)(RELATIONS, dim=dim)
    expected = f"model.dim is {dim}, and at least 1 is needed; give the number of reals of an entity row"
    assert str(error.value) == expected


def having(setting: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", [name for name in SETTINGS if setting in keywords(name)])


def fresh(name: str, **settings: Any) -> list[Tensor]:
    """Rows and relations of a larger model; of boxes, how they move."""
    generator = torch.Generator().manual_seed(0)
    model = class_of(name)(400, dim=50, **settings)
    model.initialize(generator)
    return [model.initial_rows(400, generator), model.relations.detach()[:, :50]]


@having("margin")
def test_the_margin_sets_the_scale_of_fresh_values(name: str) -> None:
    coordinates = 25 if name in ("betae", "rotate") else 50
    bound = 10 / coordinates
    for values in fresh(name, margin=8.0):
        assert 0.995 * bound < values.max() <= bound
        assert -bound <= values.min() < -0.995 * bound
        assert abs(values.mean()) < 0.02 * bound


@having("init_scale")
def test_fresh_values_have_the_scale_that_is_set(name: str) -> None:
    for values in fresh(name, init_scale=0.25):
        assert 0.24 < values.std() < 0.26
        assert abs(values.mean()) < 0.01


@having("margin")
@pytest.mark.parametrize("margin", [-2.0, -5.0, float("nan")])
def test_a_margin_without_a_scale_is_refused(name: str, margin: float) -> None:
    with pytest.raises(GraphkitError) as error:
        class_of(name)(RELATIONS, margin=margin)
    assert str(error.value) == f"model.margin is {margin}, and a number above -2 is needed"


@having("init_scale")
@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_is_not_positive_is_refused(name: str, scale: float) -> None:
    with pytest.raises(GraphkitError) as error:
        class_of(name)(RELATIONS, init_scale=scale)
    assert str(error.value) == f"model.init_scale is {scale}, and a number above 0 is needed"


@having("intersection")
def test_an_unknown_intersection_is_refused(name: str) -> None:
    with pytest.raises(GraphkitError) as error:
        class_of(name)(RELATIONS, intersection="attention")
    assert str(error.value) == "model.intersection is 'attention', and deepsets, or null for none, is needed"


@having("intersection")
def test_an_intersection_leaves_all_other_fresh_values_as_they_are(name: str) -> None:
    plain, deep = small(name), small(name, intersection="deepsets")
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    for model, generator in zip((plain, deep), generators, strict=True):
        model.initialize(generator)
    assert dict(plain.named_parameters()).keys() == {"relations"}
    assert torch.equal(plain.relations, deep.relations)
