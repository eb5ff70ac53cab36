"""BetaE: queries and entities as products of Beta distributions (Ren and Leskovec, NeurIPS 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from graphkit.engine.kernels import beta_moments, pair_scores
from graphkit.errors import GraphkitError
from graphkit.models.base import Model, require_even, scale_of_margin
from graphkit.models.intersections import BranchAttention, initialize_layers
from graphkit.models.layers import Linear

#: Parameters of all Betas lie in [1/20, 20], which negation maps to itself. The published bounds, 0.05 and 1e9, let a
#: negation lead to 1e-9, where gradients explode.
LEAST, MOST = 0.05, 20.0

#: Candidates whose mean products with own candidates are taken from.
_REFERENCE_ROWS = 256


class BetaE(Model):
    """Scores ``margin - KL(entity || query)``, summed over D/2 Beta distributions.

    An encoded row, of an entity or of a query, holds the parameters a of all Betas, then all b. A relation is a vector
    that one network for all relations reads beside the row. An intersection is the weighted mean of its branches by
    `BranchAttention`, one weight for the a and the b of a Beta, and a negation is (1/a, 1/b). Inverses always have
    vectors of their own, since the network cannot be inverted.

    Args:
        num_relations: R.
        dim: D, reals of a row, even: twice the number of Betas.
        margin: γ, above -2; it sets the scale of fresh rows, uniform in ±(margin + 2) / (D/2) around Beta(1, 1).
        hidden: units of a hidden layer of the network.
        layers: hidden layers of the network.

    Raises:
        GraphkitError: `dim` below 2 or odd, `margin` at or below -2, or `hidden` or `layers` below 1.
    """

    matrix_product = True
    dense_lr_share = 0.1
    intersects = True
    negates = True

    def __init__(
        self, num_relations: int, *, dim: int = 800, margin: float = 60.0, hidden: int = 1600, layers: int = 2
    ) -> None:
        super().__init__(num_relations, dim=dim, reciprocal=True)
        require_even(dim, "a row of Betas")
        for name, value in (("hidden", hidden), ("layers", layers)):
            if value < 1:
                raise GraphkitError(f"model.{name} is {value}, and at least 1 is needed")
        betas = dim // 2
        self.margin = margin
        self.scale = scale_of_margin(margin, betas)
        self.relations = nn.Parameter(torch.empty(self.relation_rows, betas))
        widths = [dim + betas, *[hidden] * layers, dim]
        self.network = nn.ModuleList(Linear(*pair) for pair in pairwise(widths))
        self.attention = BranchAttention(dim, betas)

    @property
    def embedding_flop(self) -> float:
        """Two passes through the network: what the usual structures have on average."""
        return 2 * 2.0 * sum(parameter.numel() for parameter in self.network.parameters())

    def initial_rows(self, count: int, generator: torch.Generator) -> Tensor:  # noqa: D102  # as in the base class
        return torch.empty(count, self.dim).uniform_(-self.scale, self.scale, generator=generator)

    def initialize(self, generator: torch.Generator) -> None:  # noqa: D102
        nn.init.uniform_(self.relations, -self.scale, self.scale, generator=generator)
        initialize_layers(self, generator)

    def encode(self, rows: Tensor) -> Tensor:
        """Returns the parameters of rows [U, D]: 1 + x, within the bounds; beyond them the gradient is 0."""
        return (rows + 1).clamp(LEAST, MOST)

    def project(self, x: Tensor, relations: Tensor) -> Tensor:  # noqa: D102
        x = torch.cat([x, self.relation_parameters(relations)], dim=1)
        *hidden, last = self.network
        for layer in hidden:
            x = layer(x).relu()
        return self.encode(last(x))

    def intersect_groups(self, x: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:  # noqa: D102
        return self.attention.means(x, groups)

    def negate(self, x: Tensor) -> Tensor:  # noqa: D102
        return x.reciprocal()

    def candidates(self, encoded: Tensor) -> Tensor:
        """Returns what `score` compares with.

        Betas are an exponential family: of an entity (a, b), the divergence from a query needs the expectations of
        log x and log (1-x), and the entropy, alone.

        Args:
            encoded: float32[U, D].

        Returns:
            float32[U, D + 1]: u = ψ(a) - ψ(a + b), then v = ψ(b) - ψ(a + b), then the entropy of all Betas together.
        """
        return beta_moments(encoded)[0]

    def score(self, queries: Tensor, candidates: Tensor, places: Tensor | None = None) -> Tensor:
        """Scores candidates as a matrix product; see `Model.score`.

        For a query (c, d) ``KL = log B(c, d) - entropy - (c - 1) u - (d - 1) v``, summed over Betas. The product is
        taken of deviations from references, which leaves the sum as it is but for rounding, and the rest is added in
        float64. In float32 and 800 reals the error is some 1e-6 for fresh rows, and at most 1e-4 plus 1e-6 of the
        largest divergence of the call for rows anywhere within the bounds. Where candidates are shared, each has the
        same score, bit for bit, whatever it is scored beside.

        Args:
            queries: float32[V, D].
            candidates: float32[N, D + 1]; see `candidates`.
            places: int64[V, K], the candidates of each query; None = every query is scored against all.

        Returns:
            float32[V, N] or [V, K].
        """
        log_beta = beta_moments(queries)[1]
        if places is not None:
            return self._score_own(queries, log_beta, candidates, places)
        expectations, entropy = candidates[:, :-1], candidates[:, -1].double()
        # The queries' alone, so that no candidate's score depends on the others. Where the references lie changes no
        # score but for rounding, so that no gradient flows through them.
        reference = queries.detach().nanmean(dim=0)
        expected = self.candidates(reference.unsqueeze(0))[0, :-1]
        of_candidates = entropy + expectations.double() @ (reference.double() - 1)
        deviations = queries - reference
        of_queries = log_beta - deviations.double() @ expected.double()
        # Both are large where their difference is small: what they share is taken off before they are rounded.
        shared = of_queries.detach().nanmean()
        rows = (self.margin + shared - of_queries).to(queries.dtype).unsqueeze(1)
        columns = (of_candidates - shared).to(queries.dtype)
        return rows + columns + pair_scores("dot", deviations, expectations - expected)

    def _score_own(self, queries: Tensor, log_beta: Tensor, candidates: Tensor, places: Tensor) -> Tensor:
        """Scores [V, K] of own candidates: the same sum, with the entropy as one more coordinate, and no row copied."""
        # Where the reference lies changes no score, so that no gradient flows through it: some rows will do.
        reference = candidates[:_REFERENCE_ROWS].detach().nanmean(dim=0)
        factors = torch.cat([queries - 1, torch.ones_like(queries[:, :1])], dim=1)
        rows = self.margin - log_beta + factors.double() @ reference.double()
        centred = torch.cat([factors, reference.expand_as(factors)], dim=1)
        return rows.to(queries.dtype).unsqueeze(1) + pair_scores("centred", centred, candidates, places)
