"""From a configuration to its objects: graph, model, table, sampler, task and trainer.

The configuration is plain dictionaries, as `config.yaml` holds them; parts with a ``_target_`` name the class that
they are keywords of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any

from graphkit.engine import EmbeddingTable
from graphkit.errors import GraphkitError, did_you_mean
from graphkit.graph import KnowledgeGraph
from graphkit.models import Model
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training.plan import complete
from graphkit.training.run import Run
from graphkit.training.task import Task
from graphkit.training.trainer import Schedule, Trainer

#: Whatever a configuration names is called, so it may name only these, unless `allow_targets` says more.
ALLOWED_TARGETS = ("graphkit.", "torch.optim.")

Config = dict[str, Any]


def build(part: Config, allow: Sequence[str] = (), **extra: Any) -> Any:
    """Calls what the ``_target_`` of a part names, with the part's other keys and `extra` as keywords.

    Raises:
        GraphkitError: the target is not allowed or does not exist, or a keyword is none of its own.
    """
    target = _resolve(part["_target_"], allow)
    keywords = {key: value for key, value in part.items() if key != "_target_"}
    accepted = list(inspect.signature(target).parameters)
    for key in keywords:
        if key not in accepted:
            raise GraphkitError(
                f"{part['_target_']} has no setting {key!r}{did_you_mean(key, accepted)}; it has {', '.join(accepted)}"
            )
    return target(**keywords, **extra)


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
    graph = build(config["graph"], config.get("allow_targets") or ())
    assert isinstance(graph, KnowledgeGraph)  # conf/graph holds nothing else
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
    allow = config.get("allow_targets") or ()
    model = _build_model(config, graph)
    loss = build(config["loss"], allow)
    config = complete(config, graph, model, full=loss.full)
    options = {key: value for key, value in config["sampler"].items() if key not in ("threads", "ahead")}
    sampler = QuerySampler(
        graph,
        SamplerOptions(**options, seed=config["seed"]),
        threads=config["sampler"]["threads"],
        ahead=config["sampler"]["ahead"],
    )
    parts = {"model": model, "sampler": sampler, "loss": loss, "optimizer": build(config["optimizer"], allow)}
    task: Task = build(config["task"], allow, graph=graph, seed=config["seed"], **parts)
    names = {field.name for field in fields(Schedule)}
    return config, task, Schedule(**{key: value for key, value in config["trainer"].items() if key in names})


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
    model = build(config["model"], config.get("allow_targets") or (), num_relations=graph.num_relations)
    assert isinstance(model, Model)  # conf/model holds nothing else
    return model
