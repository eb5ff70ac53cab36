"""The models that the shared tests run over: one for each YAML of conf/model that makes one, and forms of settings.

Other YAMLs there make encoders of nodes, which test_encoders.py runs over.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from graphkit.models import Model

CONF = Path(__file__).parents[1] / "conf" / "model"


def target(settings: dict[str, Any]) -> type[Any]:
    module, _, attribute = settings["_target_"].rpartition(".")
    found: type[Any] = getattr(import_module(module), attribute)
    return found


def settings_of(kind: type[Any]) -> dict[str, dict[str, Any]]:
    """The YAMLs that make this kind of model."""
    loaded = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml"))}
    return {name: settings for name, settings in loaded.items() if issubclass(target(settings), kind)}


SETTINGS = settings_of(Model)
#: The same, and what else a setting makes of them.
FORMS: dict[str, dict[str, Any]] = {
    **SETTINGS,
    **{
        f"{name}-deepsets": {**settings, "intersection": "deepsets"}
        for name, settings in SETTINGS.items()
        if "intersection" in settings
    },
    **{
        f"query2box-{activation}": {**SETTINGS["query2box"], "activation": activation}
        for activation in ("relu", "none")
    },
}

RELATIONS, ENTITIES, DIM = 3, 9, 8
#: What keeps tests fast, where a model has such a setting.
SMALL = {"dim": DIM, "hidden": 16}


def class_of(name: str) -> type[Model]:
    return target(FORMS[name])


def keywords(name: str) -> dict[str, Any]:
    """The keywords of a model's constructor, with their defaults."""
    return {
        key: parameter.default
        for key, parameter in inspect.signature(class_of(name)).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def small(name: str, **settings: Any) -> Model:
    own = {key: SMALL.get(key, value) for key, value in FORMS[name].items() if key != "_target_"}
    return class_of(name)(RELATIONS, **{**own, **settings})


def make(name: str, *, seed: int = 0, **settings: Any) -> Model:
    """A model of float64 with relations of ordinary size, whatever its own scale."""
    model = small(name, **settings).double()
    generator = torch.Generator().manual_seed(seed)
    model.initialize(generator)
    with torch.no_grad():
        model.relations.copy_(torch.randn(model.relations.shape, generator=generator))
    return model


def rows(count: int, *, seed: int = 1) -> Tensor:
    return torch.randn(count, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def paths(model: Model, encoded: Tensor) -> Tensor:
    """Queries of one hop, from each entity by a relation of its own."""
    return model.project(model.start(encoded), directed_relations(len(encoded)))


def directed_relations(count: int) -> Tensor:
    return torch.arange(count) % (2 * RELATIONS)


each = pytest.mark.parametrize("name", FORMS)
#: with and without parameters of their own for inverses, where a model leaves the choice
each_side = pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param(name, settings, id="-".join([name, *map(str, settings.values())]))
        for name in FORMS
        for settings in ([{"reciprocal": True}, {"reciprocal": False}] if "reciprocal" in keywords(name) else [{}])
    ],
)
