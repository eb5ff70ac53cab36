"""Encoders are trained one after the other, from where a run stopped, as if it had not."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from contrastive_tasks import DIM, LOSSES, encoder_of, made, same, state_of, trained

from graphkit.errors import GraphkitError
from graphkit.models import SGCEncoder
from graphkit.nodes import NodeGraph, Partition, planted_communities
from graphkit.training import ClusterSampling, ContrastiveTask, Interrupted, Run, Schedule, Trainer
from graphkit.training import contrastive as module


def test_encoders_differ_and_each_is_that_of_its_own_seed(graph: NodeGraph) -> None:
    clusters = Partition.of(torch.arange(120) % 12)
    task = made(graph, "grace", encoders=3, partition=clusters)
    trained(task)
    for place in range(3):
        alone = made(graph, "grace", seed=place, partition=clusters)
        trained(alone)
        assert torch.equal(task.embeddings(place), alone.embeddings())
    assert not torch.allclose(task.embeddings(0), task.embeddings(1))


@pytest.mark.parametrize(("form", "batch_size"), [("compressed", None), ("compressed", 5), ("full_graph", None)])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_that_was_resumed_anywhere_equals_one_that_was_not(
    graph: NodeGraph, loss: str, form: Any, batch_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampling = ClusterSampling(batch_size=batch_size)
    settings: dict[str, Any] = {"encoders": 2 if batch_size else 3, "epochs": 2, "sampler": sampling, "form": form}
    whole = made(graph, loss, **settings)
    losses = trained(whole)
    for stop in range(whole.steps + 1):
        first = made(graph, loss, **settings)
        before = trained(first, stop)
        state = first.state_dict()
        with monkeypatch.context() as patch:
            patch.setattr(module, "partition", lambda *_, **__: pytest.fail("the graph was cut again"))
            second = made(graph, loss, **settings)
            second.load_state_dict(state)
            assert before + trained(second) == losses
        assert same(state_of(second), state_of(whole))
        assert second.partition_seconds == first.partition_seconds
        assert (first.partition_seconds > 0) == (form == "compressed")


@pytest.mark.parametrize("form", ["compressed", "full_graph"])
@pytest.mark.parametrize("loss", LOSSES)
def test_batches_that_are_asked_for_again_go_on_after_the_last_trained_one(
    graph: NodeGraph, loss: str, form: Any
) -> None:
    whole, parts = made(graph, loss, form=form, encoders=2), made(graph, loss, form=form, encoders=2)
    losses = trained(whole)
    assert trained(parts, 3) + trained(parts, 2) + trained(parts) == losses
    assert same(state_of(parts), state_of(whole))


def test_the_budget_is_that_of_the_clusters_asked_for_where_metis_gives_fewer() -> None:
    graph = planted_communities(nodes=2000, edges=10000, features=8, communities=20, classes=2)
    settings: dict[str, Any] = {"clusters": 400, "partition": "metis", "epochs": 2, "splits": 0}
    settings["sampler"] = ClusterSampling(batch_size=79)
    whole, parts, rest = (ContrastiveTask(graph, SGCEncoder(8, dim=DIM), **settings) for _ in range(3))
    assert whole.steps == 12
    losses = trained(whole)
    assert whole.partition is not None and whole.partition.num_clusters <= 400 and len(losses) == 12
    before = trained(parts, 7)
    rest.load_state_dict(parts.state_dict())
    assert before + trained(rest) == losses


def test_a_signal_in_the_second_encoder_leaves_a_checkpoint_to_go_on_from(graph: NodeGraph, tmp_path: Path) -> None:
    def trainer(name: str, task: ContrastiveTask, *, new: bool = True) -> Trainer:
        run = Run.create(tmp_path / name, {"seed": 0}, task.graph) if new else Run.open(tmp_path / name)
        return Trainer(task, run, Schedule(max_steps=task.steps))

    class Signalled(ContrastiveTask):
        def step(self, batch: Any) -> dict[str, float]:
            if (batch.encoder, batch.number) == (1, 2):
                signal.raise_signal(signal.SIGTERM)
            return super().step(batch)

    stopped = Signalled(
        graph, encoder_of(graph, "sce"), loss=LOSSES["sce"](), clusters=12, partition="random", epochs=4, encoders=2
    )
    with pytest.raises(Interrupted, match="after step 7"):
        trainer("parts", stopped).fit()
    rest, whole = (made(graph, encoders=2) for _ in range(2))
    resumed = trainer("parts", rest, new=False)
    resumed.resume()
    assert resumed.progress.step == 7
    resumed.fit()
    trainer("whole", whole).fit()
    assert same(state_of(rest), state_of(whole))


def test_more_epochs_go_on_with_an_only_encoder_and_not_with_several(graph: NodeGraph) -> None:
    short, long = made(graph, epochs=3), made(graph, epochs=5)
    before = trained(short)
    extended = made(graph, epochs=5)
    extended.load_state_dict(short.state_dict())
    assert before + trained(extended) == trained(long)
    several = made(graph, epochs=3, encoders=2)
    trained(several, 4)
    with pytest.raises(GraphkitError) as error:
        made(graph, epochs=5, encoders=2).load_state_dict(several.state_dict())
    assert str(error.value) == (
        "the checkpoint has encoders of 3 steps, and these settings give each 5; encoders of one run are trained "
        "equally long, so leave trainer.max_epochs as it was, or train again"
    )


def test_a_trainer_that_asks_for_more_steps_is_told_how_many_there_are(graph: NodeGraph) -> None:
    task = made(graph, epochs=2)
    with pytest.raises(GraphkitError) as error:
        trained(task, 3)
    assert str(error.value) == (
        "all 1 encoders have had their 2 epochs after 2 steps, and the trainer asks for more; give it task.steps, or "
        "the task more epochs"
    )
