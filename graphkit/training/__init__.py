"""Training: the trainer, its tasks, and the folder of a run.

What trains on graphs of nodes is imported when it is first used: PyG takes seconds to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphkit.training.assembly import Trained, assemble, load_graph, load_trained, resume, run_config, start
from graphkit.training.links import LinkTask
from graphkit.training.queries import QueryTask
from graphkit.training.run import Run
from graphkit.training.task import Task
from graphkit.training.trainer import Interrupted, Schedule, Trainer

if TYPE_CHECKING:
    from graphkit.training.contrastive import ContrastiveTask
    from graphkit.training.contrastive_plan import ClusterSampling

_OF_NODES = {
    "ClusterSampling": "graphkit.training.contrastive_plan",
    "ContrastiveTask": "graphkit.training.contrastive",
}

__all__ = [
    "ClusterSampling",
    "ContrastiveTask",
    "Interrupted",
    "LinkTask",
    "QueryTask",
    "Run",
    "Schedule",
    "Task",
    "Trained",
    "Trainer",
    "assemble",
    "load_graph",
    "load_trained",
    "resume",
    "run_config",
    "start",
]


def __getattr__(name: str) -> Any:
    if name in _OF_NODES:
        return getattr(import_module(_OF_NODES[name]), name)
    raise AttributeError(f"module 'graphkit.training' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_OF_NODES])
