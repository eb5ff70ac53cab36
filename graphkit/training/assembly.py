"""From a configuration to its objects: graph, model, table, sampler, task and trainer.

The configuration is plain dictionaries, as `config.yaml` holds them; parts with a ``_target_`` name the class that
they are keywords of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from graphkit.engine import EmbeddingTable
from graphkit.errors import GraphkitError, did_you_mean
from graphkit.graph import KnowledgeGraph
from graphkit.models import Model
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training.plan import OPEN_SAMPLER_SETTINGS, OPEN_TRAINER_SETTINGS, complete
from graphkit.training.run import Run
from graphkit.training.task import Task
from graphkit.training.trainer import Schedule, Trainer

#: Whatever a configuration names is called, so it may name only these, unless `allow_targets` says more.
ALLOWED_TARGETS = ("graphkit.", "torch.optim.")

Config = dict[str, Any]


#: What a value in YAML may be for a keyword of each type, and its name; other types are left to their constructors.
_SCALARS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((float, int), "a number"),
    str: ((str,), "a text"),
    Path: ((str,), "a text"),
    NoneType: ((NoneType,), "null"),
}


def build(config: Config, group: str, **extra: Any) -> Any:
    """Calls what the ``_target_`` of a group names, with the group's other keys and `extra` as keywords.

    Args:
        config: the configuration; its ``allow_targets`` are obeyed.
        group: the key of the part, e.g. ``model``.
        extra: keywords that no configuration holds, such as the graph.

    Raises:
        GraphkitError: the target is not allowed or does not exist, or a keyword is unknown, missing or of a wrong type.
    """
    part = config.get(group)
    if not isinstance(part, dict) or "_target_" not in part:
        raise GraphkitError(f"{group} is {_shown(part)}, and a part with a _target_ is needed; choose {group}=NAME")
    name = part["_target_"]
    target = _resolve(name, config.get("allow_targets") or ())
    keywords = {key: value for key, value in part.items() if key != "_target_"}
    signature = inspect.signature(target)
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        hints = _hints(target)
        check_settings(group, keywords, {key: hints.get(key, Any) for key in signature.parameters if key not in extra})
    try:
        signature.bind(**keywords, **extra)
    except TypeError as error:
        raise GraphkitError(f"{group} cannot be made by {name}: {error}; choose another {group} or _target_") from None
    return target(**keywords, **extra)


def check_settings(group: str, settings: Config, hints: Mapping[str, Any]) -> None:
    """Compares the settings of a group with the names and types that it has.

    Raises:
        GraphkitError: a name is unknown, or a scalar is of another type.
    """
    for key, value in settings.items():
        if key not in hints:
            listed = ", ".join(hints) or "none"
            raise GraphkitError(f"{group} has no setting {key!r}{did_you_mean(key, hints)}; settings: {listed}")
        hint = hints[key]
        kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if all(kind in _SCALARS for kind in kinds) and not any(type(value) in _SCALARS[kind][0] for kind in kinds):
            wanted = " or ".join(dict.fromkeys(_SCALARS[kind][1] for kind in kinds))
            raise GraphkitError(f"{group}.{key} is {_shown(value)}, and {wanted} is needed")


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    except NameError:  # names that a class of the user's imports for type checkers only
        return {}


def _shown(value: Any) -> str:
    return "null" if value is None else repr(value)


def _resolve(name: str, allow: Sequence[str]) -> Callable[..., Any]:
    allowed = (*ALLOWED_TARGETS, *allow)
    if not name.startswith(allowed):
        raise GraphkitError(
            f"the target {name} is outside of {', '.join(allowed)}; a configuration can run any code it names, so say "
            f"allow_targets=[{name.split('.')[0]}.] if you trust it"
        )
    parts = name.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            found: Any = import_module(".".join(parts[:split]))
        except ModuleNotFoundError as error:
            if error.name is None or not ".".join(parts[:split]).startswith(error.name):
                raise
            continue
        for part in parts[split:]:
            found = getattr(found, part, None)
        if callable(found):
            return found  # type: ignore[no-any-return]  # callable() has just said so
    raise GraphkitError(f"the target {name} does not exist; check its spelling and that its package is installed")


@dataclass(frozen=True)
class Trained:
    """A trained model, ready to score."""

    run: Run
    config: Config
    graph: KnowledgeGraph
    model: Model
    table: EmbeddingTable
    #: step of the checkpoint that the weights come from
    step: int


def load_graph(config: Config) -> KnowledgeGraph:
    """Returns the graph that the configuration names."""
    graph = build(config, "graph")
    if not isinstance(graph, KnowledgeGraph):
        raise _wrong_kind(config, "graph", "KnowledgeGraph")
    return graph


def load_trained(run: Run, *, graph: KnowledgeGraph | None = None) -> Trained:
    """Loads the best checkpoint of a run.

    Args:
        run: the run.
        graph: its graph, where it is at hand; by default it is loaded as the run's configuration says.

    Raises:
        GraphkitError: no checkpoint, a damaged one, or a graph that is not the run's.
    """
    config = run.config
    graph = load_graph(config) if graph is None else graph
    run.require_graph(graph)
    step = run.best_step()
    weights = run.load_checkpoint(step, only=("weights",))["weights"]
    model = _build_model(config, graph)
    model.load_state_dict(weights["model"])
    return Trained(run, config, graph, model.eval(), EmbeddingTable(weights["entities"]), step)


def assemble(config: Config, graph: KnowledgeGraph) -> tuple[Config, Task, Schedule]:
    """Builds the task of a configuration over its graph.

    Returns:
        The configuration with open settings filled in, the task, and the schedule to train it by.

    Raises:
        GraphkitError: a setting is unknown or out of range.
    """
    model = _build_model(config, graph)
    loss = build(config, "loss")
    _check_plans(config)
    config = complete(config, graph, model, full=loss.full)
    options = {key: value for key, value in config["sampler"].items() if key not in ("threads", "ahead")}
    sampler = QuerySampler(
        graph,
        SamplerOptions(**options, seed=config["seed"]),
        threads=config["sampler"]["threads"],
        ahead=config["sampler"]["ahead"],
    )
    parts = {"model": model, "sampler": sampler, "loss": loss, "optimizer": build(config, "optimizer")}
    task: Task = build(config, "task", graph=graph, seed=config["seed"], **parts)
    return config, task, Schedule(**{key: value for key, value in config["trainer"].items() if key != "max_epochs"})


def start(config: Config, graph: KnowledgeGraph, folder: str | Path, *, overwrite: bool = False) -> Trainer:
    """Makes a new run's folder and the trainer that fills it."""
    config, task, schedule = assemble(config, graph)
    return Trainer(task, Run.create(folder, config, graph, overwrite=overwrite), schedule)


def resume(run: Run, config: Config) -> Trainer:
    """Returns the trainer of an interrupted run, at its newest checkpoint.

    Args:
        run: the run.
        config: its configuration, perhaps with a larger budget.
    """
    graph = load_graph(config)
    run.require_graph(graph)
    config, task, schedule = assemble(config, graph)
    trainer = Trainer(task, run, schedule)
    trainer.resume()
    run.write_config(config)
    return trainer


def _build_model(config: Config, graph: KnowledgeGraph) -> Model:
    model = build(config, "model", num_relations=graph.num_relations)
    if not isinstance(model, Model):
        raise _wrong_kind(config, "model", "Model")
    return model


def _check_plans(config: Config) -> None:
    """Checks the groups without a ``_target_``, in which null leaves a setting to the plan."""
    for group in ("sampler", "trainer"):
        if not isinstance(config[group], dict):
            raise GraphkitError(f"{group} is {_shown(config[group])}, and settings are needed; choose {group}=NAME")
    sampler = {**get_type_hints(SamplerOptions), "threads": int, "ahead": int}
    del sampler["seed"]  # the run's own
    trainer = {**get_type_hints(Schedule), "max_epochs": int | float}
    for hints, open_settings in ((sampler, OPEN_SAMPLER_SETTINGS), (trainer, OPEN_TRAINER_SETTINGS)):
        hints |= {key: hints[key] | None for key in open_settings}
    check_settings("sampler", config["sampler"], sampler)
    check_settings("trainer", config["trainer"], trainer)


def _wrong_kind(config: Config, group: str, kind: str) -> GraphkitError:
    return GraphkitError(f"{group}._target_ is {config[group]['_target_']}, which makes no {kind}; choose {group}=NAME")
