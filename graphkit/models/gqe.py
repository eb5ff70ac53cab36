"""GQE: paths as translations, intersections by attention (Hamilton et al., NeurIPS 2018).

In the form of the code of BetaE (Ren and Leskovec, NeurIPS 2020), which later papers compare with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from graphkit.engine.kernels import PairDistance, l2_distances
from graphkit.models.intersections import BranchAttention, initialize_layers
from graphkit.models.transe import TransE


class GQE(TransE):
    """Scores ``margin - |query - entity|``: a path is TransE's, an intersection the weighted mean of its branches.

    The weights of the mean are those of `BranchAttention`, one for each branch and coordinate, so that an intersection
    lies between its branches in every coordinate.

    Args:
        num_relations: R.
        dim: D, reals of an entity, a query and a relation.
        margin: γ, above -2; with `dim` it sets the scale of fresh rows, uniform in ±(margin + 2) / dim.
        norm: 1, as in the code of BetaE, or 2, whose distances to all entities are a matrix product (SMORE trains
            both under one name; Ren et al., KDD 2022).
        reciprocal: translations of their own for inverses, as published; otherwise that of 2k+1 is minus that of 2k.

    Raises:
        GraphkitError: `dim` below 1, `margin` at or below -2, or another norm.
    """

    intersects = True

    def __init__(
        self, num_relations: int, *, dim: int = 400, margin: float = 24.0, norm: int = 2, reciprocal: bool = True
    ) -> None:
        super().__init__(num_relations, dim=dim, margin=margin, norm=norm, reciprocal=reciprocal)
        self.matrix_product = norm == 2
        self.attention = BranchAttention(dim, dim)

    def initialize(self, generator: torch.Generator) -> None:  # noqa: D102  # as in the base class
        super().initialize(generator)
        initialize_layers(self, generator)

    def intersect_groups(self, x: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:  # noqa: D102
        return self.attention.means(x, groups)

    def pair_distance(self) -> PairDistance | None:
        """Returns None for L2: `score` takes a matrix product to all entities, which is faster than pair by pair."""
        return None if self.norm == 2 else super().pair_distance()

    def score(self, queries: Tensor, candidates: Tensor, places: Tensor | None = None) -> Tensor:  # noqa: D102
        if self.norm == 2 and places is None:
            return self.margin - l2_distances(queries, candidates)
        return super().score(queries, candidates, places)
