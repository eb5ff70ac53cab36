"""Evaluation: honest ranks and their metrics."""

from graphkit.evaluation.links import evaluate_links, rank_links
from graphkit.evaluation.metrics import LinkMetrics, summarize
from graphkit.evaluation.queries import QueryMetrics, StructureMetrics, evaluate_queries
from graphkit.evaluation.ranking import PairScorer, Ranks, filtered_ranks
from graphkit.evaluation.scoring import Candidates, Precision, query_scorer

__all__ = [
    "Candidates",
    "LinkMetrics",
    "PairScorer",
    "Precision",
    "QueryMetrics",
    "Ranks",
    "StructureMetrics",
    "evaluate_links",
    "evaluate_queries",
    "filtered_ranks",
    "query_scorer",
    "rank_links",
    "summarize",
]
