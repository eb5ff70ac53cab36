"""Where rows of a contrastive loss come from: clusters that were pooled, or all nodes over the graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contrastive_tasks import DIM, LOSSES, made, trained
from torch import Tensor
from torch_geometric.data import Data

from graphkit import GraphkitError
from graphkit.models import Encoder, GCNEncoder, SGCEncoder
from graphkit.nodes import NodeGraph, Partition, adjacency
from graphkit.nodes.propagation import hop_features, normalized
from graphkit.training import ClusterSampling, ContrastiveTask
from graphkit.training.contrastive_forms import CompressedForm


@pytest.mark.parametrize("loss", ["sce", "grace"])
@pytest.mark.parametrize("hops", [1, 2])
def test_features_may_be_propagated_before_they_are_pooled(graph: NodeGraph, loss: str, hops: int) -> None:
    plain = made(graph, loss, pooled_hops=hops)
    propagated = NodeGraph.of(graph)
    *_, propagated.x = hop_features(normalized(adjacency(graph)), graph.x, hops)
    np.testing.assert_allclose(trained(plain), trained(made(propagated, loss)), rtol=1e-4)


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


def test_a_loss_that_needs_edges_is_refused_where_no_edge_joins_two_clusters(graph: NodeGraph) -> None:
    loss = made(graph, "coles").loss
    whole = Partition.of(torch.zeros(graph.num_nodes, dtype=torch.int64))
    with pytest.raises(GraphkitError) as error:
        CompressedForm(graph, whole, loss, inner_edges=False)
    assert str(error.value) == (
        "no edge joins two of the 1 clusters, and task.inner_edges=false leaves out those inside of them; set "
        "task.inner_edges=true, or give other clusters"
    )
    CompressedForm(graph, whole, loss)


def test_of_a_loss_of_one_view_nothing_but_pooled_features_is_kept(graph: NodeGraph) -> None:
    task = made(graph)
    next(task.batches())
    task.close()
    kept = {name: part for name, part in vars(task._form).items() if part is not None}
    assert set(kept) == {"partition", "pooled"}
    assert kept["pooled"].shape == (12, 10)


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
