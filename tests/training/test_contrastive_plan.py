"""What contrastive training takes: settings that are left open, and a sentence for those out of range."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from contrastive_tasks import LOSSES, encoder_of, made
from torch.optim import Adam
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.losses import SCE
from graphkit.models import SGCEncoder
from graphkit.nodes import NodeGraph, Partition
from graphkit.training import ClusterSampling, ContrastiveTask


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


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (
            {"model": "sgc_encoder"},
            "model is 'sgc_encoder', and an encoder is needed, such as graphkit.models.GCNEncoder(…)",
        ),
        ({"loss": "coles"}, "loss is 'coles', and a contrastive loss is needed, such as graphkit.losses.SCE(…)"),
    ],
)
def test_names_in_place_of_parts_are_refused(graph: NodeGraph, parts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GraphkitError) as error:
        ContrastiveTask(graph, **{"model": SGCEncoder(graph.num_features), **parts})
    assert str(error.value) == sentence
