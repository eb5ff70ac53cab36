"""The settings that a user left open, decided from the size of the graph alone, so that a run repeats.

Costs are counted in floating-point operations, never in minutes: the same graph gives the same plan on any machine.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.models import Model

#: Work that a run without a budget may cost: some 10 to 15 minutes on two cores, which reach 50 to 75 GFLOP/s with
#: the passes over the logits included.
WORK_FLOP = 4.5e13
#: A loss over all entities is taken where the work allows at least so many epochs of it.
FULL_EPOCHS = 5
#: More epochs than this are left to the user: early stopping ends most runs before.
MOST_EPOCHS = 200
#: Steps of a run on a graph so small that its epochs are a few batches.
LEAST_STEPS = 2000
#: Candidates that share a batch where scoring all entities is too much.
SHARED_CANDIDATES = 2048
#: A step below this work is quicker on one thread: handing parts of it to another costs more than it saves.
ONE_THREAD_FLOP = 1e9
#: Validations in a run whose epochs are shorter than that.
VALIDATIONS = 20

#: Settings that may be null in a configuration; `complete` fills them in.
OPEN_SAMPLER_SETTINGS = ("mode", "batch_size", "negatives")
OPEN_TRAINER_SETTINGS = ("max_steps", "max_epochs", "validate_every", "checkpoint_every", "log_every", "threads")


@dataclass(frozen=True)
class Plan:
    """How a graph is trained on where nothing is said."""

    mode: str
    batch_size: int
    negatives: int
    epochs: int


def make_plan(graph: KnowledgeGraph, model: Model, *, full: bool) -> Plan:
    """Chooses negatives, batch size and epochs.

    Args:
        graph: its numbers of entities and edges decide.
        model: its width, and whether it scores by matrix products.
        full: whether the loss can be taken over all entities.
    """
    queries = 2 * graph.num_edges
    # Six operations a real: a product forward, and two backward.
    per_candidate = 6.0 * model.dim * queries
    full_epochs = WORK_FLOP / (per_candidate * graph.num_entities)
    least_epochs = math.ceil(LEAST_STEPS * 64 / queries)
    batch_size = min(1024, max(64, 2 ** round(math.log2(max(queries, 2) / 128))))
    if full and model.dot_product and full_epochs >= FULL_EPOCHS:
        return Plan("none", batch_size, 0, max(least_epochs, min(MOST_EPOCHS, int(full_epochs))))
    candidates = min(SHARED_CANDIDATES, graph.num_entities)
    epochs = min(MOST_EPOCHS, max(1, int(WORK_FLOP / (per_candidate * candidates))))
    return Plan("shared", batch_size, candidates, max(least_epochs, epochs))


def complete(config: dict[str, Any], graph: KnowledgeGraph, model: Model, *, full: bool) -> dict[str, Any]:
    """Returns the configuration with every open (null) setting of sampler and trainer filled in.

    Raises:
        GraphkitError: the budget or the batch size is not positive.
    """
    plan = make_plan(graph, model, full=full)
    sampler, trainer = dict(config["sampler"]), dict(config["trainer"])
    if sampler["mode"] is None:
        sampler["mode"] = plan.mode
    if sampler["batch_size"] is None:
        sampler["batch_size"] = plan.batch_size
    if sampler["negatives"] is None:
        sampler["negatives"] = (
            0 if sampler["mode"] == "none" else plan.negatives or min(SHARED_CANDIDATES, graph.num_entities)
        )
    trainer |= _schedule(trainer, sampler["batch_size"], graph, plan)
    if trainer["threads"] is None:
        candidates = graph.num_entities if sampler["mode"] == "none" else sampler["negatives"]
        work = 6.0 * model.dim * sampler["batch_size"] * candidates
        trainer["threads"] = 1 if work < ONE_THREAD_FLOP else (os.cpu_count() or 1)
    return {**config, "sampler": sampler, "trainer": trainer}


def _schedule(trainer: dict[str, Any], batch_size: int, graph: KnowledgeGraph, plan: Plan) -> dict[str, int]:
    """Returns the keys of `Schedule` that the configuration leaves open, as steps."""
    steps, epochs = trainer["max_steps"], trainer["max_epochs"]
    for name in ("max_steps", "max_epochs"):
        if trainer[name] is not None and trainer[name] <= 0:
            raise GraphkitError(f"trainer.{name} is {trainer[name]}, and a number above 0 is needed")
    if batch_size < 1:
        raise GraphkitError(f"sampler.batch_size is {batch_size}, and at least 1 is needed")
    per_epoch = 2 * graph.num_edges / batch_size
    if steps is None:
        steps = math.ceil((plan.epochs if epochs is None else epochs) * per_epoch)
    validate_every = trainer["validate_every"]
    if validate_every is None:
        validate_every = min(steps, max(math.ceil(per_epoch), math.ceil(steps / VALIDATIONS)))
    checkpoint_every = trainer["checkpoint_every"]
    if checkpoint_every is None:
        checkpoint_every = max(1, validate_every)
    log_every = trainer["log_every"]
    if log_every is None:
        log_every = max(1, validate_every // 4)
    return {
        "max_steps": steps,
        "validate_every": validate_every,
        "checkpoint_every": checkpoint_every,
        "log_every": log_every,
    }
