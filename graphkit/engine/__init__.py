"""The embedding engine: host-resident tables, sparse optimisers, and rows gathered ahead of the computation."""

from graphkit.engine.optimizers import SGD, Adagrad, Adam, RowAdagrad, RowOptimizer
from graphkit.engine.prefetch import GatheredBatch, RowPrefetcher
from graphkit.engine.table import EmbeddingTable
from graphkit.engine.taken_rows import TakenRows

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "EmbeddingTable",
    "GatheredBatch",
    "RowAdagrad",
    "RowOptimizer",
    "RowPrefetcher",
    "TakenRows",
]
