"""`ClusterSampler`: batches of the clusters of a partition, made ahead of the trainer by native threads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphkit import _native
from graphkit.errors import GraphkitError
from graphkit.nodes import Partition
from graphkit.samplers.native_sampler import NativeSampler, as_tensor, require_negatives


@dataclass(frozen=True)
class ClusterOptions:
    """What determines the stream of batches, beside the partition: equal options give equal batches."""

    #: B, clusters a batch; None = all of them, in their order. An epoch visits each cluster once; its last batch is
    #: smaller, and one cluster that would be left over joins the batch before it, since losses compare clusters
    batch_size: int | None = None
    #: 2 = members are drawn for a second view (DropMember); 1 = they are not
    views: int = 1
    #: share of its members that DropMember leaves out of each cluster
    drop_rate: float = 0.5
    #: K, places of other clusters that are drawn for each of a batch
    negatives: int = 0
    #: draws negatives once, for all batches alike; for batches of all clusters alone
    negatives_once: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size is not None and (type(self.batch_size) is not int or not 2 <= self.batch_size < 2**31):
            raise GraphkitError(
                f"sampler.batch_size is {self.batch_size!r}, and a whole number from 2 to 2**31 - 1 is needed, or null "
                "for all clusters"
            )
        if self.views not in (1, 2):
            raise GraphkitError(f"views is {self.views!r}, and 1 or 2 is needed")
        if not isinstance(self.drop_rate, int | float) or not 0 <= self.drop_rate < 1:
            raise GraphkitError(
                f"sampler.drop_rate is {self.drop_rate!r}, and a share from 0 up to but not 1 is needed"
            )
        if type(self.negatives) is not int or not 0 <= self.negatives < 2**31:
            raise GraphkitError(f"negatives is {self.negatives!r}, and a whole number from 0 to 2**31 - 1 is needed")
        if self.negatives_once and self.batch_size is not None:
            raise GraphkitError(
                f"negatives_once is set with batch_size {self.batch_size}: negatives are places in a batch, and only "
                "batches of all clusters stay the same; give batch_size null, or leave negatives_once out"
            )
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise GraphkitError(f"seed is {self.seed!r}, and a number from 0 to 2**63 - 1 is needed")


@dataclass(frozen=True)
class ClusterBatch:
    """B clusters; place b of every tensor belongs to the same one."""

    #: place of the batch in the sampler's stream, from 0
    number: int
    #: int64[B], ids of the clusters
    clusters: Tensor
    #: int64[B + 1], where the kept members of each cluster begin; None with one view
    kept_starts: Tensor | None = None
    #: int64[·], node ids of the members that DropMember keeps, ascending within each cluster; None with one view
    kept: Tensor | None = None
    #: int64[B, K], places from 0 to B - 1; None without negatives
    negatives: Tensor | None = None

    @property
    def size(self) -> int:
        """B."""
        return len(self.clusters)


class ClusterSampler(NativeSampler[ClusterBatch]):
    """An endless, resumable stream of `ClusterBatch` over the clusters of a partition.

    *Clusters.* Batches hold all clusters in their order, or an epoch visits each once in an order keyed by
    (seed, epoch).

    *DropMember* (StructComp, section 3) keeps max(1, ⌊(1 - drop_rate)·|S|⌋) members of each cluster S, uniformly
    without replacement: a cluster of one node keeps it.

    *Negatives* are drawn uniformly from the places of the batch, with replacement; a place may draw itself.

    Every draw is a function of (seed, batch, place): batches do not depend on the number of threads, and a stream that
    starts at batch n equals the rest of one that started at 0.

    Args:
        partition: what is sampled from.
        options: what determines the stream.
        threads: native threads that make batches; they run without the interpreter's lock.
        ahead: how many batches may wait for the trainer.

    Raises:
        GraphkitError: an option is out of range.
    """

    def __init__(
        self, partition: Partition, options: ClusterOptions | None = None, *, threads: int = 1, ahead: int = 4
    ) -> None:
        super().__init__(threads=threads, ahead=ahead)
        self.partition = partition
        self.options = options or ClusterOptions()
        clusters, size = partition.num_clusters, self.options.batch_size
        if size is None or size >= clusters:
            largest = clusters
        else:
            largest = size + (clusters % size == 1)  # one that is left over joins the batch before it
        require_negatives(largest, self.options.negatives, "clusters")

    @property
    def batches_per_epoch(self) -> int:
        """Batches that visit every cluster once."""
        return batches_per_epoch(self.partition.num_clusters, self.options.batch_size)

    def _made(self, parts: Any) -> ClusterBatch:
        number, clusters, kept_starts, kept, negatives = parts
        return ClusterBatch(number, torch.from_numpy(clusters), *map(as_tensor, (kept_starts, kept, negatives)))

    def _start(self) -> Any:
        options, partition = self.options, self.partition
        kept_sizes = kept_members(partition.sizes, options.drop_rate).numpy() if options.views == 2 else None
        return _native.ClusterStream(
            partition.member_starts.numpy(),
            partition.members.numpy(),
            kept_sizes,
            batch_size=options.batch_size or 0,
            negatives=options.negatives,
            negatives_once=options.negatives_once,
            seed=options.seed,
            threads=self.threads,
            ahead=self.ahead,
            first=self.position,
        )


def batches_per_epoch(clusters: int, batch_size: int | None) -> int:
    """Returns how many batches visit each of so many clusters once; None = all of them make one batch."""
    # A cluster that is left over alone makes no batch.
    return 1 if batch_size is None else max(1, math.ceil((clusters - 1) / batch_size))


def kept_members(sizes: Tensor, drop_rate: float) -> Tensor:
    """Returns how many members DropMember keeps of clusters of these sizes (both int64[P])."""
    # 20 members at a rate of 0.9 leave 2, although 20 * (1 - 0.9) is below 2 in binary.
    return (sizes.double() * (1 - drop_rate) + 1e-9).floor().to(torch.int64).clamp(min=1)
