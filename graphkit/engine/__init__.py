"""The embedding engine: host-resident tables, sparse optimisers, and rows gathered ahead of the computation."""

from graphkit.engine.optimizers import Adagrad, Adam, RowOptimizer
from graphkit.engine.prefetch import GatheredBatch, RowPrefetcher
from graphkit.engine.table import EmbeddingTable
from graphkit.engine.taken_rows import TakenRows

__all__ = ["Adagrad", "Adam", "EmbeddingTable", "GatheredBatch", "RowOptimizer", "RowPrefetcher", "TakenRows"]
