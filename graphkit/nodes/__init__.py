"""Attributed graphs: nodes with features and classes, from files, by name, or made by a generator.

The public names are imported when they are first used: PyG takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphkit.nodes.catalogue import FETCHED, NODE_DATASETS, NodeDataset, names
    from graphkit.nodes.graph import NodeGraph, adjacency, undirected
    from graphkit.nodes.importing import NodeImportReport, import_nodes
    from graphkit.nodes.named import load
    from graphkit.nodes.planted import planted_communities
    from graphkit.nodes.splits import NodeSplit, mask_splits, random_splits
    from graphkit.nodes.standardizing import STANDARD_FORMS, standardized
    from graphkit.nodes.store import open_store

_HOMES = {
    "FETCHED": "catalogue",
    "NODE_DATASETS": "catalogue",
    "STANDARD_FORMS": "standardizing",
    "NodeDataset": "catalogue",
    "NodeGraph": "graph",
    "NodeImportReport": "importing",
    "NodeSplit": "splits",
    "adjacency": "graph",
    "import_nodes": "importing",
    "load": "named",
    "mask_splits": "splits",
    "names": "catalogue",
    "open_store": "store",
    "planted_communities": "planted",
    "random_splits": "splits",
    "standardized": "standardizing",
    "undirected": "graph",
}

__all__ = [
    "FETCHED",
    "NODE_DATASETS",
    "STANDARD_FORMS",
    "NodeDataset",
    "NodeGraph",
    "NodeImportReport",
    "NodeSplit",
    "adjacency",
    "import_nodes",
    "load",
    "mask_splits",
    "names",
    "open_store",
    "planted_communities",
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
