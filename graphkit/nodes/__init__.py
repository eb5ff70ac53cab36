"""Attributed graphs: nodes with features and classes, from files, by name, or made by a generator.

The public names are imported when they are first used: PyG takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphkit.nodes.compression import compressed_adjacency, membership, pool
    from graphkit.nodes.graph import NodeGraph, adjacency
    from graphkit.nodes.partition import METHODS, Partition, PartitionQuality, partition, quality
    from graphkit.nodes.planted import planted_communities
    from graphkit.nodes.splits import NodeSplit, mask_splits, random_splits

_HOMES = {
    "METHODS": "partition",
    "NodeGraph": "graph",
    "NodeSplit": "splits",
    "Partition": "partition",
    "PartitionQuality": "partition",
    "adjacency": "graph",
    "compressed_adjacency": "compression",
    "mask_splits": "splits",
    "membership": "compression",
    "partition": "partition",
    "planted_communities": "planted",
    "pool": "compression",
    "quality": "partition",
    "random_splits": "splits",
}

__all__ = [
    "METHODS",
    "NodeGraph",
    "NodeSplit",
    "Partition",
    "PartitionQuality",
    "adjacency",
    "compressed_adjacency",
    "mask_splits",
    "membership",
    "partition",
    "planted_communities",
    "pool",
    "quality",
    "random_splits",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'graphkit.nodes' has no attribute {name!r}")
    return getattr(import_module(f"graphkit.nodes.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
