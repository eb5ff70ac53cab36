"""Steps by hand are those of autograd, bit for bit, and are taken where they are the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from strategies import random_graph
from torch import Tensor

from graphkit.engine import Adam, GatheredBatch
from graphkit.engine.kernels import PairDistance
from graphkit.graph import KnowledgeGraph
from graphkit.losses import LogSigmoid, Softmax
from graphkit.models import Model, RotatE, TransE
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training import LinkTask, embedding
from graphkit.training.single_hops import are_by_hand, gradients_by_hand

MODELS: dict[str, Callable[..., Model]] = {
    "transe": lambda relations, **keywords: TransE(relations, dim=18, margin=2.0, **keywords),
    "transe-l2": lambda relations, **keywords: TransE(relations, dim=18, margin=2.0, norm=2, **keywords),
    "rotate": lambda relations, **keywords: RotatE(relations, dim=18, margin=2.0, **keywords),
}
each_model = pytest.mark.parametrize("model", MODELS)


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    return random_graph(60, 3, 400, held_out=12)


def make_task(graph: KnowledgeGraph, model: Model, **options: Any) -> LinkTask:
    sampling = SamplerOptions(batch_size=48, mode="shared", negatives=20, seed=5)
    given: dict[str, Any] = {
        "loss": LogSigmoid(adversarial_temperature=1.0),
        "optimizer": Adam(lr=0.01),
        "sampler": QuerySampler(graph, sampling),
    }
    return LinkTask(graph, model, seed=3, **(given | options))


def trained(task: LinkTask, steps: int) -> list[Tensor]:
    batches = task.batches()
    losses = [task.step(next(batches))["loss"] for _ in range(steps)]
    task.close()
    return [torch.tensor(losses), task.table.weight, *task.table.state.values(), task.model.relations.detach()]


def by_hand(task: LinkTask) -> bool:
    """Whether a step of a task is taken without autograd."""
    batch = next(task.batches())
    task.close()
    return are_by_hand(task.model, task.loss, batch)


@each_model
@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize(("weighting", "chunks"), [("none", 1), ("answers", 1), ("answers", 5)])
def test_steps_by_hand_are_those_of_autograd_bit_for_bit(
    graph: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch, model: str, reciprocal: bool, weighting: str, chunks: int
) -> None:
    def run() -> list[Tensor]:
        made = MODELS[model](graph.num_relations, reciprocal=reciprocal)
        sampling = SamplerOptions(batch_size=48, mode="shared", negatives=11, chunks=chunks, seed=5)
        return trained(make_task(graph, made, weighting=weighting, sampler=QuerySampler(graph, sampling)), 8)

    assert by_hand(make_task(graph, MODELS[model](graph.num_relations, reciprocal=reciprocal)))
    found = run()
    monkeypatch.setattr(embedding, "are_by_hand", lambda *_: False)
    for one, other in zip(found, run(), strict=True):
        assert torch.equal(one, other)


@each_model
def test_gradients_are_added_to_those_that_the_relations_have(graph: KnowledgeGraph, model: str) -> None:
    task = make_task(graph, MODELS[model](graph.num_relations))
    batch: GatheredBatch = next(task.batches())
    weights = torch.full((batch.batch.size,), 0.1)
    found, held = [], []
    for _ in range(2):
        assert gradients_by_hand(task.model, task.loss, batch, weights) is not None
        assert task.model.relations.grad is not None
        found.append(task.model.relations.grad.clone())
        held.append(task.model.relations.grad)
    task.close()
    assert held[0] is held[1]  # as autograd keeps it
    torch.testing.assert_close(found[1], 2 * found[0], rtol=0, atol=0)


class OtherProjection(TransE):
    def project(self, x: Tensor, relations: Tensor) -> Tensor:
        return super().project(x, relations) / 2


class OtherStart(TransE):
    def start(self, encoded: Tensor) -> Tensor:
        return encoded / 2


class OtherLoss(LogSigmoid):
    def sampled(self, positive: Tensor, negative: Tensor, mask: Tensor, population: Tensor) -> Tensor:
        return super().sampled(positive, negative, mask, population) / 2


class OtherDistances(LogSigmoid):
    def shared_distances(self, distance: PairDistance, *given: Tensor, chunks: int = 1) -> Tensor:
        return super().shared_distances(distance, *given, chunks=chunks) / 2


@pytest.mark.parametrize("kind", [OtherProjection, OtherStart])
def test_a_model_that_computes_otherwise_is_differentiated(graph: KnowledgeGraph, kind: type[TransE]) -> None:
    assert by_hand(make_task(graph, TransE(graph.num_relations, dim=8)))
    assert not by_hand(make_task(graph, kind(graph.num_relations, dim=8)))


@pytest.mark.parametrize("loss", [OtherLoss(), OtherDistances()])
def test_a_loss_that_computes_otherwise_is_differentiated(graph: KnowledgeGraph, loss: LogSigmoid) -> None:
    assert not by_hand(make_task(graph, TransE(graph.num_relations, dim=8), loss=loss))


def test_relations_that_are_not_trained_get_no_gradient(graph: KnowledgeGraph) -> None:
    model = TransE(graph.num_relations, dim=8)
    model.relations.requires_grad_(False)
    assert not by_hand(make_task(graph, model))


def test_hooks_on_relations_are_called(graph: KnowledgeGraph) -> None:
    plain, hooked, watched = (TransE(graph.num_relations, dim=8) for _ in range(3))
    assert by_hand(make_task(graph, plain))
    hooked.relations.register_hook(lambda gradient: gradient * 0)
    calls: list[Tensor] = []
    watched.relations.register_post_accumulate_grad_hook(calls.append)
    for model in (hooked, watched):
        assert not by_hand(make_task(graph, model))
        trained(make_task(graph, model), 1)
    assert len(calls) == 1


def test_a_loss_without_gradients_of_its_own_is_differentiated(graph: KnowledgeGraph) -> None:
    task = make_task(graph, TransE(graph.num_relations, dim=8), loss=Softmax())
    assert not by_hand(task)
    with pytest.raises(NotImplementedError, match=r"^Softmax leaves gradients to autograd$"):
        Softmax().shared_gradients(*[torch.ones(1, 1)] * 6)  # type: ignore[arg-type]


def test_a_place_that_is_no_row_is_refused_before_anything_is_written(graph: KnowledgeGraph) -> None:
    task = make_task(graph, TransE(graph.num_relations, dim=8))
    batch = next(task.batches())
    batch.positives[3] = len(batch.rows)
    assert not are_by_hand(task.model, task.loss, batch)
    with pytest.raises(IndexError):
        task.step(batch)
    task.close()


def test_paths_of_several_hops_are_differentiated(graph: KnowledgeGraph) -> None:
    sampling = SamplerOptions(batch_size=48, mode="shared", negatives=20, seed=5, structures="1p 2p")
    task = make_task(graph, TransE(graph.num_relations, dim=8), sampler=QuerySampler(graph, sampling))
    assert not by_hand(task)
