"""Link prediction: both ends of held-out triples, ranked against all entities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphkit.engine import EmbeddingTable
from graphkit.errors import GraphkitError
from graphkit.evaluation.metrics import LinkMetrics
from graphkit.evaluation.ranking import SCORES_AT_ONCE, Ranks, filtered_ranks
from graphkit.evaluation.scoring import Candidates, Precision, query_scorer
from graphkit.graph import SPLITS, KnowledgeGraph, Split
from graphkit.models import Model
from graphkit.queries import ONE_HOP, AnswerSets

Ids = NDArray[np.int64]


def rank_links(
    graph: KnowledgeGraph,
    model: Model,
    table: EmbeddingTable,
    triples: Ids,
    *,
    filter_splits: Sequence[Split] = SPLITS,
    scores_at_once: int = SCORES_AT_ONCE,
    precision: Precision = "fp32",
) -> tuple[Ranks, Tensor]:
    """Ranks the tail and the head of each triple.

    Args:
        graph: gives the known answers that are filtered out.
        model: a trained model.
        table: its entity rows.
        triples: int64[M, 3] of (head, raw relation, tail).
        filter_splits: splits whose triples are no competitors.
        scores_at_once: bound on scores that are held.
        precision: of the scores; see `query_scorer`.

    Returns:
        The ranks of all answers, and bool[A]: whether the answer is the head of its triple.
    """
    tails = np.stack([triples[:, 0], 2 * triples[:, 1], triples[:, 2]], axis=1)
    heads = np.stack([triples[:, 2], 2 * triples[:, 1] + 1, triples[:, 0]], axis=1)
    # Equal queries are asked once: sorted rows bring their answers together.
    rows = np.unique(np.concatenate([tails, heads]), axis=0)
    queries, counts = np.unique(rows[:, :2], axis=0, return_counts=True)
    ranked = AnswerSets(np.ascontiguousarray(rows[:, 2]), np.concatenate([[0], np.cumsum(counts)]))
    known = AnswerSets(*graph.answers(queries[:, 0], queries[:, 1], filter_splits))
    candidates = Candidates(model, table)
    ranks = filtered_ranks(
        query_scorer(model, table, ONE_HOP, queries, candidates=candidates, precision=precision),
        graph.num_entities,
        ranked,
        known,
        scores_at_once=scores_at_once,
        queries_at_once=candidates.queries_at_once,
    )
    return ranks, torch.from_numpy(queries[:, 1] % 2 == 1)[ranks.query]


def evaluate_links(
    graph: KnowledgeGraph,
    model: Model,
    table: EmbeddingTable,
    *,
    split: Split = "test",
    filter_splits: Sequence[Split] = SPLITS,
    limit: int | None = None,
    precision: Precision = "fp32",
) -> LinkMetrics:
    """Evaluates a model on the triples of a split: filtered, both sides, ties at the mean rank.

    Args:
        graph: the graph with its splits.
        model: a trained model.
        table: its entity rows.
        split: the triples to rank, each once.
        filter_splits: splits whose triples are no competitors.
        limit: rank at most this many triples, a fixed random choice; all by default.
        precision: of the scores; "bf16" is an approximation for models whose score is a plain matrix product.

    Raises:
        GraphkitError: the split is empty, the model has no scores of that precision, or a score is NaN.
    """
    triples = graph.triples(split)
    if len(triples) == 0:
        raise GraphkitError(f"the graph has no {split} triples to rank; import it with a {split} file or a split")
    if limit is not None and limit < 1:
        raise GraphkitError(f"the limit of triples to rank is {limit}, and at least 1 is needed; None ranks all")
    total = len(triples)
    if limit is not None and limit < total:
        triples = triples[np.sort(np.random.default_rng(0).choice(total, size=limit, replace=False))]
    triples = np.unique(triples, axis=0)
    ranks, is_head = rank_links(graph, model, table, triples, filter_splits=filter_splits, precision=precision)
    protocol: dict[str, object] = {
        "split": split,
        "triples": len(triples),
        "triples_in_split": total,
        "filtered_by": list(filter_splits),
        "sides": "both",
        "ties": "mean rank",
        "candidates": "all entities",
        "entities": graph.num_entities,
        "precision": precision,
    }
    return LinkMetrics.of(ranks, is_head, protocol)
