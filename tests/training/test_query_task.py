"""The task of multi-hop queries: it trains every kind of segment, judges by hard answers, and goes on bit-equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from strategies import random_graph

from graphkit.checkpoint import load_checkpoint, save_checkpoint
from graphkit.engine import Adagrad, Adam
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.losses import LogSigmoid, Softmax
from graphkit.models import GQE, BetaE, ComplEx, Model, TransE
from graphkit.queries import STRUCTURES
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training import QueryTask, Run, Schedule, Trainer

MODELS = {
    "gqe": lambda: GQE(4, dim=8, margin=3.0),
    "betae": lambda: BetaE(4, dim=8, margin=3.0, hidden=8),
}
ALL_OF_BETAE = " ".join(STRUCTURES)
WITHOUT_NEGATION = " ".join(name for name, structure in STRUCTURES.items() if not structure.negated)


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return random_graph(40, 4, 200, held_out=25)


def make_task(graph: KnowledgeGraph, model: str, mode: str = "shared", **options: object) -> QueryTask:
    structures = ALL_OF_BETAE if model == "betae" else WITHOUT_NEGATION
    negatives = 0 if mode == "none" else 12
    sampling = SamplerOptions(structures=structures, batch_size=42, mode=mode, negatives=negatives, seed=5)  # type: ignore[arg-type]
    built: Model = MODELS[model]()
    return QueryTask(graph, built, seed=3, sampler=QuerySampler(graph, sampling), **options)  # type: ignore[arg-type]


def run_steps(task: QueryTask, steps: int) -> list[float]:
    batches = task.batches()
    losses = [task.step(next(batches))["loss"] for _ in range(steps)]
    task.close()
    return losses


@pytest.mark.parametrize("mode", ["none", "own", "shared"])
@pytest.mark.parametrize("model", MODELS)
def test_the_loss_falls_on_all_structures_that_the_model_embeds(graph: KnowledgeGraph, model: str, mode: str) -> None:
    losses = run_steps(make_task(graph, model, mode, optimizer=Adam(lr=0.05)), 80)
    assert np.mean(losses[-10:]) < 0.95 * np.mean(losses[:5])


@pytest.mark.parametrize("model", MODELS)
def test_a_step_updates_rows_and_parameters_as_one_graph_of_gradients_would(graph: KnowledgeGraph, model: str) -> None:
    """The task differentiates scores apart from embeddings; this does all at once, query by query."""
    task = make_task(graph, model, optimizer=Adagrad(lr=0.1), weighting="answers")
    batch = next(task.sampler)
    rows = task.table.weight.clone().requires_grad_()
    encoded = task.model.encode(rows)
    weights = (4 + batch.answer_counts).float().rsqrt()
    total = torch.zeros(())
    for segment in batch.segments:
        for lane, anchors, relations in zip(
            range(segment.lanes.start, segment.lanes.stop), segment.anchors, segment.relations, strict=True
        ):
            query = task.model.embed(segment.structure, encoded[anchors].unsqueeze(0), relations.unsqueeze(0))
            logits = task.model.logits(query, task.model.candidates(encoded))[0]
            kept = batch.negatives[batch.mask[lane]]
            population = torch.tensor([40.0 - batch.answer_counts[lane]])
            loss = Softmax().sampled(
                logits[batch.positives[lane]].reshape(1),
                logits[kept].reshape(1, -1),
                torch.ones(1, len(kept), dtype=torch.bool),
                population,
            )
            total = total + weights[lane] * loss.sum() / weights.sum()
    wanted = torch.autograd.grad(total, [rows, *task.model.parameters()])
    before = task.table.weight.clone()
    task.sampler.load_state_dict({"position": 0})
    dense = [parameter.detach().clone() for parameter in task.model.parameters()]
    assert task.step(next(task.batches()))["loss"] == pytest.approx(total.item(), rel=1e-4)
    task.close()
    # The first step of Adagrad is the sign of the gradient: compare where it is clearly not zero. (The bias of the
    # attention has no gradient: a softmax over branches does not see it.)
    largest = max(gradient.abs().max() for gradient in wanted)
    for old, new, gradient in zip([before, *dense], [task.table.weight, *task.model.parameters()], wanted, strict=True):
        clear = gradient.abs() > 1e-4 * largest
        torch.testing.assert_close((old - new)[clear], 0.1 * gradient.sign()[clear], rtol=1e-2, atol=0)


@pytest.mark.parametrize("model", MODELS)
def test_saved_and_loaded_task_goes_on_bit_equal(graph: KnowledgeGraph, tmp_path: Path, model: str) -> None:
    whole = make_task(graph, model)
    losses = run_steps(whole, 8)
    first = make_task(graph, model)
    run_steps(first, 3)
    save_checkpoint(tmp_path / "step", first.state_dict())
    second = make_task(graph, model)
    run_steps(second, 1)
    second.load_state_dict(load_checkpoint(tmp_path / "step"))
    assert run_steps(second, 5) == losses[3:]
    assert torch.equal(whole.table.weight, second.table.weight)
    for name, parameter in whole.model.state_dict().items():
        assert torch.equal(parameter, second.model.state_dict()[name]), name


def test_a_run_measures_each_structure_and_the_means(graph: KnowledgeGraph, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", graph=graph)
    trainer = Trainer(make_task(graph, "betae"), run, Schedule(max_steps=4, validate_every=2))
    trainer.fit()
    measured = trainer.finish()["queries"]
    assert measured["protocol"]["queries"] == "drawn from the test triples"
    assert {"1p", "pni", "mean_epfo", "mean_negation"} <= set(measured["test"])


def test_validation_of_untrained_models_is_what_evaluation_says(graph: KnowledgeGraph) -> None:
    task = make_task(graph, "gqe")
    metrics = task.validate()
    structures = [name for name in metrics if name.endswith("/mrr")]
    assert {f"{name}/mrr" for name in ("1p", "2i", "up")} <= set(structures)
    assert metrics["mrr"] == pytest.approx(np.mean([metrics[name] for name in structures]))
    assert not any("2in" in name for name in metrics)  # it cannot embed a negation


def test_a_graph_without_held_out_triples_has_nothing_to_measure() -> None:
    task = make_task(random_graph(40, 4, 200), "gqe")
    assert task.validate() == {}
    assert task.measure() == {}


@pytest.mark.parametrize(
    ("model", "structures"),
    [
        (TransE(2, dim=4), "1p 2p 3p"),
        (ComplEx(2, dim=4), "1p 2p 3p"),
        (GQE(2, dim=4), "1p 2p 3p 2i 3i"),
        (BetaE(2, dim=4, hidden=4), "1p 2p 3p 2i 3i 2in 3in inp pin pni"),
    ],
)
def test_default_structures_are_those_that_the_model_is_usually_trained_on(model: Model, structures: str) -> None:
    assert QueryTask.default_structures(model) == structures


def test_structures_that_the_model_cannot_embed_are_refused_before_training(graph: KnowledgeGraph) -> None:
    sampler = QuerySampler(graph, SamplerOptions(structures="1p 2in", batch_size=4, negatives=3))
    with pytest.raises(GraphkitError) as error:
        QueryTask(graph, GQE(4, dim=4), sampler=sampler)
    assert str(error.value) == (
        "GQE has no negations, which queries of the structure 2in need; choose structures without, or a model that has "
        "them (gqe intersects, betae negates too)"
    )


def test_a_loss_without_negatives_is_refused(graph: KnowledgeGraph) -> None:
    with pytest.raises(GraphkitError, match="needs negatives and the sampler draws none"):
        make_task(graph, "gqe", "none", loss=LogSigmoid())
