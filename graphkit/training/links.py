"""The task ``links``: one-hop queries in both directions, judged by link prediction."""

from __future__ import annotations

from typing import Any

from graphkit.engine import EmbeddingTable, Engine, RowOptimizer
from graphkit.evaluation import LinkMetrics, evaluate_links
from graphkit.graph import KnowledgeGraph, Split
from graphkit.losses import Loss
from graphkit.models import Model
from graphkit.samplers import QuerySampler
from graphkit.training.embedding import EmbeddingTask, Precision, Weighting


class LinkTask(EmbeddingTask):
    """Trains a model on the training edges of a graph and ranks its held-out triples.

    Args:
        graph, model, table, sampler, loss, optimizer, seed, n3, weighting, precision, layer_precision,
            engine: see `EmbeddingTask`.
        validation_triples: rank at most so many validation triples, a fixed random choice; None = all.

    Raises:
        GraphkitError: as `EmbeddingTask` does.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        model: Model,
        *,
        table: EmbeddingTable | None = None,
        sampler: QuerySampler | None = None,
        loss: Loss | None = None,
        optimizer: RowOptimizer | None = None,
        seed: int = 0,
        n3: float | None = None,
        weighting: Weighting = "none",
        precision: Precision = "fp32",
        layer_precision: Precision = "fp32",
        engine: Engine | None = None,
        validation_triples: int | None = 1000,
    ) -> None:
        super().__init__(
            graph,
            model,
            table=table,
            sampler=sampler,
            loss=loss,
            optimizer=optimizer,
            seed=seed,
            n3=n3,
            weighting=weighting,
            precision=precision,
            layer_precision=layer_precision,
            engine=engine,
        )
        self.validation_triples = validation_triples

    def validate(self) -> dict[str, float]:
        """Ranks the validation triples, filtered, both sides; empty when the graph has none."""
        if len(self.graph.triples("valid")) == 0:
            return {}
        return self._evaluate("valid", self.validation_triples).mean

    def measure(self) -> dict[str, Any]:
        """Ranks the test triples, filtered, both sides; empty when the graph has none."""
        if len(self.graph.triples("test")) == 0:
            return {}
        measured = self._evaluate("test", None)
        return {"test": measured.to_json(), "protocol": measured.protocol}

    def _evaluate(self, split: Split, limit: int | None) -> LinkMetrics:
        with self.evaluating():
            return evaluate_links(self.graph, self.model, self.table, split=split, limit=limit)
