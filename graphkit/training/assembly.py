"""From a configuration to its objects: graph, model, table, sampler, task and trainer.

The configuration is plain dictionaries, as `config.yaml` holds them; parts with a ``_target_`` name the class that
they are keywords of.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from graphkit.engine import CPU, EmbeddingTable, Engine, RowOptimizer
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.losses import ContrastiveLoss, Loss
from graphkit.models import Encoder, Model
from graphkit.queries import ONE_HOP
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training.plan import OPEN_SAMPLER_SETTINGS, OPEN_TRAINER_SETTINGS, complete
from graphkit.training.run import Run
from graphkit.training.targets import Config, build, check_settings, find_target, made_kind, named_target, shown
from graphkit.training.task import AssemblesItself, ChoosesStructures, Task, TrainedGraph
from graphkit.training.trainer import Schedule, Trainer


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


#: What trains on a graph, by the name of its class; `graph` and the kind that is wanted are to be filled in.
_TRAINED_BY = {
    "KnowledgeGraph": "task=links and task=queries train on it, so choose one of them, or a graph that is a {kind}",
    "NodeGraph": "graphkit train experiment=structcomp graph={graph} trains on it",
}


def load_graph(config: Config) -> Any:
    """Returns the graph that the configuration names, of the kind that its task is trained on.

    Raises:
        GraphkitError: the graph is of another kind, or cannot be made.
    """
    kind, made = graph_kind(config), made_kind(named_target(config, "graph"))
    if made is not None and not issubclass(made, kind) and made.__name__ in _TRAINED_BY:
        part = config["graph"]
        known = _TRAINED_BY[made.__name__].format(
            graph=part.get("name") or part.get("path") or "NAME", kind=kind.__name__
        )
        raise GraphkitError(
            f"graph._target_ is {part['_target_']}, which makes a {made.__name__}, and the task "
            f"{config['task']['_target_']} is trained on a {kind.__name__}; {known}"
        )
    return build(config, "graph", kind)


def graph_kind(config: Config) -> type:
    """Returns the class of graph that the task of a configuration is trained on."""
    task = find_target(config, "task", Task)
    return task.graph_kind if isinstance(task, AssemblesItself) else KnowledgeGraph


def run_config(run: Run, allow_targets: Sequence[str] = ()) -> Config:
    """Returns a run's configuration, to build its objects from.

    Args:
        run: the run; what its own configuration allows does not count, since the folder may be somebody else's.
        allow_targets: prefixes that a ``_target_`` may have beside ``graphkit.``.

    Raises:
        GraphkitError: the run has no configuration.
    """
    config = run.config
    if "model" not in config:
        raise GraphkitError(
            f"the run {run.folder} was made by the library without a configuration; answer with its task "
            "(graphkit.answer), or train with graphkit train"
        )
    return {**config, "allow_targets": list(allow_targets)}


def load_trained(run: Run, *, graph: KnowledgeGraph | None = None, config: Config | None = None) -> Trained:
    """Loads the best checkpoint of a run.

    Args:
        run: the run.
        graph: its graph, where it is at hand; by default it is loaded as the configuration says.
        config: what `run_config` returned, perhaps with changes.

    Raises:
        GraphkitError: no checkpoint, a damaged one, a graph that is not the run's, or a run of a task that answers no
            questions.
    """
    config = run_config(run) if config is None else config
    # What the graph is tells: the task may be a class of the user's, which answering needs nothing of.
    kind = made_kind(named_target(config, "graph")) if graph is None else type(graph)
    if kind is not None and not issubclass(kind, KnowledgeGraph):
        raise GraphkitError(
            f"the run {run.folder} is one of the task {config['task']['_target_']} on a {kind.__name__}, and answers "
            f"and ranks come from runs on a KnowledgeGraph; graphkit report {run.folder} shows what it measured"
        )
    graph = build(config, "graph", KnowledgeGraph) if graph is None else graph
    run.require_graph(graph)
    step = run.best_step()
    weights = run.load_checkpoint(step, only=("weights",))["weights"]
    model = _build_model(config, graph)
    model.load_state_dict(weights["model"])
    return Trained(run, config, graph, model.eval(), EmbeddingTable(weights["entities"]), step)


def assemble(config: Config, graph: TrainedGraph) -> tuple[Config, Task, Schedule]:
    """Builds the task of a configuration over its graph.

    Returns:
        The configuration with open settings filled in, the task, and the schedule to train it by.

    Raises:
        GraphkitError: a setting is unknown or out of range, parts do not go together, or the engine finds no device.
    """
    kind: Any = find_target(config, "task", Task)
    task: Task
    if isinstance(kind, AssemblesItself):
        config, task = kind.assemble(config, graph)
    else:
        assert isinstance(graph, KnowledgeGraph)  # as `load_graph` has it
        config, task = _assemble_embedding(config, graph)
    settings = {field.name for field in fields(Schedule)}
    return config, task, Schedule(**{key: value for key, value in config["trainer"].items() if key in settings})


def _assemble_embedding(config: Config, graph: KnowledgeGraph) -> tuple[Config, Task]:
    """Builds a task of query embeddings."""
    engine = _engine(config)
    model = _build_model(config, graph)
    loss = build(config, "loss", Loss, advice=_advice(config, "loss"))  # type: ignore[type-abstract]
    _check_plans(config)
    config = complete(config, graph, model, full=loss.full, structures=_default_structures(config, model))
    options = {key: value for key, value in config["sampler"].items() if key not in ("threads", "ahead")}
    sampler = QuerySampler(
        graph,
        SamplerOptions(**options, seed=config["seed"]),
        threads=config["sampler"]["threads"],
        ahead=config["sampler"]["ahead"],
    )
    optimizer = build(config, "optimizer", RowOptimizer)  # type: ignore[type-abstract]
    parts: dict[str, Any] = {"model": model, "sampler": sampler, "loss": loss, "optimizer": optimizer, **engine}
    task = build(config, "task", Task, graph=graph, seed=config["seed"], **parts)  # type: ignore[type-abstract]
    return config, task


def start(config: Config, graph: TrainedGraph, folder: str | Path, *, overwrite: bool = False) -> Trainer:
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
    advice = _advice(config, "model")
    return build(config, "model", Model, num_relations=graph.num_relations, advice=advice)  # type: ignore[type-abstract]


def _advice(config: Config, group: str) -> str | None:
    """Returns what to do with a part that is for graphs of nodes, where one for knowledge graphs is needed."""
    made = made_kind(named_target(config, group))
    of_nodes = made is not None and issubclass(made, Encoder | ContrastiveLoss)
    return "it is for graphs of nodes, which experiment=structcomp trains on" if of_nodes else None


def _engine(config: Config) -> dict[str, Engine]:
    """Returns the engine, as a keyword for the task, if it is not the one that tasks have by themselves.

    Runs from before there were engines have none in their configuration.
    """
    if "engine" not in config:
        return {}
    engine = build(config, "engine", Engine)  # type: ignore[type-abstract]
    if isinstance(engine, CPU):
        return {}
    if "engine" not in inspect.signature(find_target(config, "task", Task)).parameters:
        name = config["task"]["_target_"]
        raise GraphkitError(f"the task {name} takes no engine, and computes on the CPU; choose engine=cpu")
    return {"engine": engine}


def _default_structures(config: Config, model: Model) -> str:
    """Returns what the task trains on where nothing is said."""
    task = find_target(config, "task", Task)
    return task.default_structures(model) if isinstance(task, ChoosesStructures) else ONE_HOP.name


def _check_plans(config: Config) -> None:
    """Checks the groups without a ``_target_``, in which null leaves a setting to the plan."""
    for group in ("sampler", "trainer"):
        if not isinstance(config[group], dict):
            raise GraphkitError(f"{group} is {shown(config[group])}, and settings are needed; choose {group}=NAME")
    if "drop_rate" in config["sampler"] or "form" in config["trainer"]:
        raise GraphkitError(
            f"sampler or trainer is a choice for graphs of nodes, and the task {config['task']['_target_']} is trained "
            "on a KnowledgeGraph; it goes with sampler=auto, one_vs_all, own or shared, and trainer=default"
        )
    sampler = {**get_type_hints(SamplerOptions), "threads": int, "ahead": int}
    del sampler["seed"]  # the run's own
    trainer = {**get_type_hints(Schedule), "max_epochs": int | float}
    for hints, open_settings in ((sampler, OPEN_SAMPLER_SETTINGS), (trainer, OPEN_TRAINER_SETTINGS)):
        hints |= {key: hints[key] | None for key in open_settings}
    check_settings("sampler", config["sampler"], sampler)
    check_settings("trainer", config["trainer"], trainer)
