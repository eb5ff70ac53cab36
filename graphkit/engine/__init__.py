"""The embedding engine: host-resident tables, sparse optimisers, and rows gathered ahead of the computation."""

from graphkit.engine.device.engine import GPU, Simulated
from graphkit.engine.engine import CPU, Engine
from graphkit.engine.optimizers import SGD, Adagrad, Adam, RowAdagrad, RowOptimizer
from graphkit.engine.prefetch import GatheredBatch, RowPrefetcher
from graphkit.engine.table import EmbeddingTable
from graphkit.engine.taken_rows import TakenRows

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
