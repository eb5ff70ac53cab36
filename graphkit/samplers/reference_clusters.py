"""The plain twin of the native sampler of clusters: slow, obvious, and the oracle of its tests."""

from __future__ import annotations

import math

import torch

from graphkit.nodes import Partition
from graphkit.samplers.cluster_sampler import ClusterBatch, ClusterOptions
from graphkit.samplers.reference import LaneRandom, SplitMix, permute


def sample(partition: Partition, options: ClusterOptions, number: int) -> ClusterBatch:
    """Returns batch `number` of the stream of `options` over `partition`."""
    clusters = _clusters(partition.num_clusters, options, number)
    starts, kept, negatives = [0], [], []
    for place, cluster in enumerate(clusters):
        first, last = partition.member_starts[cluster : cluster + 2].tolist()
        kept += drop_member(
            partition.members[first:last].tolist(),
            options.drop_rate,
            SplitMix(LaneRandom(options.seed, number, place).next()),
        )
        starts.append(len(kept))
        random = LaneRandom(options.seed, 0 if options.negatives_once else number, place)
        random.next()  # is DropMember's
        numbers = SplitMix(random.next())
        negatives.append([numbers.below(len(clusters)) for _ in range(options.negatives)])
    two = options.views == 2
    return ClusterBatch(
        number=number,
        clusters=torch.tensor(clusters),
        kept_starts=torch.tensor(starts) if two else None,
        kept=torch.tensor(kept) if two else None,
        negatives=torch.tensor(negatives) if options.negatives else None,
    )


def _clusters(count: int, options: ClusterOptions, number: int) -> list[int]:
    if options.batch_size is None:
        return list(range(count))
    places = list(range(count))
    batches = [places[first : first + options.batch_size] for first in range(0, count, options.batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        alone = batches.pop()
        batches[-1] += alone
    epoch, batch = divmod(number, len(batches))
    return [permute(place, count, options.seed, epoch) for place in batches[batch]]


def kept_size(size: int, drop_rate: float) -> int:
    """Returns how many of so many members DropMember keeps."""
    # 20 members at a rate of 0.9 leave 2, whatever becomes of 0.9 in binary.
    return max(1, math.floor(size * (1 - drop_rate) + 1e-9))


def drop_member(members: list[int], drop_rate: float, numbers: SplitMix) -> list[int]:
    """Returns the members that are kept, in their order: each set of that size with the same probability.

    A member is kept with the probability that what is still to be kept has among what is left (Fan, Muller and
    Rezucha 1962).
    """
    kept: list[int] = []
    wanted = kept_size(len(members), drop_rate)
    for i, member in enumerate(members):
        if numbers.below(len(members) - i) < wanted - len(kept):
            kept.append(member)
    return kept
