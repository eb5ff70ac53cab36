"""Attributed graphs: nodes with features and classes, from files, by name, or made by a generator.

The public names are imported when they are first used: PyG takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphkit.nodes.compression import compressed_adjacency, membership, pool
    from graphkit.nodes.graph import NodeGraph, adjacency
    from graphkit.nodes.named import NODE_DATASETS, NodeDataset, load, names
    from graphkit.nodes.partitioning import METHODS, Partition, PartitionQuality, partition, quality
    from graphkit.nodes.planted import planted_communities
    from graphkit.nodes.splits import NodeSplit, mask_splits, random_splits
    from graphkit.nodes.standardizing import STANDARD_FORMS, standardized

_HOMES = {
    "METHODS": "partitioning",
    "NODE_DATASETS": "named",
    "NodeDataset": "named",
    "NodeGraph": "graph",
    "NodeSplit": "splits",
    "Partition": "partitioning",
    "PartitionQuality": "partitioning",
    "STANDARD_FORMS": "standardizing",
    "adjacency": "graph",
    "compressed_adjacency": "compression",
    "load": "named",
    "mask_splits": "splits",
    "membership": "compression",
    "names": "named",
    "partition": "partitioning",
    "planted_communities": "planted",
    "pool": "compression",
    "quality": "partitioning",
    "random_splits": "splits",
    "standardized": "standardizing",
}

__all__ = [
    "METHODS",
    "NODE_DATASETS",
    "STANDARD_FORMS",
    "NodeDataset",
    "NodeGraph",
    "NodeSplit",
    "Partition",
    "PartitionQuality",
    "adjacency",
    "compressed_adjacency",
    "load",
    "mask_splits",
    "membership",
    "names",
    "partition",
    "planted_communities",
    "pool",
    "quality",
    "random_splits",
    "standardized",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'graphkit.nodes' has no attribute {name!r}")
    return getattr(import_module(f"graphkit.nodes.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
