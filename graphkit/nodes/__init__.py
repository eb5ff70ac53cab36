"""Attributed graphs: nodes with features and labels, partitions of them, and what is computed along their edges."""

from graphkit.nodes.compression import compressed_adjacency, membership, pool
from graphkit.nodes.partition import METHODS, Partition, PartitionQuality, partition, quality

__all__ = [
    "METHODS",
    "Partition",
    "PartitionQuality",
    "compressed_adjacency",
    "membership",
    "partition",
    "pool",
    "quality",
]
