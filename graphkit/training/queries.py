"""The task ``queries``: single- and multi-hop queries at once, judged by their hard answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from graphkit.data import QuerySet, load_queries
from graphkit.engine import EmbeddingTable, Engine, RowOptimizer
from graphkit.errors import GraphkitError
from graphkit.evaluation import evaluate_queries
from graphkit.graph import SPLITS, KnowledgeGraph, Split
from graphkit.losses import Loss
from graphkit.models import Model
from graphkit.queries import STRUCTURES, QueryTable
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.samplers.held_out import MOST_ANSWERS, held_out_queries
from graphkit.training.embedding import EmbeddingTask, Precision, Weighting
from graphkit.training.plan import SHARED_CANDIDATES

#: What models are usually trained on (Ren et al., ICLR 2020), and those with a negation besides (Ren and Leskovec,
#: NeurIPS 2020). The other structures are for evaluation: nothing is learned of a union, and pi and ip show whether a
#: model generalises.
TRAINED_STRUCTURES = ("1p", "2p", "3p", "2i", "3i")
TRAINED_NEGATIONS = ("2in", "3in", "inp", "pin", "pni")

#: Queries of a structure that are drawn from held-out edges where no published set is named.
DRAWN_QUERIES = 1000

#: The splits that published queries may have.
HeldOut = Literal["valid", "test"]


@dataclass(frozen=True)
class Questions:
    """What a model is asked of a split: queries, where they come from, and what is not asked."""

    split: Split
    #: by the name of their structure
    tables: dict[str, QueryTable]
    #: ``queries``, the name of their set or how they were drawn, and what else limits them
    protocol: dict[str, Any]
    #: by the name of a structure: why there are no queries of it
    skipped: dict[str, str]

    @classmethod
    def published(cls, queries: QuerySet, split: HeldOut) -> Questions:
        """Asks all queries that a published set has of a split; see `QuerySet.tables`."""
        return cls(split, queries.tables(split), {"queries": queries.name}, {})

    def measure(self, model: Model, table: EmbeddingTable) -> dict[str, Any]:
        """Ranks the hard answers of all queries; see `evaluate_queries`.

        Returns:
            The metrics as `metrics.json` holds them: by split, with the protocol, which says what was left out.

        Raises:
            GraphkitError: there is nothing to ask, or as `evaluate_queries` does.
        """
        if not self.tables:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.skipped.items())
            without = f"the graph has no {self.split} triples; import it with a {self.split} file or a split"
            raise GraphkitError(f"there are no {self.split} queries to rank: {reasons or without}")
        measured = evaluate_queries(model, table, self.tables, skip_unsupported=True)
        protocol: dict[str, Any] = {**self.protocol, **measured.protocol}
        protocol["skipped"] = {**self.skipped, **protocol["skipped"]}
        return {self.split: measured.to_json(), "protocol": protocol}


def load_published(name: str, graph: KnowledgeGraph) -> QuerySet:
    """Loads a published query set that was made on the graph.

    Raises:
        GraphkitError: the set is unknown, not there, or was made on another graph.
    """
    published = load_queries(name)
    published.require_graph(graph)
    return published


def questions(graph: KnowledgeGraph, model: Model, split: Split, published: QuerySet | None = None) -> Questions:
    """Returns the queries that a model is judged by: published ones, or drawn where the set has none of the split.

    Args:
        graph: the graph with its splits.
        model: queries of structures that it cannot embed are not drawn.
        split: valid or test.
        published: a query set that was made on the graph.

    Raises:
        GraphkitError: the split is the one that is trained on.
    """
    if published is not None and split in published.splits:
        return Questions.published(published, split)
    if split == "train":
        raise GraphkitError("the train triples make no answer hard, so that no queries rank them; name valid or test")
    if len(graph.triples(split)) == 0:
        return Questions(split, {}, {"queries": "none"}, {})
    missing = {name: model.missing(structure) for name, structure in STRUCTURES.items()}
    wanted = [STRUCTURES[name] for name, reason in missing.items() if reason is None]
    full = SPLITS[: SPLITS.index(split) + 1]
    drawn = held_out_queries(graph, wanted, known=full[:-1], full=full, count=DRAWN_QUERIES)
    skipped = {name: reason for name, reason in (missing | drawn.skipped).items() if reason is not None}
    protocol = {"queries": f"drawn from the {split} triples", "answers_at_most": MOST_ANSWERS}
    return Questions(split, drawn.tables, protocol, skipped)


class QueryTask(EmbeddingTask):
    """Trains a model on queries of several structures and ranks the hard answers of held-out queries.

    Args:
        graph, model, table, loss, optimizer, seed, n3, precision, layer_precision, engine: see `EmbeddingTask`.
        sampler: as there; by default queries of `default_structures` with shared negatives.
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
        layer_precision: Precision = "fp32",
        engine: Engine | None = None,
        queries: str | None = None,
        validation_queries: int | None = 200,
    ) -> None:
        if sampler is None:
            options = SamplerOptions(
                structures=self.default_structures(model),
                batch_size=256,
                mode="shared",
                negatives=min(SHARED_CANDIDATES, graph.num_entities),
                seed=seed,
            )
            sampler = QuerySampler(graph, options)
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
        self.published = None if queries is None else load_published(queries, graph)
        self.validation_queries = validation_queries

    @staticmethod
    def default_structures(model: Model) -> str:
        """See `ChoosesStructures`: those that models are usually trained on, as far as this one embeds them."""
        named = (*TRAINED_STRUCTURES, *TRAINED_NEGATIONS)
        return " ".join(name for name in named if model.missing(STRUCTURES[name]) is None)

    def validate(self) -> dict[str, float]:
        """Ranks validation queries; empty when there are none."""
        if not self._valid.tables:
            return {}
        with self.evaluating():
            measured = evaluate_queries(
                self.model, self.table, self._valid.tables, limit=self.validation_queries, skip_unsupported=True
            )
        return measured.mean | {f"{name}/mrr": structure.mean["mrr"] for name, structure in measured.structures.items()}

    def measure(self) -> dict[str, Any]:
        """Ranks test queries; without any, tells what was left out, and is empty when the graph has no test triples."""
        asked = questions(self.graph, self.model, "test", self.published)
        if not asked.tables:
            return {"queries": {"protocol": {**asked.protocol, "skipped": asked.skipped}}} if asked.skipped else {}
        with self.evaluating():
            return {"queries": asked.measure(self.model, self.table)}

    @cached_property
    def _valid(self) -> Questions:
        return questions(self.graph, self.model, "valid", self.published)
