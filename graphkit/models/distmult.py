"""DistMult: bilinear scores with a diagonal matrix for each relation (Yang et al., ICLR 2015)."""

from __future__ import annotations

from torch import Tensor

from graphkit.models.bilinear import Bilinear


class DistMult(Bilinear):
    """Scores ``Σ h r t``.

    Without reciprocals, head and tail of a triple may be exchanged: the inverse of a relation is the relation.

    Args:
        num_relations: R.
        dim: D, reals of an entity, a query and a relation.
        init_scale: standard deviation of fresh values; small, since Adagrad's first steps do not depend on it.
        reciprocal: vectors of their own for inverses (Lacroix et al., ICML 2018); otherwise 2k+1 shares that of 2k.
        intersection: "deepsets" for multi-hop queries with intersections (Ren et al., KDD 2022); None = paths only.

    Raises:
        GraphkitError: `dim` below 1, `init_scale` not above 0, or another intersection.
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

    def project(self, x: Tensor, relations: Tensor) -> Tensor:  # noqa: D102  # as in the base class
        return x * self.relation_parameters(relations)
