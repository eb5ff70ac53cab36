"""The embedding engine: host-resident tables, sparse optimisers, and rows gathered ahead of the computation.

Engines that compute on a device are imported when they are first used: the CPU needs neither them nor kernels of GPUs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphkit.engine.engine import CPU, Engine
from graphkit.engine.optimizers import SGD, Adagrad, Adam, RowAdagrad, RowOptimizer
from graphkit.engine.prefetch import GatheredBatch, RowPrefetcher
from graphkit.engine.table import EmbeddingTable
from graphkit.engine.taken_rows import TakenRows

if TYPE_CHECKING:
    from graphkit.engine.device.engine import GPU, Simulated

__all__ = [
    "CPU",
    "GPU",
    "SGD",
    "Adagrad",
    "Adam",
    "EmbeddingTable",
    "Engine",
    "GatheredBatch",
    "RowAdagrad",
    "RowOptimizer",
    "RowPrefetcher",
    "Simulated",
    "TakenRows",
]


def __getattr__(name: str) -> Any:
    if name in ("GPU", "Simulated"):
        return getattr(import_module("graphkit.engine.device.engine"), name)
    raise AttributeError(f"module 'graphkit.engine' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "GPU", "Simulated"])
