"""What the models have in common that score a triple linearly in each of its three parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkit.engine.kernels import pair_scores
from graphkit.errors import GraphkitError
from graphkit.models.intersections import PathModel, initialize_layers


class Bilinear(PathModel):
    """Scores the dot product of a query and an entity; relations are as wide as rows. Subclasses say `project`.

    Args:
        num_relations, dim, reciprocal, intersection: see `PathModel`.
        init_scale: standard deviation of fresh values; small, since Adagrad's first steps do not depend on it.

    Raises:
        GraphkitError: `init_scale` not above 0, or as `PathModel` does.
    """

    matrix_product = True
    dot_product = True
    default_n3 = 0.02

    def __init__(
        self, num_relations: int, *, dim: int, init_scale: float, reciprocal: bool, intersection: str | None
    ) -> None:
        super().__init__(num_relations, dim=dim, reciprocal=reciprocal, intersection=intersection)
        if not init_scale > 0:
            raise GraphkitError(f"model.init_scale is {init_scale}, and a number above 0 is needed")
        self.init_scale = init_scale
        self.relations = nn.Parameter(torch.empty(self.relation_rows, dim))

    def initial_rows(self, count: int, generator: torch.Generator) -> Tensor:  # noqa: D102  # as in the base class
        return torch.empty(count, self.dim).normal_(0, self.init_scale, generator=generator)

    def initialize(self, generator: torch.Generator) -> None:  # noqa: D102
        nn.init.normal_(self.relations, 0, self.init_scale, generator=generator)
        initialize_layers(self, generator)

    def score(self, queries: Tensor, candidates: Tensor, places: Tensor | None = None) -> Tensor:  # noqa: D102
        return pair_scores("dot", queries, candidates, places)
