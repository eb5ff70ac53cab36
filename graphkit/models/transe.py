"""TransE: relations as translations (Bordes et al., NeurIPS 2013)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkit.engine.kernels import ByHand, PairDistance, PlacedRows, translate, translate_by_hand
from graphkit.errors import GraphkitError
from graphkit.models.base import Model, scale_of_margin


class TransE(Model):
    """Scores ``margin - |h + r - t|`` by the L1 or L2 norm.

    The margin is a constant of the score, and with `dim` it sets the scale of fresh rows, uniform in
    ±(margin + 2) / dim, as in the published code of RotatE (Sun et al., ICLR 2019).

    Args:
        num_relations: R.
        dim: D, reals of an entity and of a relation.
        margin: γ, above -2.
        norm: 1 or 2.
        reciprocal: translations of their own for inverses; by default that of 2k+1 is minus that of 2k.

    Raises:
        GraphkitError: `dim` below 1, `margin` at or below -2, or another norm.
    """

    def __init__(
        self, num_relations: int, *, dim: int = 200, margin: float = 9.0, norm: int = 1, reciprocal: bool = False
    ) -> None:
        super().__init__(num_relations, dim=dim, reciprocal=reciprocal)
        if norm not in (1, 2):
            raise GraphkitError(f"model.norm is {norm}, and 1 or 2 is needed")
        self.margin = margin
        self.norm = norm
        self.scale = scale_of_margin(margin, dim)
        self.relations = nn.Parameter(torch.empty(self.relation_rows, dim))

    def initial_rows(self, count: int, generator: torch.Generator) -> Tensor:  # noqa: D102  # as in the base class
        return torch.empty(count, self.dim).uniform_(-self.scale, self.scale, generator=generator)

    def initialize(self, generator: torch.Generator) -> None:  # noqa: D102
        nn.init.uniform_(self.relations, -self.scale, self.scale, generator=generator)

    def project(self, x: Tensor, relations: Tensor) -> Tensor:  # noqa: D102
        return translate(x, self.relations, self.directed_rows(relations))

    def project_by_hand(self, x: PlacedRows, relations: Tensor) -> tuple[Tensor, ByHand] | None:  # noqa: D102
        return translate_by_hand(x, self.relations.detach(), self.directed_rows(relations))

    def pair_distance(self) -> PairDistance | None:  # noqa: D102
        return self._distance

    def score(self, queries: Tensor, candidates: Tensor, places: Tensor | None = None) -> Tensor:  # noqa: D102
        return self._distance.scores(queries, candidates, places)

    @property
    def _distance(self) -> PairDistance:
        return PairDistance("l1" if self.norm == 1 else "l2", self.margin)
