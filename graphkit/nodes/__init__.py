"""Attributed graphs: nodes with features and classes, from files, by name, or made by a generator.

The public names are imported when they are first used: PyG takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphkit.nodes.augmentation import EdgeDropper, drop_edges, mask_features
    from graphkit.nodes.compression import compressed_adjacency, membership, pool, pool_neighborhoods
    from graphkit.nodes.graph import NodeGraph, adjacency, undirected
    from graphkit.nodes.imported.importing import NodeImportReport, import_nodes
    from graphkit.nodes.imported.store import open_store
    from graphkit.nodes.partitioning import METHODS, Partition, PartitionQuality, partition, quality
    from graphkit.nodes.planted import planted_communities
    from graphkit.nodes.propagation import hop_features, normalized, propagate
    from graphkit.nodes.published.catalogue import FETCHED, NODE_DATASETS, NodeDataset, names
    from graphkit.nodes.published.named import load
    from graphkit.nodes.splits import NodeSplit, mask_splits, random_splits
    from graphkit.nodes.standardizing import STANDARD_FORMS, standardized

_HOMES = {
    "FETCHED": "published.catalogue",
    "METHODS": "partitioning",
    "NODE_DATASETS": "published.catalogue",
    "EdgeDropper": "augmentation",
    "STANDARD_FORMS": "standardizing",
    "NodeDataset": "published.catalogue",
    "NodeGraph": "graph",
    "NodeImportReport": "imported.importing",
    "NodeSplit": "splits",
    "Partition": "partitioning",
    "PartitionQuality": "partitioning",
    "adjacency": "graph",
    "compressed_adjacency": "compression",
    "drop_edges": "augmentation",
    "hop_features": "propagation",
    "import_nodes": "imported.importing",
    "load": "published.named",
    "mask_features": "augmentation",
    "mask_splits": "splits",
    "membership": "compression",
    "names": "published.catalogue",
    "normalized": "propagation",
    "open_store": "imported.store",
    "partition": "partitioning",
    "planted_communities": "planted",
    "pool": "compression",
    "pool_neighborhoods": "compression",
    "propagate": "propagation",
    "quality": "partitioning",
    "random_splits": "splits",
    "standardized": "standardizing",
    "undirected": "graph",
}

__all__ = [
    "FETCHED",
    "METHODS",
    "NODE_DATASETS",
    "STANDARD_FORMS",
    "EdgeDropper",
    "NodeDataset",
    "NodeGraph",
    "NodeImportReport",
    "NodeSplit",
    "Partition",
    "PartitionQuality",
    "adjacency",
    "compressed_adjacency",
    "drop_edges",
    "hop_features",
    "import_nodes",
    "load",
    "mask_features",
    "mask_splits",
    "membership",
    "names",
    "normalized",
    "open_store",
    "partition",
    "planted_communities",
    "pool",
    "pool_neighborhoods",
    "propagate",
    "quality",
    "random_splits",
    "standardized",
    "undirected",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'graphkit.nodes' has no attribute {name!r}")
    return getattr(import_module(f"graphkit.nodes.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
