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
from graphkit.models import GQE, BetaE, ComplEx, DistMult, Model, Query2box, RotatE, TransE
from graphkit.queries import STRUCTURES
from graphkit.samplers import QuerySampler, SamplerOptions, held_out
from graphkit.training import LinkTask, QueryTask, Run, Schedule, Trainer, assembly
from graphkit.training.queries import questions
from graphkit.training.task import ChoosesStructures

MODELS = {
    "gqe": lambda: GQE(4, dim=8, margin=3.0),
    "betae": lambda: BetaE(4, dim=8, margin=3.0, hidden=8),
    "query2box": lambda: Query2box(4, dim=8, margin=3.0),
    "rotate-deepsets": lambda: RotatE(4, dim=8, margin=3.0, intersection="deepsets"),
}
ALL_OF_BETAE = " ".join(STRUCTURES)
WITHOUT_NEGATION = " ".join(name for name, structure in STRUCTURES.items() if not structure.negated)


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return random_graph(40, 4, 200, held_out=25)


def make_task(
    graph: KnowledgeGraph, model: str, mode: str = "shared", *, chunks: int = 1, **options: object
) -> QueryTask:
    structures = ALL_OF_BETAE if model == "betae" else WITHOUT_NEGATION
    sampling = SamplerOptions(
        structures=structures,
        batch_size=42,
        mode=mode,  # type: ignore[arg-type]
        negatives=12,
        chunks=chunks,
        seed=5,
    )
    built: Model = MODELS[model]()
    return QueryTask(graph, built, seed=3, sampler=QuerySampler(graph, sampling), **options)  # type: ignore[arg-type]


def run_steps(task: QueryTask, steps: int) -> list[float]:
    batches = task.batches()
    losses = [task.step(next(batches))["loss"] for _ in range(steps)]
    task.close()
    return losses


@pytest.mark.parametrize("model", MODELS)
def test_layers_in_bf16_stay_close_to_fp32(graph: KnowledgeGraph, model: str) -> None:
    exact, rounded = make_task(graph, model), make_task(graph, model, layer_precision="bf16")
    # Few steps: through reciprocals, BetaE's negations make small differences large ones.
    expected, found = run_steps(exact, 3), run_steps(rounded, 3)
    assert found == pytest.approx(expected, rel=0.02) and found != expected
    state = [rounded.table.weight, *rounded.model.parameters(), *rounded.table.state_dict().values()]
    assert all(values.dtype == torch.float32 for values in state if values.is_floating_point())


@pytest.mark.parametrize("mode", ["own", "shared"])
@pytest.mark.parametrize("model", MODELS)
def test_the_loss_falls_on_all_structures_that_the_model_embeds(graph: KnowledgeGraph, model: str, mode: str) -> None:
    losses = run_steps(make_task(graph, model, mode, optimizer=Adam(lr=0.05)), 80)
    assert np.mean(losses[-10:]) < 0.95 * np.mean(losses[:5])


@pytest.mark.parametrize("chunks", [1, 5])
@pytest.mark.parametrize("model", MODELS)
def test_a_step_updates_rows_and_parameters_as_one_graph_of_gradients_would(
    graph: KnowledgeGraph, model: str, chunks: int
) -> None:
    """The task differentiates scores apart from embeddings; this does all at once, query by query."""
    task = make_task(graph, model, chunks=chunks, optimizer=Adagrad(lr=0.1, dense_lr=0.1), weighting="answers")
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
            kept = batch.negatives.view(chunks, -1)[lane * chunks // batch.size][batch.mask[lane]]
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
    # The first step of Adagrad is the sign of the gradient, and its state the square. Signs are compared where it is
    # clearly not zero. (The bias of the attention has no gradient: a softmax over branches does not see it.)
    largest = max(gradient.abs().max().item() for gradient in wanted)
    parameters = list(task.model.parameters())
    squares = [task.table.state["sum"], *(task.dense.state[parameter]["sum"] for parameter in parameters)]
    for old, new, square, gradient in zip(
        [before, *dense], [task.table.weight, *parameters], squares, wanted, strict=True
    ):
        torch.testing.assert_close(square.sqrt(), gradient.abs(), rtol=1e-3, atol=1e-5 * largest)
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
    assert measured["protocol"]["answers_at_most"] == 10_000
    assert measured["protocol"]["skipped"] == {}
    assert {*STRUCTURES, "mean_epfo", "mean_negation"} == set(measured["test"])


def test_structures_that_are_not_ranked_are_named_with_the_reason(graph: KnowledgeGraph) -> None:
    measured = make_task(graph, "gqe").measure()["queries"]
    assert [*measured["test"], *measured["protocol"]["skipped"]] == [
        *WITHOUT_NEGATION.split(),
        "mean_epfo",
        *(name for name in STRUCTURES if STRUCTURES[name].negated),
    ]
    assert measured["protocol"]["skipped"]["pni"].startswith("GQE has no negations, which queries of the structure pni")


#: Two entities and an edge, and another edge of each split apart: whatever can be drawn has one hop.
APART = KnowledgeGraph.from_triples([(0, 0, 1)], [(2, 1, 3)], [(4, 1, 5)], num_entities=6, num_relations=2)


def test_structures_that_cannot_be_drawn_are_named_with_the_reason() -> None:
    task = QueryTask(APART, GQE(2, dim=4), sampler=QuerySampler(APART, SamplerOptions(negatives=3)))
    assert "1p/mrr" in task.validate()
    measured = task.measure()["queries"]
    assert {"1p", "2u"} <= set(measured["test"])
    assert measured["protocol"]["skipped"]["2p"].startswith("it cannot be drawn from this graph: 0 of ")


def test_a_run_without_any_queries_tells_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "MOST_ANSWERS", 0)
    task = QueryTask(APART, TransE(2, dim=4), sampler=QuerySampler(APART, SamplerOptions(negatives=3)))
    assert task.validate() == {}
    measured = task.measure()
    assert set(measured["queries"]) == {"protocol"}
    assert list(measured["queries"]["protocol"]["skipped"]) == list(STRUCTURES)
    asked = questions(APART, task.model, "test")
    with pytest.raises(
        GraphkitError, match=r"there are no test queries to rank: 1p: none of [\d,]+ queries that were drawn"
    ):
        asked.measure(task.model, task.table)


def test_training_triples_ask_nothing(graph: KnowledgeGraph) -> None:
    with pytest.raises(GraphkitError) as error:
        questions(graph, TransE(4, dim=4), "train")
    assert str(error.value) == (
        "the train triples make no answer hard, so that no queries rank them; name valid or test"
    )
    alone = random_graph(40, 4, 200)
    task = make_task(alone, "gqe")
    with pytest.raises(GraphkitError) as error:
        questions(alone, task.model, "test").measure(task.model, task.table)
    assert str(error.value) == (
        "there are no test queries to rank: the graph has no test triples; import it with a test file or a split"
    )


@pytest.mark.parametrize("model", MODELS)
def test_without_a_sampler_a_task_trains_on_the_default_structures(graph: KnowledgeGraph, model: str) -> None:
    built: Model = MODELS[model]()
    task = QueryTask(graph, built, seed=3)
    assert task.sampler.options == SamplerOptions(
        structures=QueryTask.default_structures(built), batch_size=256, mode="shared", negatives=40, seed=3
    )
    assert {segment.structure.name for segment in next(task.sampler).segments} == set(
        QueryTask.default_structures(built).split()
    )
    assert np.isfinite(run_steps(task, 2)).all()


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
        (RotatE(2, dim=4), "1p 2p 3p"),
        (ComplEx(2, dim=4, intersection="deepsets"), "1p 2p 3p 2i 3i"),
        (DistMult(2, dim=4, intersection="deepsets"), "1p 2p 3p 2i 3i"),
        (Query2box(2, dim=4), "1p 2p 3p 2i 3i"),
        (GQE(2, dim=4), "1p 2p 3p 2i 3i"),
        (BetaE(2, dim=4, hidden=4), "1p 2p 3p 2i 3i 2in 3in inp pin pni"),
    ],
)
def test_default_structures_are_those_that_the_model_is_usually_trained_on(model: Model, structures: str) -> None:
    assert QueryTask.default_structures(model) == structures


def test_a_task_may_choose_structures_or_leave_it() -> None:
    config = {"task": {"_target_": "graphkit.training.QueryTask"}}
    assert isinstance(QueryTask, ChoosesStructures) and not isinstance(LinkTask, ChoosesStructures)
    assert assembly._default_structures(config, TransE(2, dim=4)) == "1p 2p 3p"
    config = {"task": {"_target_": "graphkit.training.LinkTask"}}
    assert assembly._default_structures(config, TransE(2, dim=4)) == "1p"


def test_structures_that_the_model_cannot_embed_are_refused_before_training(graph: KnowledgeGraph) -> None:
    sampler = QuerySampler(graph, SamplerOptions(structures="1p 2in", batch_size=4, negatives=3))
    with pytest.raises(GraphkitError) as error:
        QueryTask(graph, GQE(4, dim=4), sampler=sampler)
    assert str(error.value) == (
        "GQE has no negations, which queries of the structure 2in need; choose structures without, or a model that has "
        "them (gqe and query2box intersect, betae negates too)"
    )


def all_entities(graph: KnowledgeGraph, structures: str, **options: object) -> QueryTask:
    sampling = SamplerOptions(structures=structures, batch_size=42, mode="none", negatives=0, seed=5)
    return QueryTask(graph, MODELS["gqe"](), seed=3, sampler=QuerySampler(graph, sampling), **options)  # type: ignore[arg-type]


def test_a_loss_without_negatives_is_refused(graph: KnowledgeGraph) -> None:
    with pytest.raises(GraphkitError, match="needs negatives and the sampler draws none"):
        all_entities(graph, "1p", loss=LogSigmoid())


def test_the_loss_over_all_entities_falls(graph: KnowledgeGraph) -> None:
    losses = run_steps(all_entities(graph, "1p", optimizer=Adam(lr=0.05)), 80)
    assert np.mean(losses[-10:]) < 0.95 * np.mean(losses[:5])


def test_the_loss_over_all_entities_is_for_one_hop_alone(graph: KnowledgeGraph) -> None:
    with pytest.raises(GraphkitError) as error:
        all_entities(graph, "1p 2i 2p")
    assert str(error.value) == (
        "the sampler's mode none takes the loss over all entities, where the other answers of a query count as wrong, "
        "and queries of the structure 2i may have many; choose sampler=shared"
    )


@pytest.mark.parametrize("mode", ["own", "shared"])
def test_queries_that_are_not_counted_have_finite_losses_on_graphs_below_the_limit(mode: str) -> None:
    # Two hops here follow more than 1,024 edges, on a graph of 200 entities.
    dense = KnowledgeGraph.from_triples([(x, 0, 100 + y) for x in range(100) for y in range(60)], num_entities=200)
    options = SamplerOptions(structures="2p 3p", batch_size=64, mode=mode, negatives=20)  # type: ignore[arg-type]
    assert not next(QuerySampler(dense, options)).counted.all()
    task = QueryTask(dense, GQE(1, dim=8, margin=3.0), sampler=QuerySampler(dense, options), seed=1)
    assert np.isfinite(run_steps(task, 5)).all()
