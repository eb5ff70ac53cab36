"""Learning from graphs that are too large, too slow or too noisy for the usual tools.

The public names below are imported when they are first used, so that ``import graphkit`` stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphkit import data, engine, evaluation, losses, models, nodes, queries, samplers, training
    from graphkit.answering import answer
    from graphkit.errors import GraphkitError
    from graphkit.graph import KnowledgeGraph, Vocabulary
    from graphkit.nodes import NodeGraph
    from graphkit.training import Run, Task, Trainer

__version__ = "0.1.0"

_HOMES = {
    "GraphkitError": "graphkit.errors",
    "KnowledgeGraph": "graphkit.graph",
    "Vocabulary": "graphkit.graph",
    "NodeGraph": "graphkit.nodes",
    "Run": "graphkit.training",
    "Task": "graphkit.training",
    "Trainer": "graphkit.training",
    "answer": "graphkit.answering",
}
_ROOMS = ("data", "engine", "evaluation", "losses", "models", "nodes", "queries", "samplers", "training")

__all__ = [
    "GraphkitError",
    "KnowledgeGraph",
    "NodeGraph",
    "Run",
    "Task",
    "Trainer",
    "Vocabulary",
    "answer",
    "data",
    "engine",
    "evaluation",
    "losses",
    "models",
    "nodes",
    "queries",
    "samplers",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"graphkit.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'graphkit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
