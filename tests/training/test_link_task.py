"""The task of one-hop queries: exact gradients, and weights that depend on nothing but settings and seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from strategies import random_graph
from torch import Tensor

from graphkit.checkpoint import load_checkpoint, save_checkpoint
from graphkit.engine import Adagrad, Adam, EmbeddingTable, RowOptimizer, RowPrefetcher
from graphkit.engine.kernels import log_softmax
from graphkit.engine.timeline import record
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.losses import LogSigmoid, Loss, Softmax
from graphkit.models import ComplEx, DistMult, Model, RotatE, TransE
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.samplers.query_sampler import Corruption
from graphkit.training import LinkTask

Mode = Literal["none", "own", "shared"]

MODELS = {
    "complex": partial(ComplEx, dim=8, init_scale=0.3),
    "complex-conjugate": partial(ComplEx, dim=8, init_scale=0.3, reciprocal=False),
    "complex-deepsets": partial(ComplEx, dim=8, init_scale=0.3, intersection="deepsets"),
    "distmult": partial(DistMult, dim=8, init_scale=0.3),
    "rotate": partial(RotatE, dim=8, margin=2.0),
    "transe": partial(TransE, dim=8, margin=2.0),
    "transe-l2": partial(TransE, dim=8, margin=2.0, norm=2, reciprocal=True),
}
OPTIMIZERS: dict[str, RowOptimizer] = {"adagrad": Adagrad(lr=0.1), "adam": Adam(lr=0.01)}
MODES: tuple[Mode, ...] = ("none", "own", "shared")


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return random_graph(30, 3, 150, held_out=12)


def make_task(
    graph: KnowledgeGraph,
    model: str = "complex",
    mode: Mode = "own",
    *,
    loss: Loss | None = None,
    optimizer: str | RowOptimizer = "adagrad",
    threads: int = 1,
    batch_size: int = 32,
    corruption: Corruption = "uniform",
    **options: Any,
) -> LinkTask:
    negatives = 0 if mode == "none" else 8
    sampling = SamplerOptions(batch_size=batch_size, mode=mode, negatives=negatives, corruption=corruption, seed=5)
    sampler = QuerySampler(graph, sampling, threads=threads)
    built: Model = MODELS[model](num_relations=graph.num_relations)
    rule = OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer
    parts = {"sampler": sampler, "loss": loss or Softmax(), "optimizer": rule}
    return LinkTask(graph, built, seed=3, **parts, **options)


def run_steps(task: LinkTask, steps: int) -> list[float]:
    batches = task.batches()
    losses = [task.step(next(batches))["loss"] for _ in range(steps)]
    task.close()
    return losses


def tensors(state: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for key, value in state.items():
        if isinstance(value, dict):
            yield from ((f"{key}/{name}", tensor) for name, tensor in tensors(value))
        elif isinstance(value, Tensor):
            yield key, value


def assert_same_state(left: LinkTask, right: LinkTask) -> None:
    first, second = dict(tensors(left.state_dict())), dict(tensors(right.state_dict()))
    assert first.keys() == second.keys() and len(first) >= 4
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


# ---- weights depend on settings and seed alone


@pytest.mark.parametrize("mode", MODES)
def test_threads_of_the_sampler_do_not_change_weights(graph: KnowledgeGraph, mode: Mode) -> None:
    reference = make_task(graph, mode=mode)
    run_steps(reference, 12)
    for threads in (2, 4):
        other = make_task(graph, mode=mode, threads=threads)
        run_steps(other, 12)
        assert_same_state(reference, other)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("mode", MODES)
def test_prefetched_rows_train_as_rows_gathered_at_once(graph: KnowledgeGraph, mode: Mode, optimizer: str) -> None:
    prefetched = make_task(graph, mode=mode, optimizer=optimizer)
    run_steps(prefetched, 12)
    plain = make_task(graph, mode=mode, optimizer=optimizer)
    for _ in range(12):
        feed = RowPrefetcher(iter([next(plain.sampler)]), plain.table, all_rows=mode == "none")
        plain.step(next(feed))
        feed.close()
    plain.close()
    assert_same_state(prefetched, plain)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", ["complex", "complex-deepsets", "transe"])
def test_saved_and_loaded_task_goes_on_bit_equal(
    graph: KnowledgeGraph, tmp_path: Path, model: str, mode: Mode, optimizer: str
) -> None:
    whole = make_task(graph, model, mode, optimizer=optimizer)
    losses = run_steps(whole, 11)
    first = make_task(graph, model, mode, optimizer=optimizer)
    run_steps(first, 4)
    save_checkpoint(tmp_path / "step", first.state_dict())
    second = make_task(graph, model, mode, optimizer=optimizer)
    run_steps(second, 1)  # whatever it did before is overwritten
    second.load_state_dict(load_checkpoint(tmp_path / "step"))
    assert_same_state(first, second)
    assert run_steps(second, 7) == losses[4:]
    assert_same_state(whole, second)


def test_seed_decides_fresh_weights(graph: KnowledgeGraph) -> None:
    def fresh(seed: int) -> LinkTask:
        return LinkTask(graph, ComplEx(graph.num_relations, dim=8), seed=seed)

    assert_same_state(fresh(1), fresh(1))
    assert not torch.equal(fresh(1).table.weight, fresh(2).table.weight)


# ---- loss and gradients of a step


@pytest.mark.parametrize("model", ["complex", "transe"])
@pytest.mark.parametrize("per_chunk", [1, 7, 31])
def test_chunks_of_the_full_softmax_change_nothing(
    graph: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch, model: str, per_chunk: int
) -> None:
    whole = make_task(graph, model, "none", n3=0.05)
    losses = run_steps(whole, 3)
    monkeypatch.setattr(log_softmax, "LOGITS_AT_ONCE", per_chunk * graph.num_entities)
    chunked = make_task(graph, model, "none", n3=0.05)
    assert run_steps(chunked, 3) == pytest.approx(losses, abs=1e-6)
    for name, tensor in tensors(whole.state_dict()["weights"]):
        other = dict(tensors(chunked.state_dict()["weights"]))[name]
        assert (tensor - other).abs().max() < 1e-5, name  # Adagrad's first steps enlarge what rounding leaves


class Recorder(RowOptimizer):
    """Keeps gradients instead of following them."""

    def __init__(self) -> None:
        super().__init__(lr=1.0, eps=0.0)
        self.gradient = torch.empty(0)

    def new_state(self, weight: Tensor) -> dict[str, Tensor]:
        return {}

    def step(
        self,
        weight: Tensor,
        state: dict[str, Tensor],
        ids: Tensor | None,
        gradient: Tensor,
        *,
        checked: bool = False,
    ) -> None:
        self.gradient = torch.zeros_like(weight)
        self.gradient[slice(None) if ids is None else ids] = gradient

    def dense(self, parameters: Any, *, share: float = 1.0) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=1.0)


def plain_loss(task: LinkTask, batch: Any, entities: Tensor, relations: Tensor, *, n3: bool) -> Tensor:
    """The loss of a batch in float64, from its definition: no chunks, no gathered rows, no autocast."""
    model, size = task.model, batch.size
    (segment,) = batch.segments
    anchor, relation = segment.anchors[:, 0], segment.relations[:, 0]
    directions = relations[relation if model.reciprocal else relation // 2]
    sign = torch.ones(size, 1) if model.reciprocal else (1 - 2 * (relation % 2)).unsqueeze(1).double()

    def logits(candidates: Tensor) -> Tensor:
        """float64[B, K] of entity ids [B, K]."""
        h, t = entities[anchor].unsqueeze(1), entities[candidates]
        if isinstance(model, TransE):
            difference = h + (sign * directions).unsqueeze(1) - t
            return model.margin - difference.norm(p=model.norm, dim=2)
        if isinstance(model, DistMult):
            return (h * directions.unsqueeze(1) * t).sum(dim=2)
        half = model.dim // 2
        a, r = torch.complex(h[..., :half], h[..., half:]), directions.unsqueeze(1)
        c = torch.complex(t[..., :half], t[..., half:])
        if isinstance(model, RotatE):
            phases = sign.unsqueeze(1) * r * torch.pi / model.scale
            return model.margin - (a * torch.polar(torch.ones_like(phases), phases) - c).abs().sum(dim=2)
        b = torch.complex(r[..., :half], sign.unsqueeze(1) * r[..., half:])
        return (a * b * c.conj()).real.sum(dim=2)

    every = torch.arange(len(entities)).expand(size, -1)
    positive = logits(batch.positives.unsqueeze(1)).squeeze(1)
    if task.full:
        losses = logits(every).logsumexp(dim=1) - positive
    else:
        negatives = batch.negatives.expand(size, -1) if batch.shared else batch.negatives
        rows = []
        for b in range(size):
            chosen = logits(negatives)[b][batch.mask[b]]
            if isinstance(task.loss, Softmax):
                population = len(entities) - batch.answer_counts[b].item()
                corrected = chosen + torch.tensor(population / len(chosen)).double().log()
                rows.append(torch.cat([positive[b : b + 1], corrected]).logsumexp(dim=0) - positive[b])
            else:
                weights = (task.loss.adversarial_temperature * chosen.detach()).softmax(dim=0)
                rows.append(-(positive[b].sigmoid().log() + (weights * (-chosen).sigmoid().log()).sum()) / 2)
        losses = torch.stack(rows)
    weights = torch.ones(size).double() if task.weighting == "none" else (4 + batch.answer_counts).double() ** -0.5
    total = (weights / weights.sum() * losses).sum()
    if n3:
        for part in (entities[anchor], directions, entities[batch.positives]):
            squared = part.square()
            if isinstance(model, ComplEx):
                squared = squared[:, : model.dim // 2] + squared[:, model.dim // 2 :]
            total = total + task.n3 / size * squared.pow(1.5).sum()
    return total


LOSSES: dict[str, tuple[Mode, Loss]] = {
    "full-softmax": ("none", Softmax()),
    "own-softmax": ("own", Softmax()),
    "shared-softmax": ("shared", Softmax()),
    "own-logsigmoid": ("own", LogSigmoid(adversarial_temperature=0.7)),
    "shared-logsigmoid": ("shared", LogSigmoid()),
}


@pytest.mark.parametrize("weighting", ["none", "answers"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", MODELS)
def test_gradients_are_those_of_the_formula(graph: KnowledgeGraph, model: str, loss: str, weighting: str) -> None:
    mode, function = LOSSES[loss]
    recorder = Recorder()
    task = make_task(graph, model, mode, loss=function, optimizer=recorder, n3=0.2, weighting=weighting)
    entities = task.table.weight.double().requires_grad_()
    relations = task.model.relations.detach().double().requires_grad_()
    gathered = next(iter(task.batches()))
    before = task.model.relations.detach().clone()
    logged = task.step(gathered)
    task.close()
    plain_loss(task, gathered.batch, entities, relations, n3=True).backward()
    expected = plain_loss(task, gathered.batch, entities, relations, n3=False).item()
    assert logged == {"loss": pytest.approx(expected, rel=1e-5), "samples": 32}
    assert torch.allclose(recorder.gradient.double(), entities.grad, rtol=1e-4, atol=1e-7)
    moved = (before - task.model.relations.detach()).double()  # by SGD with a rate of 1
    assert torch.allclose(moved, relations.grad, rtol=1e-4, atol=1e-6)
    assert relations.grad.abs().max() > 1e-4


def test_an_intersection_that_no_query_needs_changes_nothing(graph: KnowledgeGraph) -> None:
    rule = Adagrad(lr=0.1, dense_lr=0.1)
    plain, deep = (make_task(graph, name, "none", optimizer=rule, n3=0.02) for name in ("complex", "complex-deepsets"))
    untrained = [parameter.detach().clone() for parameter in deep.model.intersection.parameters()]
    with torch.no_grad():
        deep.table.weight.copy_(plain.table.weight)
    assert run_steps(plain, 5) == run_steps(deep, 5)
    assert torch.equal(plain.table.weight, deep.table.weight)
    assert torch.equal(plain.model.relations, deep.model.relations)
    for before, after in zip(untrained, deep.model.intersection.parameters(), strict=True):
        assert torch.equal(before, after)


def test_n3_is_part_of_the_gradient_and_not_of_the_loss_that_is_logged(graph: KnowledgeGraph) -> None:
    without, with_n3 = make_task(graph, mode="none", n3=0.0), make_task(graph, mode="none", n3=1.0)
    assert run_steps(without, 1) == run_steps(with_n3, 1)
    assert not torch.equal(without.table.weight, with_n3.table.weight)


@pytest.mark.parametrize("mode", MODES)
def test_bf16_stays_close_to_fp32(graph: KnowledgeGraph, mode: Mode) -> None:
    exact, rounded = make_task(graph, mode=mode), make_task(graph, mode=mode, precision="bf16")
    expected, found = run_steps(exact, 10), run_steps(rounded, 10)
    assert found == pytest.approx(expected, rel=0.02)
    assert (found == expected) == (mode == "own")  # there are products with shared candidates only
    assert rounded.table.weight.dtype == torch.float32


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", ["complex", "transe"])
def test_loss_decreases(graph: KnowledgeGraph, model: str, loss: str) -> None:
    mode, function = LOSSES[loss]
    losses = run_steps(make_task(graph, model, mode, loss=function, n3=0.0, optimizer=Adagrad(lr=0.2)), 60)
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


# ---- validation and measuring


def test_validation_ranks_as_many_triples_as_it_is_told(graph: KnowledgeGraph) -> None:
    some, every = make_task(graph, validation_triples=3), make_task(graph, validation_triples=None)
    assert some.validate() == make_task(graph, validation_triples=3).validate()
    assert set(every.validate()) == {"mrr", "mr", "hits@1", "hits@3", "hits@10"}
    assert some.validate() != every.validate() == make_task(graph, validation_triples=12).validate()
    assert every.measure()["protocol"]["triples"] == 12


def test_graph_without_held_out_triples_trains_and_measures_nothing(graph: KnowledgeGraph) -> None:
    bare = KnowledgeGraph.from_triples(graph.triples(), num_entities=30, num_relations=3)
    task = make_task(bare)
    run_steps(task, 2)
    assert task.validate() == {} and task.measure() == {}


# ---- options


def test_default_parts_train(graph: KnowledgeGraph) -> None:
    task = LinkTask(graph, ComplEx(graph.num_relations, dim=8))
    assert task.full and task.n3 == ComplEx.default_n3 > 0
    losses = run_steps(task, 20)
    assert losses[-1] < losses[0]


def test_given_table_is_trained_from_where_it_stands(graph: KnowledgeGraph) -> None:
    source = make_task(graph)
    run_steps(source, 3)
    table = EmbeddingTable(source.table.weight.clone(), Adagrad(lr=0.1))
    task = LinkTask(graph, source.model, table=table)
    assert task.table is table and torch.equal(table.weight, source.table.weight)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"n3": -0.1}, "task.n3 is -0.1, and 0 (no penalty) or more is needed"),
        ({"weighting": "degree"}, "task.weighting is 'degree', and none or answers is needed"),
        ({"precision": "fp16"}, "task.precision is 'fp16', and fp32 or bf16 is needed"),
        ({"layer_precision": "tf32"}, "task.layer_precision is 'tf32', and fp32 or bf16 is needed"),
        (
            {"mode": "none", "loss": LogSigmoid()},
            "the loss LogSigmoid needs negatives and the sampler draws none; choose sampler=own, sampler=shared or "
            "loss=softmax",
        ),
        (
            {"mode": "shared", "corruption": "degree"},
            "the loss Softmax takes negatives for a uniform sample of all entities, and the sampler draws them with "
            "corruption=degree; choose loss=logsigmoid or sampler.corruption=uniform",
        ),
    ],
)
def test_options_out_of_range_are_named(graph: KnowledgeGraph, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GraphkitError) as caught:
        make_task(graph, **options)
    assert str(caught.value) == sentence


def test_checkpoint_of_another_width_is_refused(graph: KnowledgeGraph) -> None:
    state = make_task(graph).state_dict()
    other = LinkTask(graph, ComplEx(graph.num_relations, dim=16))
    with pytest.raises(GraphkitError, match=r"the checkpoint's table has shape \(30, 8\) and the model's \(30, 16\)"):
        other.load_state_dict(state)


@pytest.mark.parametrize("mode", MODES)
def test_a_step_s_stages_can_be_recorded(graph: KnowledgeGraph, mode: Mode) -> None:
    task = make_task(graph, mode=mode)
    with record() as timeline:
        run_steps(task, 3)
    assert {"wait", "compute", "update"} <= set(timeline.shares())
    gathers = set() if mode == "none" else {"resolve", "gather"}
    assert set(timeline.shares(main=False)) == {"sample"} | gathers


@pytest.mark.parametrize("mode", MODES)
def test_a_loss_that_is_no_number_updates_nothing(graph: KnowledgeGraph, mode: Mode) -> None:
    task = make_task(graph, mode=mode)
    task.table.weight[:] = torch.nan
    state = {name: values.clone() for name, values in task.table.state_dict().items()}
    logged = task.step(next(task.batches()))
    assert math.isnan(logged["loss"])
    assert all(parameter.grad is None for parameter in task.model.parameters())
    assert all(torch.equal(values, state[name]) for name, values in task.table.state_dict().items())
    task.close()


def test_a_gradient_that_is_no_number_is_told_with_its_batch(graph: KnowledgeGraph) -> None:
    task = make_task(graph, mode="own")
    batch = next(task.batches())
    with pytest.raises(GraphkitError) as error:
        task._update(batch, torch.full(batch.rows.shape, torch.inf))
    assert str(error.value) == (
        f"batch 0 (seed {task.sampler.options.seed}): the gradient of row {batch.ids[0]} has the value inf, and "
        "nothing was updated; lower the learning rate, or look for what makes the loss of this row overflow"
    )
    task.close()
