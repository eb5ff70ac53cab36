"""What holds for every model: each YAML of conf/model is tested, so that a new model brings its tests with it."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from graphkit import GraphkitError
from graphkit.models import Model
from graphkit.queries import ONE_HOP, STRUCTURES

CONF = Path(__file__).parents[2] / "conf" / "model"
SETTINGS: dict[str, dict[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml"))
}

RELATIONS, ENTITIES, DIM = 3, 9, 8

each = pytest.mark.parametrize("name", SETTINGS)


def class_of(name: str) -> type[Model]:
    module, _, attribute = SETTINGS[name]["_target_"].rpartition(".")
    found: type[Model] = getattr(import_module(module), attribute)
    return found


def make(name: str, *, seed: int = 0, **settings: Any) -> Model:
    """A model of float64 with values of ordinary size, whatever its own scale."""
    model = class_of(name)(RELATIONS, **{"dim": DIM, **settings}).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def rows(count: int, *, seed: int = 1) -> Tensor:
    return torch.randn(count, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def directed_relations(count: int) -> Tensor:
    return torch.arange(count) % (2 * RELATIONS)


def test_there_is_a_yaml_for_every_public_model() -> None:
    models = import_module("graphkit.models")
    public = {getattr(models, name) for name in models.__all__} - {Model}
    assert {class_of(name) for name in SETTINGS} == public


@each
def test_the_yaml_lists_every_keyword_with_its_default(name: str) -> None:
    keywords = {
        key: parameter.default
        for key, parameter in inspect.signature(class_of(name)).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    listed = {key: value for key, value in SETTINGS[name].items() if key != "_target_"}
    assert listed == keywords
    assert {key: type(value) for key, value in listed.items()} == {key: type(value) for key, value in keywords.items()}


@each
def test_shapes_are_those_of_the_protocol(name: str) -> None:
    model = class_of(name)(RELATIONS, dim=DIM)
    generator = torch.Generator().manual_seed(0)
    model.initialize(generator)
    table = model.initial_rows(ENTITIES, generator)
    assert (table.dtype, table.shape) == (torch.float32, (ENTITIES, DIM))
    candidates = model.encode(table)
    queries = model.embed(ONE_HOP, candidates[:4].unsqueeze(1), directed_relations(4).unsqueeze(1))
    assert queries.shape == (4, candidates.shape[1])
    assert model.score(queries, candidates).shape == (4, ENTITIES)
    assert model.score(queries, candidates[torch.zeros(4, 5, dtype=torch.int64)]).shape == (4, 5)
    assert model.relations.shape[0] == model.relation_rows
    assert model.relation_parameters(directed_relations(5)).shape[0] == 5
    assert model.squared_moduli(table).shape[0] == ENTITIES


@each
def test_fresh_values_are_finite_not_constant_and_repeat_with_their_seed(name: str) -> None:
    def fresh(seed: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        model = class_of(name)(RELATIONS, dim=DIM)
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


@each
@pytest.mark.parametrize("reciprocal", [True, False])
def test_own_candidates_that_are_equal_for_all_score_as_shared_ones(name: str, reciprocal: bool) -> None:
    model, table = make(name, reciprocal=reciprocal), rows(ENTITIES)
    queries = model.project(table[:6], directed_relations(6))
    own = model.score(queries, table.expand(6, ENTITIES, DIM))
    torch.testing.assert_close(own, model.score(queries, table), rtol=1e-12, atol=1e-12)


@each
def test_each_candidate_is_scored_by_itself(name: str) -> None:
    model, table = make(name), rows(ENTITIES)
    queries = model.project(table[:6], directed_relations(6))
    whole = model.score(queries, table)
    order = torch.randperm(ENTITIES, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(model.score(queries, table[order]), whole[:, order], rtol=1e-12, atol=1e-12)
    chunks = torch.cat([model.score(queries, table[i : i + 2]) for i in range(0, ENTITIES, 2)], dim=1)
    torch.testing.assert_close(chunks, whole, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(model.score(queries[2:3], table), whole[2:3], rtol=1e-12, atol=1e-12)


@each
def test_embedding_a_one_hop_query_is_projecting_its_anchor(name: str) -> None:
    model, anchors, relations = make(name), rows(4), directed_relations(4)
    embedded = model.embed(ONE_HOP, anchors.unsqueeze(1), relations.unsqueeze(1))
    assert torch.equal(embedded, model.project(model.encode(anchors), relations))


@each
@pytest.mark.parametrize("reciprocal", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_gradients_equal_finite_differences(name: str, reciprocal: bool, shared: bool) -> None:
    model = make(name, reciprocal=reciprocal)
    relations = directed_relations(3)
    candidates = rows(4, seed=5) if shared else rows(6, seed=5).reshape(3, 2, DIM)

    def score(anchors: Tensor, candidates: Tensor, parameters: Tensor) -> Tensor:
        moved = {"relations": parameters}
        queries = torch.func.functional_call(
            _Project(model), {f"model.{k}": v for k, v in moved.items()}, (anchors, relations)
        )
        return model.score(queries, candidates)

    inputs = (rows(3), candidates, model.relations.detach().clone())
    assert torch.autograd.gradcheck(score, tuple(value.requires_grad_() for value in inputs))


class _Project(torch.nn.Module):
    """`Model.project` as a forward, so that torch.func can replace parameters."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, relations: Tensor) -> Tensor:
        return self.model.project(x, relations)


@each
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_gradients_are_finite_where_all_rows_are_equal(name: str, value: float) -> None:
    model = make(name)
    with torch.no_grad():
        model.relations.fill_(value)
    anchors = torch.full((2, DIM), value, dtype=torch.float64, requires_grad=True)
    candidates = torch.full((5, DIM), value, dtype=torch.float64, requires_grad=True)
    queries = model.project(anchors, torch.tensor([0, 1]))
    (model.score(queries, candidates).sum() + model.score(queries, candidates[:4].reshape(2, 2, DIM)).sum()).backward()
    for tensor in (anchors, candidates, model.relations):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


@each
def test_a_saved_state_gives_equal_scores(name: str) -> None:
    one, other = make(name, seed=0), make(name, seed=9)
    queries = [model.project(rows(4), directed_relations(4)) for model in (one, other)]
    assert not torch.equal(*queries)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.project(rows(4), directed_relations(4)), other.project(rows(4), directed_relations(4)))


@each
@pytest.mark.parametrize("reciprocal", [True, False])
def test_reciprocal_says_whether_inverses_have_parameters_of_their_own(name: str, reciprocal: bool) -> None:
    model = make(name, reciprocal=reciprocal)
    assert model.relation_rows == len(model.relations) == (2 if reciprocal else 1) * RELATIONS
    forward, inverse = (model.relation_parameters(torch.tensor([4 + side])) for side in (0, 1))
    assert torch.equal(forward, inverse) != reciprocal


@each
@pytest.mark.parametrize("dim", [0, -4])
def test_a_dim_below_one_is_refused(name: str, dim: int) -> None:
    with pytest.raises(GraphkitError) as error:
        class_of(name)(RELATIONS, dim=dim)
    expected = f"model.dim is {dim}, and at least 1 is needed; give the number of reals of an entity row"
    assert str(error.value) == expected


@each
def test_a_structure_that_a_model_cannot_embed_is_refused(name: str) -> None:
    with pytest.raises(GraphkitError) as error:
        make(name).embed(STRUCTURES["2p"], rows(2).unsqueeze(1), torch.zeros(2, 2, dtype=torch.int64))
    assert str(error.value) == f"{class_of(name).__name__} embeds 1p queries only, and got 2p"
