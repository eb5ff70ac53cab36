"""Scores of pairs of a query and a candidate, without ever holding [V, K, D].

Either each query has candidates of its own, named by their places among the rows, or all rows are candidates of every
query. The kinds, with q a query and e a row:

``dot``
    q · e (ComplEx, DistMult; and BetaE, whose divergence is one of transformed rows).
``l1``, ``l2``
    the norm of e - q (TransE, GQE).
``rotate``
    the sum of the moduli of e - q, whose first half are real parts and second half imaginary ones (RotatE).
``box``
    Σ max(δ - o, 0) + inside · abs(min(δ, o)) with δ = abs(e - c), for a query of centre c, then half width o
    (Query2box).

Gradients at ties: 0 for a coordinate, a modulus or a distance that is 0; δ = o counts as inside.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Kind = Literal["dot", "l1", "l2", "rotate", "box"]


def pair_scores(
    kind: Kind, queries: Tensor, rows: Tensor, places: Tensor | None = None, *, inside: float = 0.0
) -> Tensor:
    """Scores pairs of queries and candidates; distances are positive, the larger the farther.

    Args:
        kind: what is computed; see above.
        queries: float32[V, W].
        rows: float32[U, D], the candidates.
        places: int64[V, K], the rows that each query is compared with; None = all.
        inside: weight of the distance within a box.

    Returns:
        float32[V, K], or [V, U].
    """
    return reference(kind, queries, rows, places, inside=inside)


def reference(
    kind: Kind, queries: Tensor, rows: Tensor, places: Tensor | None = None, *, inside: float = 0.0
) -> Tensor:
    """The plain twin that defines `pair_scores`; any floating dtype; holds [V, K, D]."""
    if kind == "dot" and places is None:
        products: Tensor = queries @ rows.T
        return products
    candidates = rows.unsqueeze(0) if places is None else rows[places]
    if kind == "dot":
        return torch.bmm(candidates, queries.unsqueeze(2)).squeeze(2)
    if kind == "box":
        centres, widths = queries.unsqueeze(1).chunk(2, dim=2)
        offsets = (candidates - centres).abs()
        within = torch.where(offsets > widths, widths, offsets)
        return ((offsets - widths).relu() + inside * within.abs()).sum(dim=2)
    differences = candidates - queries.unsqueeze(1)
    if kind == "rotate":
        moduli: Tensor = torch.linalg.vector_norm(torch.stack(differences.chunk(2, dim=2)), dim=0)
        return moduli.sum(dim=2)
    distances: Tensor = torch.linalg.vector_norm(differences, ord=1 if kind == "l1" else 2, dim=2)
    return distances
