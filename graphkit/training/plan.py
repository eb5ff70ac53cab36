"""The settings that a user left open, decided from the size of the graph, so that a run repeats.

Costs are counted in floating-point operations, never in minutes: the same graph gives the same plan on any machine,
but for the number of threads, which are at most the processors at hand.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.models import Model
from graphkit.queries import ONE_HOP
from graphkit.queries import structures as parse_structures

#: Work that a run without a budget may cost: some 10 to 15 minutes on two cores, which reach 30 to 60 GFLOP/s with
#: the passes over the logits included.
WORK_FLOP = 3e13
#: A loss over all entities is taken where the work allows at least so many epochs of it.
FULL_EPOCHS = 3
#: More epochs than this are left to the user: early stopping ends most runs before.
MOST_EPOCHS = 200
#: Steps of a run on a graph so small that its epochs are a few batches.
LEAST_STEPS = 2000
#: Candidates that share a batch where scoring all entities is too much.
SHARED_CANDIDATES = 2048
#: Negatives of a query where each has its own.
OWN_NEGATIVES = 128
#: Epochs longer than that are validated within.
VALIDATION_STEPS = 1000
#: What a distance costs, in time, against a product of the same width: it has no fast matrix form.
DISTANCE_COST = 15
#: Checkpoints and log entries are no further apart than that many steps, however long an epoch is.
CHECKPOINT_STEPS = 2000
LOG_STEPS = 500
#: A step below this work is left to one thread: sharing it out gains little, and on busy cores it waits for the other.
ONE_THREAD_FLOP = 1e9
#: Validations in a run whose epochs are shorter than that.
VALIDATIONS = 20

#: Settings that may be null in a configuration; `complete` fills them in.
OPEN_SAMPLER_SETTINGS = ("structures", "mode", "batch_size", "negatives")
OPEN_TRAINER_SETTINGS = ("max_steps", "max_epochs", "validate_every", "checkpoint_every", "log_every", "threads")


@dataclass(frozen=True)
class Plan:
    """How a graph is trained on: what was given, and what was decided."""

    mode: str
    batch_size: int
    negatives: int
    epochs: int
    #: operations of a step
    step_flop: float


def make_plan(
    graph: KnowledgeGraph,
    model: Model,
    *,
    full: bool,
    mode: str | None = None,
    batch_size: int | None = None,
    negatives: int | None = None,
) -> Plan:
    """Chooses what is not given of negatives and batch size, and then the number of epochs.

    Args:
        graph: its numbers of entities and edges decide.
        model: its width, and whether it scores by matrix products.
        full: whether the loss can be taken over all entities.
        mode: of the sampler, where given.
        batch_size: where given.
        negatives: where given.
    """
    queries = 2 * graph.num_edges
    # Six operations a real: a product forward, and two backward.
    per_candidate = 6.0 * model.dim * (1 if model.matrix_product else DISTANCE_COST)
    if mode is None:
        affordable = WORK_FLOP / (per_candidate * queries * graph.num_entities) >= FULL_EPOCHS
        mode = "none" if full and model.matrix_product and affordable else "shared"
    if batch_size is None:
        batch_size = min(1024, max(64, 2 ** round(math.log2(max(queries, 2) / 128))))
    if negatives is None:
        most = {"none": 0, "own": OWN_NEGATIVES, "shared": SHARED_CANDIDATES}
        negatives = min(most.get(mode, 0), graph.num_entities)  # an unknown mode is the sampler's to refuse
    candidates = graph.num_entities if mode == "none" else max(negatives, 1)  # so is a number below
    per_query = per_candidate * candidates + 3 * model.embedding_flop
    epochs = min(MOST_EPOCHS, int(WORK_FLOP / (per_query * queries)))
    least = math.ceil(LEAST_STEPS * 64 / queries) if queries < LEAST_STEPS * 64 else 1
    return Plan(mode, batch_size, negatives, max(least, epochs), per_query * batch_size)


def complete(
    config: dict[str, Any], graph: KnowledgeGraph, model: Model, *, full: bool, structures: str
) -> dict[str, Any]:
    """Returns the configuration with every open (null) setting of task, sampler and trainer filled in.

    Args:
        config: the configuration.
        graph: its numbers of entities and edges decide.
        model: its width, and whether it scores by matrix products.
        full: whether the loss can be taken over all entities.
        structures: what the task trains on, where nothing is given.

    Raises:
        GraphkitError: the budget or the batch size is not positive, or a structure is unknown.
    """
    structures = config["sampler"]["structures"] or structures
    # Over all entities, the other answers of a query count as negatives: few for one hop, too many for several.
    full = full and set(parse_structures(structures)) == {ONE_HOP}
    given = {key: config["sampler"][key] for key in ("mode", "batch_size", "negatives")}
    if given["mode"] is None:
        given["mode"] = _mode_of(config["sampler"])
    if given["batch_size"] is not None and given["batch_size"] < 1:
        raise GraphkitError(f"sampler.batch_size is {given['batch_size']}, and at least 1 is needed")
    plan = make_plan(graph, model, full=full, **given)
    sampler = {**config["sampler"], "structures": structures, **{key: getattr(plan, key) for key in given}}
    trainer = {**config["trainer"], **_schedule(config["trainer"], graph, plan)}
    if trainer["threads"] is None:
        trainer["threads"] = 1 if plan.step_flop < ONE_THREAD_FLOP else len(os.sched_getaffinity(0))
    return {**config, "sampler": sampler, "trainer": trainer}


def _mode_of(sampler: dict[str, Any]) -> str | None:
    """Returns the mode that other settings of the sampler ask for; None = any."""
    corruption = sampler.get("corruption", "uniform")  # runs that are older than the setting have none
    if corruption == "typed":
        return "own"
    return "shared" if sampler.get("chunks", 1) != 1 or corruption != "uniform" else None


def _schedule(trainer: dict[str, Any], graph: KnowledgeGraph, plan: Plan) -> dict[str, int]:
    """Returns the keys of `Schedule` that the configuration leaves open, as steps."""
    for name in ("max_steps", "max_epochs"):
        if trainer[name] is not None and trainer[name] <= 0:
            raise GraphkitError(f"trainer.{name} is {trainer[name]}, and a number above 0 is needed")
    epochs = plan.epochs if trainer["max_epochs"] is None else trainer["max_epochs"]
    given = {key: value for key, value in trainer.items() if value is not None}
    steps = given.get("max_steps", math.ceil(epochs * 2 * graph.num_edges / plan.batch_size))
    # An epoch apart, so that a small graph is not validated after every batch; but not a long one.
    epoch = min(math.ceil(2 * graph.num_edges / plan.batch_size), VALIDATION_STEPS, steps)
    validate_every = given.get("validate_every", max(epoch, math.ceil(steps / VALIDATIONS)))
    often = max(1, validate_every)
    return {
        "max_steps": steps,
        "validate_every": validate_every,
        "checkpoint_every": given.get("checkpoint_every", min(often, CHECKPOINT_STEPS)),
        "log_every": given.get("log_every", min(max(1, often // 4), LOG_STEPS)),
    }
