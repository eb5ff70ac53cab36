"""Evaluation: honest ranks and their metrics."""

from graphkit.evaluation.links import evaluate_links, rank_links
from graphkit.evaluation.metrics import LinkMetrics, summarize
from graphkit.evaluation.probe import ProbeResult, linear_probe, no_training
from graphkit.evaluation.queries import QueryMetrics, StructureMetrics, evaluate_queries
from graphkit.evaluation.ranking import PairScorer, Ranks, filtered_ranks
from graphkit.evaluation.scoring import Candidates, Precision, query_scorer

__all__ = [
    "Candidates",
    "LinkMetrics",
    "PairScorer",
    "Precision",
    "ProbeResult",
    "QueryMetrics",
    "Ranks",
    "StructureMetrics",
    "evaluate_links",
    "evaluate_queries",
    "filtered_ranks",
    "linear_probe",
    "no_training",
    "query_scorer",
    "rank_links",
    "summarize",
]
