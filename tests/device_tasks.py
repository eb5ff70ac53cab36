"""Small tasks to train on the CPU and on a simulated device, and what their states are compared by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from strategies import random_graph

from graphkit.engine import SGD, Adagrad, Adam, Engine, RowAdagrad, RowOptimizer
from graphkit.losses import Loss, Softmax
from graphkit.models import GQE, BetaE, ComplEx, Model, Query2box, RotatE, TransE
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training import LinkTask

GRAPH = random_graph(30, 3, 150, held_out=8)
MODELS: dict[str, Callable[[], Model]] = {
    "betae": lambda: BetaE(3, dim=8, hidden=16),
    "complex": lambda: ComplEx(3, dim=8),
    "gqe": lambda: GQE(3, dim=8),
    "query2box": lambda: Query2box(3, dim=8),
    "rotate": lambda: RotatE(3, dim=8),
    "transe": lambda: TransE(3, dim=8),
}
OPTIMIZERS: dict[str, Callable[[], RowOptimizer]] = {
    "adagrad": Adagrad,
    "adam": lambda: Adam(lr=0.01),
    "row_adagrad": RowAdagrad,
    "sgd": SGD,
}
CACHES: list[dict[str, Any]] = [
    {},
    {"cache_rows": 7},
    {"cache_rows": 7, "cache": "lru"},
    {"cache_rows": 40},
    {"cache_rows": 40, "cache": "lru"},
    {"zero_copy": True},
    {"zero_copy": True, "cache_rows": 7, "cache": "lru"},
]


def task(
    engine: Engine | None = None,
    *,
    model: str = "complex",
    mode: str = "shared",
    optimizer: str = "adam",
    structures: str = "1p",
    loss: Loss | None = None,
    **sampling: Any,
) -> LinkTask:
    negatives = 0 if mode == "none" else 8
    options = SamplerOptions(structures=structures, batch_size=16, mode=mode, negatives=negatives, seed=5, **sampling)
    parts: dict[str, Any] = {"loss": loss or Softmax(), "optimizer": OPTIMIZERS[optimizer](), "engine": engine}
    return LinkTask(GRAPH, MODELS[model](), sampler=QuerySampler(GRAPH, options), seed=3, **parts)


def run_steps(trained: LinkTask, steps: int) -> list[float]:
    batches = trained.batches()
    try:
        return [trained.step(next(batches))["loss"] for _ in range(steps)]
    finally:
        trained.close()


def tensors(state: dict[str, Any], prefix: str = "") -> dict[str, torch.Tensor]:
    found = {}
    for key, value in state.items():
        if isinstance(value, dict):
            found |= tensors(value, f"{prefix}{key}/")
        elif isinstance(value, torch.Tensor):
            found[prefix + key] = value.clone()
    return found


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys() and len(left) >= 2
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
