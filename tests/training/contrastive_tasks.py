"""Small tasks of contrastive training, and what came of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphkit.losses import CCASSG, COLES, GRACE, SCE, ContrastiveLoss
from graphkit.models import Encoder, GCNEncoder, SGCEncoder
from graphkit.nodes import NodeGraph
from graphkit.training import ContrastiveTask

DIM = 8
LOSSES: dict[str, Callable[[], ContrastiveLoss]] = {
    "sce": lambda: SCE(dim=DIM),
    "coles": lambda: COLES(dim=DIM),
    "cca_ssg": lambda: CCASSG(dim=DIM),
    "grace": lambda: GRACE(dim=DIM),
}


def encoder_of(graph: NodeGraph, loss: str) -> Encoder:
    return (SGCEncoder if loss in ("sce", "coles") else GCNEncoder)(graph.num_features, dim=DIM)


def made(graph: NodeGraph, loss: str = "sce", **settings: Any) -> ContrastiveTask:
    settings = {"clusters": 12, "partition": "random", "epochs": 4, "splits": 2, "labels_per_class": 5} | settings
    return ContrastiveTask(graph, encoder_of(graph, loss), loss=LOSSES[loss](), **settings)


def trained(task: ContrastiveTask, steps: int | None = None) -> list[float]:
    """Takes steps, by default all, and returns their losses."""
    batches = task.batches()
    losses = [task.step(next(batches))["loss"] for _ in range(task.steps - task._trained if steps is None else steps)]
    task.close()
    return losses


def state_of(task: ContrastiveTask) -> dict[str, Tensor]:
    """Every tensor of a task's state, by its path."""
    flat: dict[str, Tensor] = {}

    def walk(branch: Any, path: str) -> None:
        if isinstance(branch, Tensor):
            flat[path] = branch.clone()
        elif isinstance(branch, dict):
            for key, value in branch.items():
                walk(value, f"{path}/{key}")

    walk(task.state_dict(), "")
    return flat


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    assert left.keys() == right.keys() and left
    return all(torch.equal(left[name], right[name]) for name in left)
