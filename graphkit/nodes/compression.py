"""Compressed graphs: a node for each cluster of a partition, its features pooled and its edges summed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from torch import Tensor
from torch.nn.functional import embedding_bag

from graphkit.errors import GraphkitError
from graphkit.nodes.blocks import row_blocks
from graphkit.nodes.partitioning import Partition
from graphkit.nodes.propagation import sparse_csr

#: Rows of features that are added up in float32.
_PIECE = 512


def membership(partition: Partition, *, orthonormal: bool = False) -> csr_matrix:
    """Returns which node is in which cluster (StructComp, section 3).

    Args:
        partition: N nodes in P clusters.
        orthonormal: divides each column by the root of its cluster's size, so that PᵀP = I.

    Returns:
        float32[N, P], with one entry in each row: 1, or 1/√|S_j|.
    """
    weights = partition.sizes.float().rsqrt() if orthonormal else torch.ones(partition.num_clusters)
    columns = partition.assignment.numpy()
    shape = (partition.num_nodes, partition.num_clusters)
    return csr_matrix((weights[partition.assignment].numpy(), columns, np.arange(len(columns) + 1)), shape=shape)


def pool(x: Tensor, members: Partition | tuple[Tensor, Tensor]) -> Tensor:
    """Returns the mean features of the members of each cluster.

    Args:
        x: float32[N, F], which may lie over a memory map: it is read where members are, and never copied.
        members: a partition of the N nodes, or what `ClusterBatch` has kept of some clusters: where the members of
            each begin, int64[P + 1], and their node ids, int64[·], at least one of each cluster.

    Returns:
        float32[P, F].

    Raises:
        GraphkitError: x has another number of nodes than the partition, or is no float32 matrix.
    """
    if x.dim() != 2 or x.dtype != torch.float32:
        raise GraphkitError(
            f"the features have the shape {list(x.shape)} and the type {str(x.dtype)[6:]}, and float32[N, F] is needed"
        )
    if isinstance(members, Partition):
        members.require_nodes(len(x), "the feature matrix")
        starts, ids = members.member_starts, members.members
    else:
        starts, ids = members
    # Rows are added up where they lie; only where they do not lie in one piece are they gathered first, a block each.
    bounds = starts.numpy()
    pooled = [
        _means(x, ids[bounds[some.start] : bounds[some.stop]], starts[some.start : some.stop + 1] - starts[some.start])
        for some in row_blocks(bounds)
    ]
    return pooled[0] if len(pooled) == 1 else torch.cat(pooled)


def _means(x: Tensor, ids: Tensor, starts: Tensor) -> Tensor:
    """Returns the means of clusters; those of many members are means of pieces' means."""
    sizes = starts.diff()
    if len(sizes) == 0 or int(sizes.max()) <= _PIECE:
        return embedding_bag(ids, x, starts, mode="mean", include_last_offset=True)
    owners, bounds = _pieces(starts)
    means = embedding_bag(ids, x, bounds, mode="mean", include_last_offset=True).double()
    sums = means.new_zeros(len(sizes), x.shape[1]).index_add_(0, owners, means * bounds.diff().unsqueeze(1))
    return (sums / sizes.unsqueeze(1)).float()


def _weighted_sums(x: Tensor, ids: NDArray[Any], weights: NDArray[np.float32], starts: Tensor) -> Tensor:
    """Returns weighted sums of rows of x, one for each run of ids; long runs are sums of pieces' sums, in float64."""
    runs = len(starts) - 1
    if runs == 0 or int(starts.diff().max()) <= _PIECE:
        return sparse_csr(starts, ids, weights, (runs, len(x))) @ x
    owners, bounds = _pieces(starts)
    sums = (sparse_csr(bounds, ids, weights, (len(owners), len(x))) @ x).double()
    return sums.new_zeros(runs, x.shape[1]).index_add_(0, owners, sums)


def _pieces(starts: Tensor) -> tuple[Tensor, Tensor]:
    """Cuts runs into pieces of at most `_PIECE`: a sum of millions in float32 would lose digits.

    Returns:
        The run of each piece, and where pieces begin, with the end of the last: int64[·] and one more.
    """
    pieces = (starts.diff() + _PIECE - 1) // _PIECE
    owners = torch.repeat_interleave(torch.arange(len(pieces)), pieces)
    place = torch.arange(len(owners)) - (pieces.cumsum(0) - pieces)[owners]
    return owners, torch.cat([starts[owners] + place * _PIECE, starts[-1:]])


def pool_neighborhoods(x: Tensor, adjacency: csr_matrix, partition: Partition) -> Tensor:
    """Returns the mean of ÂX over the members of each cluster, QᵀÂX, without ÂX itself.

    Pooled like that, a cluster is seen through its neighbourhood, as its members are once the encoder is used over the
    graph; StructComp pools X.

    Args:
        x: float32[N, F].
        adjacency: float32[N, N], symmetric, without loops; Â is `normalized` of it.
        partition: of its N nodes into P clusters.

    Returns:
        float32[P, F].

    Raises:
        GraphkitError: x or the partition has another number of nodes than the graph.
    """
    partition.require_nodes(adjacency.shape[0], "the graph")
    partition.require_nodes(len(x), "the feature matrix")
    starts, members, sizes = partition.member_starts, partition.members.numpy(), partition.sizes
    scale = (np.asarray(adjacency.sum(axis=1)).ravel() + 1).astype(np.float32) ** -0.5
    degrees = np.diff(adjacency.indptr)[members]
    ends = torch.from_numpy(np.concatenate([[0], np.cumsum(degrees)]))[starts]
    pooled = x.new_empty(partition.num_clusters, x.shape[1])
    for some in row_blocks(ends.numpy()):
        own = members[starts[some.start] : starts[some.stop]]
        rows = adjacency[own]
        values = rows.data * scale[rows.indices] * np.repeat(scale[own], np.diff(rows.indptr))
        bounds = slice(some.start, some.stop + 1)
        sums = _weighted_sums(x, rows.indices, values, ends[bounds] - ends[some.start])
        sums = sums + _weighted_sums(x, own, scale[own] ** 2, starts[bounds] - starts[some.start])
        pooled[some] = sums / sizes[some].unsqueeze(1)
    return pooled


def compressed_adjacency(
    adjacency: csr_matrix, partition: Partition, *, weighted: bool = True, inner: bool = True
) -> csr_matrix:
    """Returns MᵀAM: the edges between clusters, M being the membership (StructComp, section 2).

    Args:
        adjacency: float32[N, N], symmetric.
        partition: of its N nodes into P clusters.
        weighted: counts edges; without it every entry is 1, as in the released code of StructComp.
        inner: keeps the edges inside of clusters, on the diagonal.

    Returns:
        float32[P, P], symmetric; the diagonal has twice the inner edges of each cluster, or nothing.

    Raises:
        GraphkitError: the partition has another number of nodes than the graph.
    """
    partition.require_nodes(adjacency.shape[0], "the graph")
    clusters, starts = partition.assignment.numpy(), partition.member_starts.numpy()
    members, count = partition.members.numpy(), partition.num_clusters
    degrees = np.diff(adjacency.indptr)[members]
    ends = np.concatenate([[0], np.cumsum(degrees)])[starts]
    blocks = []
    for some in row_blocks(ends):
        rows = adjacency[members[starts[some.start] : starts[some.stop]]]
        own = ends[some.start : some.stop + 1] - ends[some.start]
        block = csr_matrix((rows.data, clusters[rows.indices], own), shape=(some.stop - some.start, count))
        block.sum_duplicates()
        blocks.append(block)
    compressed = csr_matrix(vstack(blocks, format="csr"))
    if not inner:
        rows = np.repeat(np.arange(count, dtype=compressed.indices.dtype), np.diff(compressed.indptr))
        compressed.data[rows == compressed.indices] = 0
        compressed.eliminate_zeros()
    if not weighted:
        compressed.data[:] = 1
    return compressed
