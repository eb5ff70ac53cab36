"""What contrastive training measures and writes: probes, the partition, embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from contrastive_tasks import DIM, made, trained
from torch_geometric.data import Data

from graphkit.cli.tables import print_partition
from graphkit.errors import GraphkitError
from graphkit.evaluation import linear_probe, no_training
from graphkit.graph import Vocabulary
from graphkit.models import SGCEncoder
from graphkit.nodes import NodeGraph, adjacency, planted_communities, random_splits
from graphkit.nodes.propagation import normalized
from graphkit.training import ContrastiveTask
from graphkit.training.node_probe import SPLIT_SEED


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


def test_encoders_that_were_not_finished_are_not_measured(graph: NodeGraph) -> None:
    task, finished = made(graph, encoders=5), made(graph, encoders=1)
    trained(task, 6)
    trained(finished)
    assert task.measure()["probe"] == finished.measure()["probe"]
    for steps in (1, 3, 4, 7, 8, 9):
        task = made(graph, encoders=5)
        trained(task, steps)
        assert task.measure()["probe"]["encoders"] == max(1, steps // 4)


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


def test_metis_finds_the_cliques(graph: NodeGraph) -> None:
    clique = torch.arange(40) // 5
    edges = (clique[:, None] == clique).fill_diagonal_(False).nonzero().T
    x = torch.randn(40, 10, generator=torch.Generator().manual_seed(3))
    task = made(NodeGraph.of(Data(x=x, edge_index=edges)), clusters=8, partition="metis")
    trained(task)
    found = task.measure()["partition"]
    assert found["cut"] == 0 and (found["smallest"], found["largest"], found["clusters"]) == (5, 5, 8)


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


def test_the_full_graph_has_no_partition_to_pay_for(graph: NodeGraph) -> None:
    task = made(graph, form="full_graph")
    trained(task)
    measured = task.measure()
    assert measured["partition"]["method"] == "none" and measured["partition"]["clusters"] == 120
    assert measured["train"]["partition_seconds"] == 0


def test_a_graph_without_edges_has_no_share_of_them_that_is_cut(graph: NodeGraph, tmp_path: Path) -> None:
    plain = NodeGraph.of(Data(x=graph.x, edge_index=torch.empty(2, 0, dtype=torch.int64), y=graph.y))
    task = made(plain)
    trained(task)
    assert task.measure()["partition"]["cut"] is None


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
