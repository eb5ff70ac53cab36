"""Where the rows of a contrastive loss come from: clusters that were pooled, or all nodes over the graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphkit.errors import GraphkitError
from graphkit.losses import ContrastiveLoss
from graphkit.models import Encoder, SGCEncoder
from graphkit.nodes.augmentation import EdgeDropper, mask_features
from graphkit.nodes.compression import compressed_adjacency, pool, pool_neighborhoods
from graphkit.nodes.graph import NodeGraph, adjacency
from graphkit.nodes.partitioning import Partition
from graphkit.nodes.propagation import hop_features, normalized
from graphkit.samplers import ClusterBatch

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class Form(ABC):
    """Turns a batch of clusters into what a `ContrastiveLoss` takes."""

    #: what batches are drawn from
    partition: Partition

    @abstractmethod
    def views(self, encoder: Encoder, batch: ClusterBatch, seed: int) -> list[Tensor]:
        """Returns the embeddings of the batch, float32[B, D], once for each view of the loss.

        Args:
            encoder: what embeds.
            batch: the clusters.
            seed: of draws that the batch has not brought along; another for each batch and encoder.
        """

    @abstractmethod
    def edges(self, batch: ClusterBatch) -> Tensor | None:
        """Returns the normalised adjacency of the batch, sparse CSR float32[B, B], where the loss takes one."""


class CompressedForm(Form):
    """Clusters as nodes: their pooled features go through the encoder as through an MLP (StructComp, section 3).

    The first view of a cluster is the mean of all members, the second that of those which DropMember keeps. Once the
    features are pooled, a loss of one view needs the graph no more.

    The paper pools X. Pooled after a hop, clusters vary as the nodes do that the encoder will embed: where a node's own
    features say little, that finds the better encoder. Losses of two views hold ÂX for it.

    Args:
        graph: the graph; of its features nothing is copied.
        partition: its clusters.
        loss: what the rows are for.
        pooled_hops: how often features are propagated before they are pooled.
        weighted_edges: let edges between clusters count as often as there are; without it, once.
        inner_edges: let edges inside of a cluster count as one from it to itself, as in the paper. Such an edge asks
            for long rows, not for rows that agree, and the full graph has none.
        structure: the graph's `adjacency`, if it is at hand.

    Raises:
        GraphkitError: the loss needs edges, and `inner_edges` leaves none.
    """

    def __init__(
        self,
        graph: NodeGraph,
        partition: Partition,
        loss: ContrastiveLoss,
        *,
        pooled_hops: int = 0,
        weighted_edges: bool = True,
        inner_edges: bool = True,
        structure: csr_matrix | None = None,
    ) -> None:
        self.partition = partition
        self._members_of: Tensor | None = None
        self._compressed: csr_matrix | None = None
        self._whole: Tensor | None = None
        if (pooled_hops or loss.needs_edges) and structure is None:
            structure = adjacency(graph)
        x, last_hop = graph.x, pooled_hops > 0 and loss.views == 1
        if pooled_hops - last_hop > 0:
            *_, x = hop_features(normalized(structure), x, pooled_hops - last_hop)
        #: float32[P, F]
        self.pooled = pool_neighborhoods(x, structure, partition) if last_hop else pool(x, partition)
        if loss.views == 2:
            self._members_of = x
        if loss.needs_edges:
            self._compressed = compressed_adjacency(structure, partition, weighted=weighted_edges, inner=inner_edges)
            assert structure is not None  # made above
            if not inner_edges and structure.nnz and not self._compressed.nnz:
                raise GraphkitError(
                    f"no edge joins two of the {partition.num_clusters} clusters, and task.inner_edges=false leaves "
                    "out those inside of them; set task.inner_edges=true, or give other clusters"
                )

    def views(self, encoder: Encoder, batch: ClusterBatch, seed: int) -> list[Tensor]:  # noqa: D102  # as in the base
        whole = self._is_whole(batch)
        views = [encoder(self.pooled if whole else self.pooled[batch.clusters])]
        if self._members_of is not None:
            assert batch.kept_starts is not None and batch.kept is not None  # drawn where there are two views
            views.append(encoder(pool(self._members_of, (batch.kept_starts, batch.kept))))
        return views

    def edges(self, batch: ClusterBatch) -> Tensor | None:  # noqa: D102
        if self._compressed is None:
            return None
        if not self._is_whole(batch):
            clusters = batch.clusters.numpy()
            # Normalised within the batch: degrees of all clusters would make its edges the lighter, the fewer of them
            # a batch has, against its negatives.
            return normalized(self._compressed[clusters][:, clusters].tocsr(), loops=False)
        if self._whole is None:
            self._whole = normalized(self._compressed, loops=False)
        return self._whole

    def _is_whole(self, batch: ClusterBatch) -> bool:
        """Whether a batch is all clusters in their order."""
        count = self.partition.num_clusters
        return batch.size == count and torch.equal(batch.clusters, torch.arange(count))


class FullGraphForm(Form):
    """Every node a row, embedded over the graph in each step: training that compresses nothing.

    Of a loss of one view, nodes are embedded over Â; where the encoder is an `SGCEncoder`, its features are propagated
    once and kept, since no parameter comes before them. Of a loss of two views, each is a graph of its own: edges are
    dropped and columns of features masked in both (GRACE: Zhu et al., 2020, section 3.2).

    Args:
        graph: the graph.
        encoder: what embeds; for what may be computed once.
        loss: what the rows are for.
        drop_rate: the share of edges that a view loses.
        mask_rate: the share of columns that a view loses.
    """

    def __init__(
        self,
        graph: NodeGraph,
        encoder: Encoder,
        loss: ContrastiveLoss,
        *,
        drop_rate: float,
        mask_rate: float,
    ) -> None:
        self.partition = Partition.singletons(len(graph.x))
        self._x, self._drop_rate, self._mask_rate = graph.x, drop_rate, mask_rate
        structure = adjacency(graph)
        self._edges = normalized(structure, loops=False) if loss.needs_edges else None
        self._dropper: EdgeDropper | None = None
        self._normalized: Tensor | None = None
        self._propagated: Tensor | None = None
        if loss.views == 2:
            self._dropper = EdgeDropper(structure)
        elif isinstance(encoder, SGCEncoder):
            *_, self._propagated = hop_features(normalized(structure), graph.x, encoder.hops)
        else:
            self._normalized = normalized(structure)

    def views(self, encoder: Encoder, batch: ClusterBatch, seed: int) -> list[Tensor]:  # noqa: D102  # as in the base
        if self._propagated is not None:
            return [encoder(self._propagated)]
        if self._normalized is not None:
            return [encoder.embed(self._x, self._normalized)]
        assert self._dropper is not None  # there are two views
        generator = torch.Generator().manual_seed(seed)
        return [self._augmented(encoder, self._dropper, generator) for _ in range(2)]

    def edges(self, batch: ClusterBatch) -> Tensor | None:  # noqa: D102
        return self._edges

    def _augmented(self, encoder: Encoder, dropper: EdgeDropper, generator: torch.Generator) -> Tensor:
        fewer = dropper(self._drop_rate, generator)
        return encoder.embed(mask_features(self._x, self._mask_rate, generator), fewer)


def seed_of(*numbers: int) -> int:
    """Returns a seed that no other numbers share but by chance."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
