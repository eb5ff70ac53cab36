"""Query2box: queries as boxes that hold their answers (Ren et al., ICLR 2020).

In the form of the code of BetaE (Ren and Leskovec, NeurIPS 2020), which later papers compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkit.engine.kernels import PairDistance
from graphkit.errors import GraphkitError
from graphkit.models.base import Model, scale_of_margin
from graphkit.models.intersections import BranchAttention, initialize_layers
from graphkit.models.layers import Linear

#: What makes growths of half widths of the parameters.
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"softplus": F.softplus, "relu": F.relu, "none": lambda x: x}


class Query2box(Model):
    """Scores ``margin - outside - inside · within``: how far an entity is from a box, and within it from the centre.

    Both distances are sums of coordinates (L1). A query is a box: its centre, then its half widths. An anchor is a box
    of width 0. A relation moves the centre and adds to the half widths. The centre of an intersection is the weighted
    mean of its branches' (`BranchAttention`), and its half widths are the least of theirs times a gate in (0, 1),
    ``σ(W₂ mean_i relu(W₁ o_i + b₁) + b₂)``.

    Args:
        num_relations: R.
        dim: D, reals of an entity; a query and a relation have twice as many.
        margin: γ, above -2; with `dim` it sets the scale of fresh values: rows and moves are uniform in ±scale where
            ``scale = (margin + 2) / dim``, and what a relation adds to half widths in 0 to scale.
        inside: α in [0, 1], weight of the distance within a box.
        activation: what makes an addition to half widths of a parameter: "softplus" or "relu", under which widths
            stay positive, or "none", the form of the published results, under which they may not.
        reciprocal: boxes of their own for inverses, as published; otherwise 2k+1 moves back what 2k moves, and adds
            the same.

    Raises:
        GraphkitError: `dim` below 1, `margin` at or below -2, `inside` out of range, or another activation.
    """

    intersects = True

    def __init__(
        self,
        num_relations: int,
        *,
        dim: int = 400,
        margin: float = 24.0,
        inside: float = 0.02,
        activation: str = "softplus",
        reciprocal: bool = True,
    ) -> None:
        super().__init__(num_relations, dim=dim, reciprocal=reciprocal)
        if not 0 <= inside <= 1:
            raise GraphkitError(f"model.inside is {inside}, and a number from 0 to 1 is needed")
        if activation not in _ACTIVATIONS:
            raise GraphkitError(f"model.activation is {activation!r}, and softplus, relu or none is needed")
        self.margin = margin
        self.inside = inside
        self.activation = activation
        self.scale = scale_of_margin(margin, dim)
        self.relations = nn.Parameter(torch.empty(self.relation_rows, 2 * dim))
        self.attention = BranchAttention(dim, dim)
        self.gate = nn.ModuleList([Linear(dim, dim), Linear(dim, dim)])

    def initial_rows(self, count: int, generator: torch.Generator) -> Tensor:  # noqa: D102  # as in the base class
        return torch.empty(count, self.dim).uniform_(-self.scale, self.scale, generator=generator)

    def initialize(self, generator: torch.Generator) -> None:  # noqa: D102
        with torch.no_grad():
            moves, growths = self.relations.chunk(2, dim=1)
            moves.uniform_(-self.scale, self.scale, generator=generator)
            growths.uniform_(0, self.scale, generator=generator)
            if self.activation == "softplus":  # its inverse; so wide that the parameter stays finite
                growths.copy_(growths.clamp(min=1e-3 * self.scale).expm1().log())
        initialize_layers(self, generator)

    def start(self, encoded: Tensor) -> Tensor:
        """Returns [B, 2D]: boxes of width 0 around entities [B, D]."""
        return torch.cat([encoded, torch.zeros_like(encoded)], dim=1)

    def project(self, x: Tensor, relations: Tensor) -> Tensor:  # noqa: D102
        moves, growths = self.relation_parameters(relations).chunk(2, dim=1)
        growths = _ACTIVATIONS[self.activation](growths)
        return x + torch.cat([self.turn_inverses(moves, relations), growths], dim=1)

    def intersect_groups(self, x: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:  # noqa: D102
        centres, widths = x.chunk(2, dim=1)
        first, second = self.gate
        rows = [ways * size for ways, size in groups]

        def branches(x: Tensor) -> list[Tensor]:
            return [part.view(*group, self.dim) for part, group in zip(torch.split(x, rows), groups, strict=True)]

        gate: Tensor = second(torch.cat([part.mean(dim=0) for part in branches(first(widths).relu())])).sigmoid()
        # Where branches are equally wide, the gradient goes to the first: `amin` would share it out.
        least = torch.cat([part.min(dim=0).values for part in branches(widths)])
        return torch.cat([self.attention.means(centres, groups), least * gate], dim=1)

    def pair_distance(self) -> PairDistance:  # noqa: D102
        return PairDistance("box", self.margin, self.inside)

    def score(self, queries: Tensor, candidates: Tensor, places: Tensor | None = None) -> Tensor:  # noqa: D102
        return self.pair_distance().scores(queries, candidates, places)
