"""Contrastive training: what it computes, how it is resumed, what it costs, and what it refuses."""

from __future__ import annotations

import gc
import signal
import weakref
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor
from torch.optim import LBFGS, SGD, Adam, SparseAdam
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch_geometric.data import Data

from graphkit.cli.tables import print_partition
from graphkit.errors import GraphkitError
from graphkit.evaluation import linear_probe, no_training
from graphkit.graph import Vocabulary
from graphkit.losses import CCASSG, COLES, GRACE, SCE, ContrastiveLoss
from graphkit.models import Encoder, GCNEncoder, SGCEncoder
from graphkit.nodes import NodeGraph, Partition, adjacency, planted_communities, random_splits
from graphkit.nodes.propagation import hop_features, normalized
from graphkit.training import ClusterSampling, ContrastiveTask, Interrupted, Run, Schedule, Trainer
from graphkit.training import contrastive as module
from graphkit.training.node_probe import SPLIT_SEED

DIM = 8
LOSSES: dict[str, Callable[[], ContrastiveLoss]] = {
    "sce": lambda: SCE(dim=DIM),
    "coles": lambda: COLES(dim=DIM),
    "cca_ssg": lambda: CCASSG(dim=DIM),
    "grace": lambda: GRACE(dim=DIM),
}


@pytest.fixture(scope="module")
def graph() -> NodeGraph:
    return planted_communities(nodes=120, edges=400, features=10, communities=12, classes=3)


def encoder_of(graph: NodeGraph, loss: str) -> Encoder:
    return (SGCEncoder if loss in ("sce", "coles") else GCNEncoder)(graph.num_features, dim=DIM)


def made(graph: NodeGraph, loss: str = "sce", **settings: Any) -> ContrastiveTask:
    settings = {"clusters": 12, "partition": "random", "epochs": 4, "splits": 2, "labels_per_class": 5} | settings
    return ContrastiveTask(graph, encoder_of(graph, loss), loss=LOSSES[loss](), **settings)


def trained(task: ContrastiveTask, steps: int | None = None) -> list[float]:
    """Takes steps, by default all, and returns their losses."""
    batches = task.batches()
    losses = [task.step(next(batches))["loss"] for _ in range(task.steps - task._trained if steps is None else steps)]
    task.close()
    return losses


def state_of(task: ContrastiveTask) -> dict[str, Tensor]:
    """Every tensor of a task's state, by its path."""
    flat: dict[str, Tensor] = {}

    def walk(branch: Any, path: str) -> None:
        if isinstance(branch, Tensor):
            flat[path] = branch.clone()
        elif isinstance(branch, dict):
            for key, value in branch.items():
                walk(value, f"{path}/{key}")

    walk(task.state_dict(), "")
    return flat


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    assert left.keys() == right.keys() and left
    return all(torch.equal(left[name], right[name]) for name in left)


# ---- what is computed


@pytest.mark.parametrize("loss", ["sce", "grace"])
@pytest.mark.parametrize("hops", [1, 2])
def test_features_may_be_propagated_before_they_are_pooled(graph: NodeGraph, loss: str, hops: int) -> None:
    plain = made(graph, loss, pooled_hops=hops)
    propagated = NodeGraph.of(graph)
    *_, propagated.x = hop_features(normalized(adjacency(graph)), graph.x, hops)
    np.testing.assert_allclose(trained(plain), trained(made(propagated, loss)), rtol=1e-4)


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


@pytest.mark.parametrize("model", [SGCEncoder(5, dim=DIM), GCNEncoder(5, dim=DIM), GCNEncoder(5, dim=DIM, layers=2)])
@pytest.mark.parametrize("loss", LOSSES)
def test_on_equal_cliques_nodes_get_the_embeddings_of_their_clusters(model: Encoder, loss: str) -> None:
    """Over cliques, Â takes the mean of each: what was trained on clusters is what is used on nodes."""
    size, cliques = 4, 6
    clique = torch.arange(size * cliques) // size
    edges = (clique[:, None] == clique).fill_diagonal_(False).nonzero().T
    x = torch.randn(size * cliques, 5, generator=torch.Generator().manual_seed(3))
    task = ContrastiveTask(
        Data(x=x, edge_index=edges), model, loss=LOSSES[loss](), partition=Partition.of(clique), epochs=5
    )
    trained(task)
    pooled = x.reshape(cliques, size, 5).mean(1)
    with torch.no_grad():
        torch.testing.assert_close(task.embeddings(), task.model(pooled)[clique], rtol=1e-4, atol=1e-5)


def test_metis_finds_the_cliques(graph: NodeGraph) -> None:
    clique = torch.arange(40) // 5
    edges = (clique[:, None] == clique).fill_diagonal_(False).nonzero().T
    x = torch.randn(40, 10, generator=torch.Generator().manual_seed(3))
    task = made(NodeGraph.of(Data(x=x, edge_index=edges)), clusters=8, partition="metis")
    trained(task)
    found = task.measure()["partition"]
    assert found["cut"] == 0 and (found["smallest"], found["largest"], found["clusters"]) == (5, 5, 8)


@pytest.mark.parametrize("loss", ["sce", "coles"])
def test_the_full_graph_embeds_every_node_over_the_graph(graph: NodeGraph, loss: str) -> None:
    hat = normalized(adjacency(graph))
    for encoder in (SGCEncoder(10, dim=DIM), SGCEncoder(10, dim=DIM, hops=3), GCNEncoder(10, dim=DIM)):
        task = ContrastiveTask(graph, encoder, loss=LOSSES[loss](), form="full_graph", labels_per_class=5)
        batch = next(task.batches())
        assert task._form is not None and batch.clusters.size == 120
        (view,) = task._form.views(encoder, batch.clusters, 0)
        torch.testing.assert_close(view, encoder.embed(graph.x, hat), rtol=1e-4, atol=1e-5)
        edges = task._form.edges(batch.clusters)
        assert (edges is None) == (loss == "sce")
        if edges is not None:
            torch.testing.assert_close(edges.to_dense(), normalized(adjacency(graph), loops=False).to_dense())
        task.close()


def test_views_of_the_full_graph_lose_edges_and_columns(graph: NodeGraph) -> None:
    hat = normalized(adjacency(graph))

    def views(**rates: float) -> tuple[ContrastiveTask, list[Tensor]]:
        task = made(graph, "grace", form="full_graph", **rates)
        batch = next(task.batches())
        task.close()
        assert task._form is not None
        return task, task._form.views(task.model, batch.clusters, 7)

    task, (first, second) = views(drop_edges=0.0, mask_features=0.0)
    whole = task.model.embed(graph.x, hat)
    torch.testing.assert_close(first, whole)
    torch.testing.assert_close(second, whole)
    for rates in ({"drop_edges": 0.5, "mask_features": 0.0}, {"drop_edges": 0.0, "mask_features": 0.5}):
        task, (first, second) = views(**rates)
        assert not torch.allclose(first, second) and not torch.allclose(first, whole)
        _, again = views(**rates)
        assert torch.equal(first, again[0]) and torch.equal(second, again[1])


def test_the_second_view_is_of_kept_members(graph: NodeGraph) -> None:
    task = made(graph, "cca_ssg")
    batch = next(task.batches()).clusters
    assert task._form is not None and batch.kept is not None and batch.kept_starts is not None
    first, second = task._form.views(task.model, batch, 0)
    assert task.partition is not None
    for place in range(12):
        kept = batch.kept[batch.kept_starts[place] : batch.kept_starts[place + 1]]
        members = task.partition.members[task.partition.assignment[task.partition.members] == place]
        assert len(kept) == len(members) // 2 and set(kept.tolist()) < set(members.tolist())
        torch.testing.assert_close(first[place], task.model(graph.x[members].mean(0)[None])[0])
        torch.testing.assert_close(second[place], task.model(graph.x[kept].mean(0)[None])[0])
    task.close()


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("inner", [True, False])
def test_edges_of_a_batch_are_those_between_its_clusters(graph: NodeGraph, weighted: bool, inner: bool) -> None:
    task = made(graph, "coles", sampler=ClusterSampling(batch_size=5), weighted_edges=weighted, inner_edges=inner)
    batches = task.batches()
    assert task.partition is not None
    member = torch.nn.functional.one_hot(task.partition.assignment).float()
    between = member.T @ torch.from_numpy(adjacency(graph).toarray()) @ member
    between = between if weighted else (between > 0).float()
    assert between.diagonal().any()
    between = between if inner else between - between.diagonal().diag()
    for _ in range(3):
        batch = next(batches).clusters
        assert task._form is not None and batch.size in (2, 5)
        found = task._form.edges(batch)
        assert found is not None
        cut = between[batch.clusters][:, batch.clusters]
        scale = cut.sum(1).clamp(min=1).rsqrt()
        torch.testing.assert_close(found.to_dense(), scale[:, None] * cut * scale)
    task.close()


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


def test_the_budget_is_that_of_the_clusters_asked_for_where_metis_gives_fewer() -> None:
    graph = planted_communities(nodes=2000, edges=10000, features=8, communities=20, classes=2)
    sampling = ClusterSampling(batch_size=79)
    task = ContrastiveTask(
        graph, SGCEncoder(8, dim=DIM), clusters=400, partition="metis", sampler=sampling, epochs=2, splits=0
    )
    assert task.steps == 12
    losses = trained(task)
    assert task.partition is not None and task.partition.num_clusters <= 400 and len(losses) == 12
    again = ContrastiveTask(
        graph, SGCEncoder(8, dim=DIM), clusters=400, partition="metis", sampler=sampling, epochs=2, splits=0
    )
    before = trained(again, 7)
    rest = ContrastiveTask(
        graph, SGCEncoder(8, dim=DIM), clusters=400, partition="metis", sampler=sampling, epochs=2, splits=0
    )
    rest.load_state_dict(again.state_dict())
    assert before + trained(rest) == losses


def test_a_run_says_where_metis_gives_fewer_clusters_than_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    graph = planted_communities(nodes=300, edges=1000, features=4, communities=6, classes=2)
    task = ContrastiveTask(graph, SGCEncoder(4, dim=DIM), clusters=200, partition="metis", epochs=1, splits=0)
    trained(task)
    found = task.measure()["partition"]
    assert found["asked"] == 200 > found["clusters"]
    said = f"metis made {found['clusters']} of the 200 clusters that were asked for, since it left the others empty\n"
    assert capsys.readouterr().err == said
    print_partition(found, {"partition_seconds": 0.5})
    assert f"300 nodes in {found['clusters']} clusters (200 were asked for) of " in capsys.readouterr().out
    exact = ContrastiveTask(graph, SGCEncoder(4, dim=DIM), clusters=200, partition="random", epochs=1, splits=0)
    trained(exact)
    assert exact.measure()["partition"]["asked"] == exact.measure()["partition"]["clusters"] == 200
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("loss", LOSSES)
def test_with_as_many_clusters_as_nodes_training_is_an_mlp_on_features(graph: NodeGraph, loss: str) -> None:
    """Nothing is pooled, and a cluster of one node keeps it."""
    task = made(graph, loss, clusters=120)
    batch = next(task.batches()).clusters
    task.close()
    assert task._form is not None and task.partition is not None
    order = task.partition.members
    for view in task._form.views(task.model, batch, 0):
        torch.testing.assert_close(view, task.model(graph.x[order]))


# ---- encoders, one after the other


def test_encoders_differ_and_each_is_that_of_its_own_seed(graph: NodeGraph) -> None:
    clusters = Partition.of(torch.arange(120) % 12)
    task = made(graph, "grace", encoders=3, partition=clusters)
    trained(task)
    for place in range(3):
        alone = made(graph, "grace", seed=place, partition=clusters)
        trained(alone)
        assert torch.equal(task.embeddings(place), alone.embeddings())
    assert not torch.allclose(task.embeddings(0), task.embeddings(1))


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_that_was_resumed_anywhere_equals_one_that_was_not(
    graph: NodeGraph, loss: str, batch_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampling = ClusterSampling(batch_size=batch_size)
    settings: dict[str, Any] = {"encoders": 2 if batch_size else 3, "epochs": 2, "sampler": sampling}
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
        assert second.partition_seconds == first.partition_seconds > 0


@pytest.mark.parametrize("form", ["compressed", "full_graph"])
@pytest.mark.parametrize("loss", LOSSES)
def test_batches_that_are_asked_for_again_go_on_after_the_last_trained_one(
    graph: NodeGraph, loss: str, form: Any
) -> None:
    whole, parts = made(graph, loss, form=form, encoders=2), made(graph, loss, form=form, encoders=2)
    losses = trained(whole)
    assert trained(parts, 3) + trained(parts, 2) + trained(parts) == losses
    assert same(state_of(parts), state_of(whole))


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


@pytest.mark.parametrize("loss", LOSSES)
def test_a_resumed_run_on_the_full_graph_equals_an_uninterrupted_one(graph: NodeGraph, loss: str) -> None:
    settings: dict[str, Any] = {"form": "full_graph", "encoders": 2, "epochs": 2}
    whole = made(graph, loss, **settings)
    losses = trained(whole)
    for stop in range(whole.steps + 1):
        first, second = made(graph, loss, **settings), made(graph, loss, **settings)
        before = trained(first, stop)
        second.load_state_dict(first.state_dict())
        assert before + trained(second) == losses
        assert same(state_of(second), state_of(whole))


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


# ---- what is measured and written


def test_metrics_are_over_all_encoders_and_splits_together(graph: NodeGraph) -> None:
    task = made(graph, encoders=2, splits=3)
    trained(task)
    measured = task.measure()
    splits = random_splits(graph.y, number=3, per_class=5, seed=SPLIT_SEED)
    single = torch.cat([torch.from_numpy(linear_probe(task.embeddings(i), graph.y, splits).accuracies) for i in (0, 1)])
    assert measured["probe"]["accuracy_mean"] == pytest.approx(float(single.mean()))
    assert measured["probe"]["accuracy_std"] == pytest.approx(float(single.std(correction=0)))
    assert (measured["probe"]["splits"], measured["probe"]["encoders"]) == (3, 2)
    untrained = no_training(graph.x, normalized(adjacency(graph)), graph.y, splits)
    assert measured["probe"]["no_training"] == {name: result.mean for name, result in untrained.items()}
    assert list(measured["probe"]["no_training"]) == ["X", "AX", "A2X", "A3X"]
    assert measured["partition"]["method"] == "random"
    assert (measured["partition"]["nodes"], measured["partition"]["clusters"]) == (120, 12)
    assert measured["train"] == {
        "partition_seconds": task.partition_seconds,
        "partition_cpu_seconds": task.partition_cpu_seconds,
    }
    assert task.partition_seconds > 0


def test_the_full_graph_has_no_partition_to_pay_for(graph: NodeGraph) -> None:
    task = made(graph, form="full_graph")
    trained(task)
    measured = task.measure()
    assert measured["partition"]["method"] == "none" and measured["partition"]["clusters"] == 120
    assert measured["train"]["partition_seconds"] == 0


def test_encoders_that_were_not_finished_are_not_measured(graph: NodeGraph) -> None:
    task, finished = made(graph, encoders=5), made(graph, encoders=1)
    trained(task, 6)
    trained(finished)
    assert task.measure()["probe"] == finished.measure()["probe"]
    for steps in (1, 3, 4, 7, 8, 9):
        task = made(graph, encoders=5)
        trained(task, steps)
        assert task.measure()["probe"]["encoders"] == max(1, steps // 4)


def test_a_graph_without_edges_has_no_share_of_them_that_is_cut(graph: NodeGraph, tmp_path: Path) -> None:
    plain = NodeGraph.of(Data(x=graph.x, edge_index=torch.empty(2, 0, dtype=torch.int64), y=graph.y))
    task = made(plain)
    trained(task)
    assert task.measure()["partition"]["cut"] is None


def test_embeddings_that_are_not_finite_are_neither_measured_nor_written(graph: NodeGraph, tmp_path: Path) -> None:
    for write in (lambda task: task.write_results(tmp_path, {}), lambda task: task.measure()):
        task = made(graph, seed=3)
        trained(task, 1)
        with torch.no_grad():
            next(task.model.parameters())[0, 0] = torch.nan
        with pytest.raises(GraphkitError) as error:
            write(task)
        assert str(error.value) == (
            "the embeddings of encoder 0 (seed 3) have values that are not finite; train again with a lower "
            "optimizer.lr"
        )
    assert list(tmp_path.iterdir()) == []


def test_own_masks_are_the_splits_where_labels_per_class_is_null(graph: NodeGraph) -> None:
    masked = NodeGraph.of(graph)
    masked.train_mask = torch.zeros(120, 4, dtype=torch.bool)
    masked.train_mask[:60] = True
    masked.test_mask = ~masked.train_mask
    for wanted, found in ((2, 2), (50, 4)):
        task = made(masked, labels_per_class=None, splits=wanted)
        trained(task)
        assert task.measure()["probe"]["splits"] == found


@pytest.mark.parametrize("case", ["no labels", "no splits", "labels of no node"])
def test_without_labels_there_is_no_probe(graph: NodeGraph, case: str, tmp_path: Path) -> None:
    plain = Data(x=graph.x, edge_index=graph.edge_index)
    if case != "no labels":
        plain.y = torch.full((120,), -1) if case == "labels of no node" else graph.y
    task = made(NodeGraph.of(plain), splits=0 if case == "no splits" else 2)
    trained(task)
    assert "probe" not in task.measure()
    task.write_results(tmp_path, {})
    assert pq.read_metadata(tmp_path / "embeddings.parquet").num_rows == 120


@pytest.mark.parametrize("named", [False, True])
def test_embeddings_are_written_under_the_ids_of_the_user(graph: NodeGraph, named: bool, tmp_path: Path) -> None:
    own = NodeGraph.of(graph)
    if named:
        own.node_ids = Vocabulary([f"paper {i}" for i in range(120)], kind="node")
    task = made(own, encoders=2)
    trained(task)
    task.write_results(tmp_path, {})
    task.write_results(tmp_path, {})  # measured again: replaced
    assert [path.name for path in tmp_path.iterdir()] == ["embeddings.parquet"]
    table = pq.read_table(tmp_path / "embeddings.parquet")
    assert table.column_names == ["id", "embedding", "label"]
    assert str(table.schema.field("embedding").type) == f"fixed_size_list<element: float>[{DIM}]"
    assert table["id"].to_pylist() == ([f"paper {i}" for i in range(120)] if named else list(range(120)))
    assert torch.equal(torch.tensor(table["embedding"].to_pylist()), task.embeddings(0))
    assert own.class_names is not None
    assert table["label"].to_pylist() == [own.class_names[label] for label in own.y.tolist()]


def test_embeddings_on_a_full_disk_leave_nothing(
    graph: NodeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphkit.training import node_results

    class Full(node_results.pq.ParquetWriter):  # type: ignore[misc]
        def write_batch(self, *_: Any) -> None:
            raise OSError(28, "No space left on device")

    task = made(graph)
    trained(task)
    monkeypatch.setattr(node_results.pq, "ParquetWriter", Full)
    with pytest.raises(GraphkitError, match=r"embeddings\.parquet was not written: the disk is full"):
        task.write_results(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


# ---- what it costs


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of what torch makes while it is on, and still is alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {part.untyped_storage()._cdata for part in tree_flatten((args, kwargs))[0] if _strided(part)}
        out = func(*args, **(kwargs or {}))
        for part in tree_flatten(out)[0]:
            if not _strided(part):
                continue
            storage = part.untyped_storage()
            if storage._cdata not in given and storage._cdata not in self._seen:
                self._seen.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._let_go, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return out

    def _let_go(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def _strided(part: Any) -> bool:
    return isinstance(part, Tensor) and part.layout == torch.strided


def step_bytes(task: ContrastiveTask) -> int:
    """The most bytes that tensors of one step take, beside what was there before it."""
    batches = task.batches()
    task.step(next(batches))
    task.step(next(batches))
    batch = next(batches)
    gc.collect()
    with LiveBytes() as live:
        task.step(batch)
    task.close()
    return live.peak


@pytest.mark.parametrize("loss", LOSSES)
def test_memory_of_a_step_does_not_depend_on_nodes_or_edges_once_they_are_pooled(loss: str) -> None:
    """With a second view, the ids of kept members come with the batch; their features are read, not copied."""
    peaks = []
    for nodes, edges in ((240, 300), (240, 6000), (960, 6000)):
        graph = planted_communities(nodes=nodes, edges=edges, features=32, communities=8, classes=2)
        clusters = Partition.of(torch.arange(nodes) % 24)
        task = ContrastiveTask(
            graph, encoder_of(graph, loss), loss=LOSSES[loss](), partition=clusters, epochs=4, labels_per_class=5
        )
        peaks.append(step_bytes(task))
    # What the negatives or the edges between 24 clusters take differs by their number alone.
    assert max(peaks) <= 1.15 * min(peaks), peaks


@pytest.mark.parametrize("loss", LOSSES)
def test_memory_of_a_step_grows_with_clusters_and_columns(loss: str) -> None:
    graph = planted_communities(nodes=960, edges=2000, features=16, communities=8, classes=2)
    peaks = {}
    for clusters, dim in ((64, 32), (256, 32), (256, 128)):
        encoder = (SGCEncoder if loss in ("sce", "coles") else GCNEncoder)(16, dim=dim)
        made_loss = type(LOSSES[loss]())(dim=dim)
        partition = Partition.of(torch.arange(960) % clusters)
        task = ContrastiveTask(graph, encoder, loss=made_loss, partition=partition, epochs=4, labels_per_class=5)
        peaks[clusters, dim] = step_bytes(task)
    views = 2 if loss in ("cca_ssg", "grace") else 1
    for (clusters, dim), peak in peaks.items():
        rows = 4 * views * clusters * (16 + dim)  # n'(d + D) reals of each view
        # The block of pairs that GRACE holds, what a random graph of 5 draws takes, weights with gradients and moments.
        pairs = 4 * (2 * clusters) ** 2 if loss == "grace" else 0
        other = 2 * pairs + 60 * 10 * clusters + 4 * 8 * dim * (dim + 16)
        assert rows / 2 < peak < 8 * rows + other, (clusters, dim, peak)


def test_the_full_graph_takes_memory_for_all_nodes() -> None:
    graph = planted_communities(nodes=960, edges=2000, features=16, communities=8, classes=2)
    shared: dict[str, Any] = {"loss": LOSSES["sce"](), "epochs": 4, "labels_per_class": 5}
    compressed = ContrastiveTask(graph, SGCEncoder(16, dim=DIM), clusters=48, partition="random", **shared)
    full = ContrastiveTask(graph, SGCEncoder(16, dim=DIM), form="full_graph", **shared)
    assert step_bytes(full) > 10 * step_bytes(compressed)


def test_of_a_loss_of_one_view_nothing_but_pooled_features_is_kept(graph: NodeGraph) -> None:
    task = made(graph)
    next(task.batches())
    task.close()
    kept = {name: part for name, part in vars(task._form).items() if part is not None}
    assert set(kept) == {"partition", "pooled"}
    assert kept["pooled"].shape == (12, 10)


# ---- what it takes


def test_settings_that_are_left_open(graph: NodeGraph) -> None:
    task = ContrastiveTask(graph, SGCEncoder(10))
    assert (task.clusters, task.method, task.epochs, task.encoders, task.steps) == (13, "metis", 50, 1, 50)
    assert isinstance(task.loss, SCE) and task.loss.dim == 512
    assert isinstance(task.optimizer, Adam) and task.optimizer.defaults["lr"] == 0.001
    unconnected = NodeGraph.of(Data(x=graph.x, edge_index=torch.empty(2, 0, dtype=torch.int64)))
    assert ContrastiveTask(unconnected, SGCEncoder(10)).method == "random"
    with pytest.raises(GraphkitError) as error:
        ContrastiveTask(unconnected, SGCEncoder(10), partition="metis")
    assert str(error.value) == "the graph has no edges, which task.partition=metis follows; take task.partition=random"


def test_large_graphs_are_cut_along_heavy_edges(graph: NodeGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphkit.training.contrastive_plan.METIS_EDGES", 400)
    assert ContrastiveTask(graph, SGCEncoder(10)).method == "metis"
    monkeypatch.setattr("graphkit.training.contrastive_plan.METIS_EDGES", 399)
    assert ContrastiveTask(graph, SGCEncoder(10)).method == "heavy_edge"


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
    task = made(graph, "grace", optimizer=lambda parameters: SGD(parameters, lr=0.1, momentum=0.9), encoders=2)
    losses = trained(task)
    parts = made(graph, "grace", optimizer=lambda parameters: SGD(parameters, lr=0.1, momentum=0.9), encoders=2)
    before = trained(parts, 5)
    rest = made(graph, "grace", optimizer=lambda parameters: SGD(parameters, lr=0.1, momentum=0.9), encoders=2)
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


def test_what_is_no_graph_of_nodes_is_refused() -> None:
    with pytest.raises(GraphkitError) as error:
        ContrastiveTask([1, 2], SGCEncoder(3))  # type: ignore[arg-type]
    assert str(error.value) == (
        "the graph is a list, and a NodeGraph, a Data of PyG or a DGLGraph is needed; graphkit.nodes.load and graphkit "
        "data import-nodes make one"
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"clusters": 121}, "task.clusters is 121, and the graph has 120 nodes; give a number from 2 to 120"),
        ({"clusters": 1}, "task.clusters is 1, and the graph has 120 nodes; give a number from 2 to 120"),
        ({"clusters": 0}, "task.clusters is 0, and the graph has 120 nodes; give a number from 2 to 120"),
        (
            {"partition": "louvain"},
            "task.partition is 'louvain', and one of metis, heavy_edge, random or null is needed",
        ),
        (
            {"partition": Partition.of(torch.arange(5))},
            "the graph has 120 nodes and the partition 5; both have to be of the same graph",
        ),
        ({"form": "half"}, "trainer.form is 'half', and compressed or full_graph is needed"),
        ({"encoders": 0}, "task.encoders is 0, and at least 1 is needed"),
        ({"pooled_hops": -1}, "task.pooled_hops is -1, and 0 (features as they are) or more is needed"),
        ({"epochs": 0}, "trainer.max_epochs is 0, and at least 1 is needed"),
        ({"splits": -1}, "task.splits is -1, and 0 (no probe) or more is needed"),
        (
            {"labels_per_class": 0},
            "task.labels_per_class is 0, and at least 1 is needed; null takes the graph's masks",
        ),
        ({"drop_edges": 1.0}, "task.drop_edges is 1.0, and a share from 0 up to but not 1 is needed"),
        ({"mask_features": -0.1}, "task.mask_features is -0.1, and a share from 0 up to but not 1 is needed"),
        ({"seed": -1}, "seed is -1, and a number from 0 to 2**63 - 1 is needed"),
        (
            {"seed": 2**63 - 9, "encoders": 10},
            "seed is 9223372036854775799, and a number from 0 to 2**63 - 10 is needed, since the 10 encoders count on "
            "from it",
        ),
        (
            {"loss": SCE(dim=9)},
            "the graph has 10 features, the model takes 10 and gives 8 columns, and the loss takes 9; make one fit the "
            "other",
        ),
        (
            {"form": "full_graph", "sampler": ClusterSampling(batch_size=5)},
            "sampler.batch_size is 5, and a step over the full graph takes all nodes; leave it null, or choose "
            "trainer=compressed",
        ),
        (
            {"sampler": ClusterSampling(drop_rate=1.0)},
            "sampler.drop_rate is 1.0, and a share from 0 up to but not 1 is needed",
        ),
    ],
)
def test_settings_out_of_range_are_named(graph: NodeGraph, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GraphkitError) as error:
        ContrastiveTask(graph, encoder_of(graph, "sce"), **{"loss": LOSSES["sce"](), **settings})
    assert str(error.value) == sentence


def test_threads_out_of_range_are_named() -> None:
    with pytest.raises(GraphkitError) as error:
        ClusterSampling(threads=0)
    assert str(error.value) == "the sampler has threads=0 and ahead=4, and at least 1 of each is needed"


def test_a_class_with_too_few_labels_is_named_before_anything_is_trained(graph: NodeGraph) -> None:
    with pytest.raises(GraphkitError, match=r"^class \d has \d+ labelled nodes, and splits need 60 to train"):
        made(graph, labels_per_class=60)


@pytest.mark.parametrize("form", ["compressed", "full_graph"])
def test_a_graph_of_one_node_is_refused(form: Any) -> None:
    alone = Data(x=torch.ones(1, 3), edge_index=torch.empty(2, 0, dtype=torch.int64))
    with pytest.raises(GraphkitError) as error:
        ContrastiveTask(alone, SGCEncoder(3), form=form)
    assert str(error.value) == "the graph has 1 node, and a contrastive loss compares at least 2; give a larger graph"
