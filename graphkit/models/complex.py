"""ComplEx: bilinear scores of complex vectors (Trouillon et al., ICML 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphkit.engine.kernels import pair_scores
from graphkit.errors import GraphkitError
from graphkit.models.base import Model


class ComplEx(Model):
    """Scores ``Re <h, r, conj(t)>``; a row holds the real parts, then the imaginary parts.

    Args:
        num_relations: R.
        dim: D, reals of a row, even; the complex rank is D/2.
        init_scale: standard deviation of fresh values; small, since Adagrad's first steps do not depend on it.
        reciprocal: vectors of their own for inverses (Lacroix et al., ICML 2018); otherwise that of 2k+1 is the
            conjugate of that of 2k, which scores a triple equally from both sides.

    Raises:
        GraphkitError: `dim` below 2 or odd, or `init_scale` not above 0.
    """

    matrix_product = True
    default_n3 = 0.02

    def __init__(
        self, num_relations: int, *, dim: int = 200, init_scale: float = 1e-3, reciprocal: bool = True
    ) -> None:
        super().__init__(num_relations, dim=dim, reciprocal=reciprocal)
        if dim % 2:
            raise GraphkitError(f"model.dim is {dim}, and a complex row needs an even number of reals; give {dim + 1}")
        if not init_scale > 0:
            raise GraphkitError(f"model.init_scale is {init_scale}, and a number above 0 is needed")
        self.init_scale = init_scale
        self.relations = nn.Parameter(torch.empty(self.relation_rows, dim))

    def initial_rows(self, count: int, generator: torch.Generator) -> Tensor:  # noqa: D102  # as in the base class
        return torch.empty(count, self.dim).normal_(0, self.init_scale, generator=generator)

    def initialize(self, generator: torch.Generator) -> None:  # noqa: D102
        nn.init.normal_(self.relations, 0, self.init_scale, generator=generator)

    def project(self, x: Tensor, relations: Tensor) -> Tensor:  # noqa: D102
        x_re, x_im = x.chunk(2, dim=1)
        r_re, r_im = self.relation_parameters(relations).chunk(2, dim=1)
        if not self.reciprocal:
            r_im = r_im * (1 - 2 * (relations % 2)).unsqueeze(1)
        return torch.cat([x_re * r_re - x_im * r_im, x_re * r_im + x_im * r_re], dim=1)

    def score(self, queries: Tensor, candidates: Tensor, places: Tensor | None = None) -> Tensor:  # noqa: D102
        return pair_scores("dot", queries, candidates, places)

    def squared_moduli(self, x: Tensor) -> Tensor:
        """Returns [..., D/2]: the squared modulus of each complex coordinate."""
        real, imaginary = x.chunk(2, dim=-1)
        return real.square() + imaginary.square()
