"""ComplEx: bilinear scores of complex vectors (Trouillon et al., ICML 2016)."""

from __future__ import annotations

from torch import Tensor

from graphkit.models.base import require_even
from graphkit.models.bilinear import Bilinear
from graphkit.models.complex_product import complex_product


class ComplEx(Bilinear):
    """Scores ``Re <h, r, conj(t)>``; a row holds the real parts, then the imaginary parts.

    Args:
        num_relations: R.
        dim: D, reals of a row, even; the complex rank is D/2.
        init_scale: standard deviation of fresh values; small, since Adagrad's first steps do not depend on it.
        reciprocal: vectors of their own for inverses (Lacroix et al., ICML 2018); otherwise that of 2k+1 is the
            conjugate of that of 2k, which scores a triple equally from both sides.
        intersection: "deepsets" for multi-hop queries with intersections (Ren et al., KDD 2022); None = paths only.

    Raises:
        GraphkitError: `dim` below 2 or odd, `init_scale` not above 0, or another intersection.
    """

    def __init__(
        self,
        num_relations: int,
        *,
        dim: int = 200,
        init_scale: float = 1e-3,
        reciprocal: bool = True,
        intersection: str | None = None,
    ) -> None:
        super().__init__(
            num_relations, dim=dim, init_scale=init_scale, reciprocal=reciprocal, intersection=intersection
        )
        require_even(dim, "a complex row")

    def project(self, x: Tensor, relations: Tensor) -> Tensor:  # noqa: D102  # as in the base class
        real, imaginary = self.relation_parameters(relations).chunk(2, dim=1)
        return complex_product(x, real, self.turn_inverses(imaginary, relations))

    def squared_moduli(self, x: Tensor) -> Tensor:
        """Returns [..., D/2]: the squared modulus of each complex coordinate."""
        real, imaginary = x.chunk(2, dim=-1)
        return real.square() + imaginary.square()
