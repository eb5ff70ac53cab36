"""Evaluation: honest ranks and their metrics."""

from graphkit.evaluation.links import evaluate_links, rank_links
from graphkit.evaluation.metrics import LinkMetrics, summarize
from graphkit.evaluation.ranking import AnswerLists, Ranks, filtered_ranks
from graphkit.evaluation.scoring import query_scorer

__all__ = [
    "AnswerLists",
    "LinkMetrics",
    "Ranks",
    "evaluate_links",
    "filtered_ranks",
    "query_scorer",
    "rank_links",
    "summarize",
]
