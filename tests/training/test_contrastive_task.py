"""Contrastive training: every loss, over batches of clusters, with any optimiser."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from contrastive_tasks import DIM, LOSSES, encoder_of, made, same, state_of, trained
from torch import Tensor
from torch.optim import LBFGS, SGD, Adam, SparseAdam
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.losses import SCE
from graphkit.models import SGCEncoder
from graphkit.nodes import NodeGraph
from graphkit.training import ClusterSampling, ContrastiveTask, Run, Schedule, Trainer


def test_training_equals_a_loop_that_is_written_down(graph: NodeGraph) -> None:
    """SCE by the dense formula, on means taken one by one, with the sampler's own negatives."""
    task = made(graph, optimizer=lambda parameters: Adam(parameters, lr=0.01, weight_decay=5e-4))
    batches = list(islice(task.batches(), task.steps))
    losses = trained(task)
    assert task.partition is not None
    pooled = torch.stack([graph.x[task.partition.assignment == place].mean(0) for place in range(12)])
    layer = torch.nn.Linear(10, DIM)
    fresh = SGCEncoder(10, dim=DIM)
    fresh.initialize(torch.Generator().manual_seed(0))
    layer.load_state_dict(fresh.layer.state_dict())
    optimizer = Adam(layer.parameters(), lr=0.01, weight_decay=5e-4)
    for batch, loss in zip(batches, losses, strict=True):
        z = layer(pooled)
        drawn = batch.clusters.negatives
        assert drawn is not None
        trace = sum((z[i] - z[j]).square().sum() for i in range(12) for j in drawn[i].tolist())
        expected = 20000.0 / trace
        assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
    # A bias moves all rows alike, which SCE does not see: its gradient is rounding, which Adam scales up.
    torch.testing.assert_close(task.model.state_dict()["layer.weight"], layer.weight.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_epoch_visits_every_cluster_once(graph: NodeGraph, loss: str) -> None:
    task = made(graph, loss, sampler=ClusterSampling(batch_size=5), epochs=2)
    assert task.steps == 6
    batches = task.batches()
    for _ in range(2):
        visited = torch.cat([next(batches).clusters.clusters for _ in range(3)])
        assert visited.sort().values.tolist() == list(range(12))
    task.close()


@pytest.mark.parametrize("form", ["compressed", "full_graph"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_falls_in_both_forms(graph: NodeGraph, loss: str, form: Any) -> None:
    task = made(graph, loss, form=form, epochs=40, optimizer=lambda parameters: Adam(parameters, lr=0.01))
    losses = trained(task)
    assert sum(losses[-5:]) < sum(losses[:5])


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_seed_gives_the_same_curve_on_any_number_of_threads(graph: NodeGraph, loss: str) -> None:
    runs = []
    for threads, seed in ((1, 4), (4, 4), (1, 5)):
        sampling = ClusterSampling(batch_size=5, threads=threads)
        task = made(graph, loss, seed=seed, sampler=sampling, partition="metis")
        runs.append((trained(task), state_of(task)))
    (one, first), (two, second), (three, _) = runs
    assert one == two != three
    assert same(first, second)


def test_a_loss_that_is_not_finite_names_the_seed_of_its_encoder(graph: NodeGraph, tmp_path: Path) -> None:
    class Broken(SCE):
        def forward(self, *arguments: Any) -> Tensor:
            self.taken = getattr(self, "taken", 0) + 1
            return super().forward(*arguments) * (torch.nan if self.taken == 6 else 1.0)

    task = ContrastiveTask(
        graph, encoder_of(graph, "sce"), loss=Broken(dim=DIM), clusters=12, epochs=4, encoders=2, seed=5, splits=0
    )
    run = Run.create(tmp_path / "run", {"seed": 5}, task.graph)
    with pytest.raises(GraphkitError) as error:
        Trainer(task, run, Schedule(max_steps=task.steps)).fit()
    assert str(error.value) == "the loss of step 6 (batch 1) is nan (seed 6); train again with a lower optimizer.lr"


def test_five_lines_train_a_graph_of_pyg(graph: NodeGraph, tmp_path: Path) -> None:
    data = Data(x=graph.x, edge_index=graph.edge_index, y=graph.y)
    task = ContrastiveTask(data, SGCEncoder(data.num_features, dim=DIM), loss=SCE(dim=DIM), clusters=12, splits=2)
    trainer = Trainer(task, Run.create(tmp_path / "run", graph=task.graph), Schedule(max_steps=task.steps))
    trainer.fit()
    metrics = trainer.finish()
    assert 0 < metrics["probe"]["accuracy_mean"] <= 1 and metrics["train"]["partition_seconds"] > 0
    assert (tmp_path / "run" / "embeddings.parquet").is_file()


@pytest.mark.filterwarnings("ignore")  # of DGL, which knows nothing of the torch of today
def test_a_graph_of_dgl_trains_as_that_of_pyg_does(graph: NodeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DGLBACKEND", "pytorch")
    dgl = pytest.importorskip("dgl", reason="DGL is not installed; make bench-env adds it")
    theirs = dgl.graph((graph.edge_index[0], graph.edge_index[1]), num_nodes=120)
    theirs.ndata["feat"], theirs.ndata["label"] = graph.x, graph.y
    settings: dict[str, Any] = {"clusters": 12, "partition": "metis", "epochs": 3, "labels_per_class": 5}
    losses = [
        trained(ContrastiveTask(each, SGCEncoder(10, dim=DIM), loss=SCE(dim=DIM), **settings))
        for each in (graph, theirs)
    ]
    assert losses[0] == losses[1]


def test_any_optimizer_of_torch_trains(graph: NodeGraph) -> None:
    whole, parts, rest = (
        made(graph, "grace", optimizer=lambda parameters: SGD(parameters, lr=0.1, momentum=0.9), encoders=2)
        for _ in range(3)
    )
    losses = trained(whole)
    before = trained(parts, 5)
    rest.load_state_dict(parts.state_dict())
    assert before + trained(rest) == losses


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        (
            lambda parameters: LBFGS(parameters),
            "the optimizer LBFGS cannot take a step: LBFGS.step() missing 1 required positional argument: 'closure'; "
            "choose optimizer=torch_adam, or a lower optimizer.lr",
        ),
        (
            lambda parameters: SparseAdam(parameters),
            "the optimizer SparseAdam cannot take a step: SparseAdam does not support dense gradients, please consider "
            "Adam instead; choose optimizer=torch_adam, or a lower optimizer.lr",
        ),
        (
            lambda parameters: Adam(parameters, lr=1e38),
            "the optimizer Adam cannot take a step: value cannot be converted to type float without overflow; choose "
            "optimizer=torch_adam, or a lower optimizer.lr",
        ),
    ],
)
def test_an_optimizer_that_takes_no_step_is_named(graph: NodeGraph, optimizer: Any, sentence: str) -> None:
    with pytest.raises(GraphkitError) as error:
        trained(made(graph, optimizer=optimizer))
    assert str(error.value) == sentence
