"""Metrics of ranks. Fractions lie in [0, 1]; ``mr`` is a rank."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from graphkit.evaluation.ranking import Ranks

HITS = (1, 3, 10)


def summarize(ranks: Tensor) -> dict[str, float]:
    """Returns mrr, mr, hits@1, hits@3 and hits@10 of float64[A] ranks (all NaN-free and at least 1)."""
    values = ranks.double()
    summary = {"mrr": float((1 / values).mean()), "mr": float(values.mean())}
    # A tie across the border of the first k gives a rank between whole numbers: it hits only if it lies within.
    return summary | {f"hits@{k}": float((values <= k).double().mean()) for k in HITS}


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
