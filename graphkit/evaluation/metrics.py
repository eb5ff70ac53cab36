"""Metrics of ranks. Fractions lie in [0, 1]; ``mr`` is a rank."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit.evaluation.ranking import Ranks

HITS = (1, 3, 10)


def summarize(ranks: Tensor, groups: Tensor | None = None) -> dict[str, float]:
    """Returns mrr, mr, hits@1, hits@3 and hits@10 of ranks.

    Args:
        ranks: float64[A], NaN-free and at least 1.
        groups: int64[A], the query of each rank: averages are taken over the ranks of a query, then over queries, so
            that a query of many answers counts as much as one of few. By default over all ranks.
    """
    values = ranks.double()
    # A tie across the border of the first k gives a rank between whole numbers: it hits only if it lies within.
    columns = {"mrr": 1 / values, "mr": values} | {f"hits@{k}": (values <= k).double() for k in HITS}
    if groups is not None:
        _, place, counts = torch.unique(groups, return_inverse=True, return_counts=True)
        columns = {
            name: torch.zeros(len(counts), dtype=torch.float64).index_add_(0, place, column) / counts
            for name, column in columns.items()
        }
    return {name: float(column.mean()) for name, column in columns.items()}


@dataclass(frozen=True)
class LinkMetrics:
    """Metrics of link prediction by one of the three readings of ties, with the protocol that made them."""

    #: metrics of mean ranks, over all queries
    mean: dict[str, float]
    optimistic: dict[str, float]
    pessimistic: dict[str, float]
    #: metrics of mean ranks of tail and of head queries
    sides: dict[str, dict[str, float]]
    protocol: dict[str, object]

    @classmethod
    def of(cls, ranks: Ranks, is_head: Tensor, protocol: dict[str, object]) -> LinkMetrics:
        """Summarises ranks; `is_head` is bool[A], whether an answer is the head of its triple."""
        sides = {"tail": summarize(ranks.mean[~is_head]), "head": summarize(ranks.mean[is_head])}
        return cls(summarize(ranks.mean), summarize(ranks.optimistic), summarize(ranks.pessimistic), sides, protocol)

    def to_json(self) -> dict[str, object]:
        """Returns the metrics as `metrics.json` holds them: mean ranks first, the rest beside them."""
        return {**self.mean, "optimistic": self.optimistic, "pessimistic": self.pessimistic, **self.sides}
