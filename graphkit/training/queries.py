"""The task ``queries``: single- and multi-hop queries at once, judged by their hard answers."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from graphkit.data import load_queries
from graphkit.engine import EmbeddingTable, RowOptimizer
from graphkit.errors import GraphkitError
from graphkit.evaluation import QueryMetrics, evaluate_queries
from graphkit.graph import SPLITS, KnowledgeGraph, Split
from graphkit.losses import Loss
from graphkit.models import Model
from graphkit.queries import STRUCTURES, QueryTable
from graphkit.samplers import QuerySampler, held_out_queries
from graphkit.training.embedding import EmbeddingTask, Precision, Weighting

#: What models are usually trained on (Ren et al., ICLR 2020), and those with a negation besides (Ren and Leskovec,
#: NeurIPS 2020). The other structures are for evaluation: nothing is learned of a union, and pi and ip show whether a
#: model generalises.
TRAINED_STRUCTURES = ("1p", "2p", "3p", "2i", "3i")
TRAINED_NEGATIONS = ("2in", "3in", "inp", "pin", "pni")

#: Queries of a structure that are drawn from held-out edges where no published set is named.
DRAWN_QUERIES = 1000


class QueryTask(EmbeddingTask):
    """Trains a model on queries of several structures and ranks the hard answers of held-out queries.

    Args:
        graph, model, table, sampler, loss, optimizer, seed, n3, precision: see `EmbeddingTask`.
        weighting: as there; by default queries weigh by their number of answers.
        queries: name of a published query set (`graphkit.data.QUERY_SETS`) on the same graph; by default, and for a
            split that the set lacks, queries whose answers depend on held-out edges are drawn (`held_out_queries`).
        validation_queries: rank at most so many validation queries of a structure, a fixed random choice; None = all.

    Raises:
        GraphkitError: as `EmbeddingTask` does, or the query set is unknown or was made on another graph.
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
        weighting: Weighting = "answers",
        precision: Precision = "fp32",
        queries: str | None = None,
        validation_queries: int | None = 200,
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
        )
        self.published = None if queries is None else load_queries(queries)
        if self.published is not None:
            self.published.require_graph(graph)
        self.validation_queries = validation_queries

    @staticmethod
    def default_structures(model: Model) -> str:
        """Returns the names of the structures that the model is trained on if nothing is said."""
        named = (*TRAINED_STRUCTURES, *TRAINED_NEGATIONS)
        return " ".join(name for name in named if _can_embed(model, name))

    def validate(self) -> dict[str, float]:
        """Ranks validation queries; empty when there are none."""
        tables = self._valid
        if not tables:
            return {}
        measured = self._evaluate(tables, self.validation_queries)
        return measured.mean | {f"{name}/mrr": structure.mean["mrr"] for name, structure in measured.structures.items()}

    def measure(self) -> dict[str, Any]:
        """Ranks test queries; empty when there are none."""
        tables, source = self._tables("test")
        if not tables:
            return {}
        measured = self._evaluate(tables, None)
        return {"queries": {"test": measured.to_json(), "protocol": {"queries": source, **measured.protocol}}}

    @cached_property
    def _valid(self) -> dict[str, QueryTable]:
        return self._tables("valid")[0]

    def _tables(self, split: Split) -> tuple[dict[str, QueryTable], str]:
        """Returns the held-out queries of a split, and where they come from."""
        if self.published is not None and split in self.published.splits:
            return self.published.tables(split), self.published.name
        if len(self.graph.triples(split)) == 0:
            return {}, "none"
        full = SPLITS[: SPLITS.index(split) + 1]
        structures = [structure for name, structure in STRUCTURES.items() if _can_embed(self.model, name)]
        drawn = held_out_queries(self.graph, structures, known=full[:-1], full=full, count=DRAWN_QUERIES)
        return drawn, f"drawn from the {split} triples"

    def _evaluate(self, tables: dict[str, QueryTable], limit: int | None) -> QueryMetrics:
        with self.evaluating():
            return evaluate_queries(self.model, self.table, tables, limit=limit, skip_unsupported=True)


def _can_embed(model: Model, name: str) -> bool:
    try:
        model.require(STRUCTURES[name])
    except GraphkitError:
        return False
    return True
