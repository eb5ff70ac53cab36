"""Multi-hop queries: each hard answer, ranked among all entities that are no answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphkit.engine import EmbeddingTable
from graphkit.errors import GraphkitError
from graphkit.evaluation.metrics import summarize
from graphkit.evaluation.ranking import SCORES_AT_ONCE, filtered_ranks
from graphkit.evaluation.scoring import Candidates, Precision, query_scorer
from graphkit.models import Model
from graphkit.queries import QueryTable


@dataclass(frozen=True)
class StructureMetrics:
    """Metrics of the queries of one structure, or averages of such, by the three readings of ties."""

    #: metrics of mean ranks
    mean: dict[str, float]
    optimistic: dict[str, float]
    pessimistic: dict[str, float]

    @classmethod
    def average(cls, parts: Iterable[StructureMetrics]) -> StructureMetrics:
        """Returns the macro average: each part counts the same."""
        readings = ((part.mean, part.optimistic, part.pessimistic) for part in parts)
        return cls(*(_average(reading) for reading in zip(*readings, strict=True)))

    def to_json(self) -> dict[str, object]:
        """Returns the metrics of mean ranks, with the other readings beside them."""
        return {**self.mean, "optimistic": self.optimistic, "pessimistic": self.pessimistic}


@dataclass(frozen=True)
class QueryMetrics:
    """Metrics of multi-hop queries by structure, with the protocol that made them."""

    structures: dict[str, StructureMetrics]
    #: by structure: ranked queries, their hard answers, and queries that have none and were left out
    counts: dict[str, dict[str, int]]
    #: the structures with a negation
    negated: frozenset[str]
    protocol: dict[str, object]

    @property
    def mean(self) -> dict[str, float]:
        """Metrics of mean ranks, averaged over all structures: what validation watches."""
        return StructureMetrics.average(self.structures.values()).mean

    def to_json(self) -> dict[str, object]:
        """Returns the metrics as `metrics.json` holds them.

        Each structure has its metrics and counts; `mean_epfo` averages over the structures without negation and
        `mean_negation` over those with, where there are any.
        """
        found: dict[str, object] = {
            name: {**part.to_json(), **self.counts[name]} for name, part in self.structures.items()
        }
        for mean, negated in (("mean_epfo", False), ("mean_negation", True)):
            parts = [part for name, part in self.structures.items() if (name in self.negated) == negated]
            if parts:
                found[mean] = StructureMetrics.average(parts).to_json()
        return found


def evaluate_queries(
    model: Model,
    table: EmbeddingTable,
    queries: Mapping[str, QueryTable],
    *,
    limit: int | None = None,
    skip_unsupported: bool = False,
    precision: Precision = "fp32",
) -> QueryMetrics:
    """Evaluates a model on multi-hop queries: filtered, ties at the mean rank.

    Each hard answer is ranked among all entities that are neither easy nor hard answers of its query. Metrics are
    averaged over the hard answers of a query, then over the queries of a structure (Ren and Leskovec, NeurIPS 2020).
    Queries without a hard answer do not count. A query whose answers are all entities has ranks of 1.

    Args:
        model: a trained model.
        table: its entity rows.
        queries: the queries by name, e.g. `graphkit.data.QuerySet.tables`; their ids are the model's.
        limit: rank at most so many queries of each structure, a fixed random choice among those with hard answers.
        skip_unsupported: leave out structures that the model cannot embed, which is an error otherwise.
        precision: of the scores; "bf16" is an approximation for models whose score is a plain matrix product.

    Returns:
        The metrics. ``protocol["skipped"]`` says why each structure without metrics has none.

    Raises:
        GraphkitError: the model cannot embed a structure or has no scores of that precision, an id is out of range, a
            score is NaN, or no query is left.
    """
    if limit is not None and limit < 1:
        raise GraphkitError(f"the limit of queries of a structure is {limit}, and at least 1 is needed; None ranks all")
    candidates = Candidates(model, table)
    structures, counts, skipped = {}, {}, {}
    for name, asked in queries.items():
        _require_ids(name, asked, len(table), model.num_relations)
        if reason := model.missing(asked.structure):
            if not skip_unsupported:
                raise GraphkitError(reason)
            skipped[name] = reason
            continue
        numbers = np.flatnonzero(asked.answers.hard.sizes)
        without = len(asked) - len(numbers)
        if len(numbers) == 0:
            skipped[name] = f"none of its {len(asked)} queries has a hard answer"
            continue
        if limit is not None and limit < len(numbers):
            numbers = np.sort(np.random.default_rng(0).choice(numbers, size=limit, replace=False))
        structures[name] = _evaluate(candidates, name, asked, numbers, precision)
        hard = int(asked.answers.hard.sizes[numbers].sum())
        counts[name] = {"queries": len(numbers), "hard_answers": hard, "without_hard_answers": without}
    if not structures:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise GraphkitError(f"there are no queries to rank: {reasons or 'no structure was given'}")
    protocol: dict[str, object] = {
        "queries_at_most": limit,
        "ranked": "hard answers",
        "filtered_by": ["easy answers", "hard answers"],
        "averaged_over": ["hard answers of a query", "queries of a structure", "structures"],
        "ties": "mean rank",
        "candidates": "all entities",
        "entities": len(table),
        "precision": precision,
        "skipped": skipped,
    }
    negated = frozenset(name for name in structures if queries[name].structure.negated)
    return QueryMetrics(structures, counts, negated, protocol)


def _evaluate(
    candidates: Candidates, name: str, asked: QueryTable, numbers: NDArray[np.int64], precision: Precision
) -> StructureMetrics:
    """Ranks the hard answers of queries `numbers`, which have some."""
    some = asked.take(numbers)
    scorer = query_scorer(
        candidates.model,
        candidates.table,
        some.structure,
        some.rows,
        candidates=candidates,
        precision=precision,
    )
    ranks = filtered_ranks(
        scorer,
        len(candidates.table),
        some.answers.hard,
        some.answers.everything(),
        # A query is scored once for each way that unions leave to answer it.
        scores_at_once=max(1, SCORES_AT_ONCE // len(some.structure.disjuncts)),
        queries_at_once=candidates.queries_at_once,
        describe=lambda query: f"query {numbers[query]} of {name}",
    )
    return StructureMetrics(
        *(summarize(reading, ranks.query) for reading in (ranks.mean, ranks.optimistic, ranks.pessimistic))
    )


def _require_ids(name: str, asked: QueryTable, num_entities: int, num_relations: int) -> None:
    """Makes sure that a table speaks of the model's graph."""
    anchors, relations = (asked.rows[:, list(asked.structure.columns(kind))] for kind in ("anchor", "relation"))
    answers = asked.answers
    for kind, ids, size in (
        ("the anchor", anchors, num_entities),
        ("the directed relation", relations, 2 * num_relations),
        ("the easy answer", answers.easy.values, num_entities),
        ("the hard answer", answers.hard.values, num_entities),
    ):
        outside = ids[(ids < 0) | (ids >= size)]
        if len(outside):
            raise GraphkitError(
                f"the queries of {name} have {kind} {outside[0]}, outside 0 to {size - 1}; evaluate a model on queries "
                "of the graph that it was trained on"
            )


def _average(parts: tuple[dict[str, float], ...]) -> dict[str, float]:
    return {key: sum(part[key] for part in parts) / len(parts) for key in parts[0]}
