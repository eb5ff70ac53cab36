"""Attributed graphs: nodes with features and classes, from files, by name, or made by a generator.

The public names are imported when they are first used: PyG takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphkit.nodes.graph import NodeGraph, adjacency
    from graphkit.nodes.planted import planted_communities
    from graphkit.nodes.splits import NodeSplit, mask_splits, random_splits

_HOMES = {
    "NodeGraph": "graph",
    "NodeSplit": "splits",
    "adjacency": "graph",
    "mask_splits": "splits",
    "planted_communities": "planted",
    "random_splits": "splits",
}

__all__ = [
    "NodeGraph",
    "NodeSplit",
    "adjacency",
    "mask_splits",
    "planted_communities",
    "random_splits",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'graphkit.nodes' has no attribute {name!r}")
    return getattr(import_module(f"graphkit.nodes.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
