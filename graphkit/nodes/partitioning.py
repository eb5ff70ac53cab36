"""Partitions of a graph's nodes into clusters: how they are made, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from graphkit import _native
from graphkit.errors import GraphkitError
from graphkit.nodes.blocks import row_blocks

#: How a graph is cut into clusters.
METHODS: tuple[str, ...] = ("metis", "heavy_edge", "random")


@dataclass(frozen=True, eq=False)
class Partition:
    """A disjoint cover of the nodes by P clusters, none of which is empty.

    Raises:
        GraphkitError: the assignment is no vector of whole numbers, or a number from 0 to P - 1 is missing from it.
    """

    #: int64[N], the cluster of each node: 0 to P - 1, each at least once
    assignment: Tensor

    def __post_init__(self) -> None:
        ids = self.assignment
        if ids.dim() != 1 or ids.dtype != torch.int64 or len(ids) == 0:
            raise GraphkitError(
                f"an assignment to clusters has the shape {list(ids.shape)} and the type {str(ids.dtype)[6:]}, and "
                "whole numbers [N] of at least one node are needed"
            )
        if len(negative := (ids < 0).nonzero()):
            raise GraphkitError(
                f"the assignment to clusters has {int(ids[negative[0]])} for node {int(negative[0])}, and clusters "
                "count from 0; give every node a cluster"
            )
        if int(ids.max()) >= len(ids) or bool((self.sizes == 0).any()):
            raise GraphkitError(
                "the assignment to clusters leaves numbers below its highest out, and each cluster has to have a node; "
                "Partition.of(assignment) numbers them anew"
            )

    @classmethod
    def of(cls, assignment: Tensor | ArrayLike) -> Partition:
        """Makes a partition of any cluster ids, numbering those that occur in their order.

        Args:
            assignment: [N] whole numbers from 0, the cluster of each node.

        Raises:
            GraphkitError: the assignment is empty, no vector of whole numbers, or has negative ids.
        """
        ids = torch.as_tensor(assignment)
        if ids.dim() == 1 and len(ids) and not ids.is_floating_point() and not ids.is_complex():
            ids = ids.to(torch.int64)
            if int(ids.min()) >= 0:
                ids = torch.unique(ids, return_inverse=True)[1]
        return cls(ids)

    @classmethod
    def singletons(cls, num_nodes: int) -> Partition:
        """Makes the partition that gives every node a cluster of its own, in the order of the nodes."""
        return cls(torch.arange(num_nodes))

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.assignment)

    @property
    def num_clusters(self) -> int:
        """P."""
        return len(self.sizes)

    @cached_property
    def sizes(self) -> Tensor:
        """int64[P], nodes of each cluster."""
        return torch.bincount(self.assignment)

    @cached_property
    def member_starts(self) -> Tensor:
        """int64[P + 1]: cluster j has the members from ``member_starts[j]`` up to ``member_starts[j + 1]``."""
        return torch.cat([self.sizes.new_zeros(1), self.sizes.cumsum(0)])

    @cached_property
    def members(self) -> Tensor:
        """int64[N], the nodes in the order of their clusters, ascending within each."""
        return torch.sort(self.assignment, stable=True).indices

    def require_nodes(self, nodes: int, what: str) -> None:
        """Raises GraphkitError where `what` has another number of nodes than the partition."""
        if nodes != self.num_nodes:
            raise GraphkitError(
                f"{what} has {nodes} nodes and the partition {self.num_nodes}; both have to be of the same graph"
            )


def partition(adjacency: csr_matrix, clusters: int, *, method: str = "metis", seed: int = 0) -> Partition:
    """Cuts a graph into clusters of about the same size with few edges between them.

    With as many clusters as nodes every method gives `Partition.singletons`. METIS (k-way, Karypis and Kumar 1998) may
    leave clusters empty, which are dropped: it may give fewer than asked for. The others give exactly as many.

    Args:
        adjacency: [N, N] symmetric, without loops, as `graphkit.nodes.adjacency` gives it; weights are not looked at.
        clusters: P, from 2 to N.
        method: "metis"; "heavy_edge", a native coarsening for graphs where METIS is too slow; or "random", which looks
            at no edges.
        seed: of METIS (some builds of which give the same for any seed) and of the random partition; the same seed
            gives the same partition.

    Returns:
        The partition. Isolated nodes may be in any cluster.

    Raises:
        GraphkitError: clusters, method or seed are out of range; metis or heavy_edge, and the graph has no edges, or
            its adjacency has a loop or is not symmetric; METIS leaves one cluster alone, as it may for few nodes.
    """
    nodes = adjacency.shape[0]
    _require_square(adjacency)
    if method not in METHODS:
        raise GraphkitError(f"the method of partition is {method!r}, and one of {', '.join(METHODS)} is needed")
    if type(clusters) is not int or clusters < 2:
        raise GraphkitError(f"clusters is {clusters!r}, and a whole number of at least 2 is needed")
    if clusters > nodes:
        raise GraphkitError(
            f"clusters is {clusters}, and the graph has only {nodes} nodes; give a number from 2 to {nodes}"
        )
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise GraphkitError(f"the seed of the partition is {seed!r}, and a number from 0 to 2**63 - 1 is needed")
    if method != "random" and adjacency.nnz == 0:
        raise GraphkitError(
            f"the graph has no edges, which the method {method} of partition follows; take the method random"
        )
    if method != "random":
        require_undirected(adjacency)
    if clusters == nodes:
        return Partition.singletons(nodes)
    match method:
        case "metis":
            return _metis(adjacency, clusters, seed)
        case "heavy_edge":
            return _heavy_edge(adjacency, clusters)
        case _:
            order = np.random.default_rng(seed).permutation(nodes)
            return Partition.of(order % clusters)


def _metis(adjacency: csr_matrix, clusters: int, seed: int) -> Partition:
    import pymetis

    # METIS keeps 32 bits of a seed where it is built with small integers.
    options = pymetis.Options(seed=seed % 2**31)
    graph = pymetis.CSRAdjacency(*_csr_arrays(adjacency))
    found = Partition.of(pymetis.part_graph(clusters, graph, recursive=False, options=options).vertex_part)
    if found.num_clusters < 2:
        raise GraphkitError(
            f"METIS left all {found.num_nodes} nodes in one cluster, and {clusters} were asked for; give fewer "
            "clusters, or take the method heavy_edge"
        )
    return found


def _heavy_edge(adjacency: csr_matrix, clusters: int) -> Partition:
    threads = torch.get_num_threads()
    return Partition(
        torch.from_numpy(_native.heavy_edge_clusters(*_csr_arrays(adjacency), clusters=clusters, threads=threads))
    )


def require_undirected(adjacency: csr_matrix) -> None:
    """Raises GraphkitError where an adjacency is not that of an undirected graph without loops, in sorted CSR form."""
    fault = _native.adjacency_fault(*_csr_arrays(adjacency))
    if fault is None:
        return
    kind, node, target = fault
    found = (
        "its row starts do not ascend from 0 to the number of its entries",
        f"node {node} has the neighbour {target}, which is outside 0 to {adjacency.shape[0] - 1}",
        f"the neighbours of node {node} do not ascend at {target}, each named once",
        f"node {node} has a loop",
        f"node {node} has the neighbour {target}, which does not have {node}",
    )[kind]
    raise GraphkitError(
        f"the adjacency is not one of an undirected graph without loops: {found}; graphkit.nodes.adjacency makes it one"
    )


def _require_square(adjacency: csr_matrix) -> None:
    rows, columns = adjacency.shape
    if rows != columns:
        raise GraphkitError(
            f"the adjacency has the shape [{rows}, {columns}], and [N, N] is needed; graphkit.nodes.adjacency makes one"
        )


def _csr_arrays(adjacency: csr_matrix) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the starts and targets of a CSR matrix, both int32 or both int64; the targets as they are."""
    targets = np.ascontiguousarray(adjacency.indices)
    return adjacency.indptr.astype(targets.dtype, copy=False), targets


@dataclass(frozen=True)
class PartitionQuality:
    """What a partition does to a graph's edges, and how even its clusters are."""

    #: share of the edges whose ends lie in two clusters; NaN of a graph without edges
    cut: float
    #: nodes of the largest cluster over those of a mean one
    balance: float
    #: mean over the clusters of the edges that leave one, over the edge ends inside or outside of it, whichever is
    #: fewer; 0 for a cluster that has all of the edge ends or none
    conductance: float
    #: nodes of the smallest and of the largest cluster
    smallest: int
    largest: int


def quality(adjacency: csr_matrix, partition: Partition) -> PartitionQuality:
    """Measures a partition of a graph.

    Args:
        adjacency: [N, N] symmetric, as `graphkit.nodes.adjacency` gives it; every entry counts as one edge end.
        partition: of its N nodes.

    Raises:
        GraphkitError: the partition has another number of nodes.
    """
    _require_square(adjacency)
    partition.require_nodes(adjacency.shape[0], "the graph")
    clusters = partition.assignment.numpy()
    leaving = np.zeros(partition.num_clusters, dtype=np.int64)
    volume = np.zeros(partition.num_clusters, dtype=np.int64)
    for rows in row_blocks(adjacency.indptr):
        starts = adjacency.indptr[rows.start : rows.stop + 1]
        own = np.repeat(clusters[rows], np.diff(starts))
        other = clusters[adjacency.indices[starts[0] : starts[-1]]]
        volume += np.bincount(own, minlength=partition.num_clusters)
        leaving += np.bincount(own[own != other], minlength=partition.num_clusters)
    ends = int(volume.sum())
    fewer = np.minimum(volume, ends - volume)
    conductance = np.divide(leaving, fewer, out=np.zeros(len(leaving)), where=fewer > 0)
    sizes = partition.sizes
    return PartitionQuality(
        cut=float(leaving.sum() / ends) if ends else float("nan"),
        balance=float(sizes.max()) * partition.num_clusters / partition.num_nodes,
        conductance=float(conductance.mean()),
        smallest=int(sizes.min()),
        largest=int(sizes.max()),
    )
