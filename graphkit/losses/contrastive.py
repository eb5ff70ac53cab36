"""Contrastive losses over embeddings of rows: compressed nodes (StructComp: Zhang et al., ICLR 2024), or nodes.

No loss holds more than a block of the matrix of all pairs. The number of rows B is that of a batch, and D their width.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkit.errors import GraphkitError
from graphkit.losses.pairs import contrast
from graphkit.losses.quadratic import column_products, laplacian, negative_graph, normalized_graph, quadratic_form


class ContrastiveLoss(nn.Module, ABC):
    """What a trainer needs of a loss over embeddings; parameters of a loss are trained with the encoder.

    Args:
        dim: D, columns of the embeddings.
    """

    #: views of each row that it compares: 1 or 2
    views: ClassVar[int]
    #: whether it takes the (compressed) adjacency of the rows
    needs_edges: ClassVar[bool] = False
    #: whether negatives are drawn once, and not for each batch
    negatives_once: ClassVar[bool] = False
    #: partners that each row draws, with replacement and itself among them; 0 where the loss takes none
    negatives: int = 0

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def initialize(self, generator: torch.Generator) -> None:
        """Draws fresh values for all parameters, where there are any."""

    def flop(self, rows: int) -> float:
        """Returns about how many operations it takes on a batch of so many rows, forward and backward."""
        return 4.0 * rows * self.negatives * self.dim  # a sparse product with both directions of each draw

    @abstractmethod
    def forward(self, views: Sequence[Tensor], negatives: Tensor | None = None, edges: Tensor | None = None) -> Tensor:
        """The loss of a batch.

        Args:
            views: float32[B, D] each, as many as `views` says.
            negatives: int64[B, K], rows of the batch, where `negatives` is not 0.
            edges: sparse CSR float32[B, B], the symmetric-normalised adjacency of the rows, where `needs_edges`.

        Returns:
            A scalar.
        """


class SCE(ContrastiveLoss):
    """α / tr(ZᵀL⁻Z), L⁻ = D − A of a random multigraph (SCE: Zhang et al., IJCAI 2020; one view, negatives only).

    Each row draws partners, and A sums both directions of each draw, so that the trace is the sum of ‖zᵢ − zⱼ‖² over
    all draws. It is computed of differences to the first row: a constant that is added to all rows changes neither the
    loss nor its gradient.

    Args:
        dim: D.
        alpha: α, above 0.
        negatives: partners that each row draws.

    Raises:
        GraphkitError: a number out of range.
    """

    views: ClassVar[int] = 1

    def __init__(self, *, dim: int, alpha: float = 20000.0, negatives: int = 5) -> None:
        super().__init__(dim=dim)
        if not 0 < alpha < math.inf:
            raise GraphkitError(f"loss.alpha is {alpha}, and a finite number above 0 is needed")
        self.alpha = alpha
        self.negatives = _at_least_one(negatives)

    def forward(self, views: Sequence[Tensor], negatives: Tensor | None = None, edges: Tensor | None = None) -> Tensor:
        """The loss of a batch; see `ContrastiveLoss.forward`.

        Raises:
            GraphkitError: the trace is 0, since the embeddings are constant.
        """
        (z,) = views
        assert negatives is not None
        graph = laplacian(negative_graph(negatives), dtype=z.dtype)
        loss = self.alpha / quadratic_form(z - z[:1].detach(), [(1.0, graph)])
        if torch.isinf(loss):
            raise GraphkitError(
                f"the embeddings of the {len(z)} rows of a batch are constant, and SCE divides by their distances; use "
                "features that differ between nodes, or a smaller optimizer.lr"
            )
        return loss


class COLES(ContrastiveLoss):
    """(Λ tr(ZᵀÃ⁻Z) − tr(ZᵀÃZ)) / B (COLES: Zhu et al., NeurIPS 2021; one view).

    Ã⁻ is the symmetric-normalised random graph that the draws of all rows make, without pairs of a row with itself and
    with duplicates summed; Ã is the normalised adjacency of the rows. The sign is that of adjacencies; with Laplacians
    in their place it turns. No lower bound holds the loss: few epochs and weight decay do.

    Args:
        dim: D.
        negative_weight: Λ, 0 or more.
        negatives: partners that each row draws.

    Raises:
        GraphkitError: a number out of range.
    """

    views: ClassVar[int] = 1
    needs_edges: ClassVar[bool] = True
    negatives_once: ClassVar[bool] = True

    def __init__(self, *, dim: int, negative_weight: float = 0.8, negatives: int = 5) -> None:
        super().__init__(dim=dim)
        if not 0 <= negative_weight < math.inf:
            raise GraphkitError(
                f"loss.negative_weight is {negative_weight}, and a finite number of at least 0 is needed"
            )
        self.negative_weight = negative_weight
        self.negatives = _at_least_one(negatives)

    def forward(self, views: Sequence[Tensor], negatives: Tensor | None = None, edges: Tensor | None = None) -> Tensor:
        """The loss of a batch; see `ContrastiveLoss.forward`."""
        (z,) = views
        assert negatives is not None and edges is not None
        random = normalized_graph(negative_graph(negatives), dtype=z.dtype)
        return quadratic_form(z, [(self.negative_weight, random), (-1.0, edges)]) / len(z)


class CCASSG(ContrastiveLoss):
    """−tr C + α (‖I − C₁‖² + ‖I − C₂‖²) of standardised columns (CCA-SSG: Zhang et al., NeurIPS 2021, eq. 2 and 3).

    Columns are divided by their unbiased deviation, and C = Z₁ᵀZ₂ / B, C₁ = Z₁ᵀZ₁ / B, C₂ = Z₂ᵀZ₂ / B. A constant
    column is zero when standardised.

    Args:
        dim: D.
        decorrelation: α, 0 or more.

    Raises:
        GraphkitError: α is out of range.
    """

    views: ClassVar[int] = 2

    def __init__(self, *, dim: int, decorrelation: float = 5e-4) -> None:
        super().__init__(dim=dim)
        if not 0 <= decorrelation < math.inf:
            raise GraphkitError(f"loss.decorrelation is {decorrelation}, and a finite number of at least 0 is needed")
        self.decorrelation = decorrelation

    def flop(self, rows: int) -> float:
        """Products of columns of two views, one forward and one backward; see `ContrastiveLoss.flop`."""
        return 8.0 * rows * self.dim**2

    def forward(self, views: Sequence[Tensor], negatives: Tensor | None = None, edges: Tensor | None = None) -> Tensor:
        """The loss of a batch; see `ContrastiveLoss.forward`.

        Raises:
            GraphkitError: fewer than two rows.
        """
        first, second = views
        _require_two_rows(first, "CCA-SSG takes the deviation of each column over them")
        rows = len(first)
        first, first_scale, first_products = _standardising(first)
        second, second_scale, second_products = _standardising(second)
        agreement = ((first * second).sum(dim=0) * first_scale * second_scale).sum() / rows
        identity = torch.eye(first.shape[1], dtype=first.dtype, device=first.device)
        penalty = first.new_zeros(())
        for scale, products in ((first_scale, first_products), (second_scale, second_products)):
            correlation = products * scale * scale.unsqueeze(1) / rows
            penalty = penalty + (identity - correlation).square().sum()
        return self.decorrelation * penalty - agreement


def _standardising(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns centred columns [B, D], what they are to be multiplied by [D], and their products [D, D]."""
    mean = z.mean(dim=0)
    centred = z - mean
    products = column_products(centred)
    variance = products.diagonal() / (len(z) - 1)
    # Centring leaves the rounding of the mean in a constant column, which is no deviation.
    noise = (16 * torch.finfo(z.dtype).eps * mean.detach()).square()
    varies = variance.detach() > noise
    scale = torch.where(varies, variance, 1.0).rsqrt() * varies
    return centred, scale, products


class GRACE(ContrastiveLoss):
    """Each row finds itself in the other view, among all rows of both (GRACE: Zhu et al., 2020, eq. 1 and 2).

    ℓ(uᵢ) = −log θ(uᵢ, vᵢ) / (Σₖ θ(uᵢ, uₖ) + Σₖ θ(uᵢ, vₖ) − θ(uᵢ, uᵢ)), θ(u, v) = exp(cos(h(u), h(v)) / τ), and the loss
    is the mean over both views. The head h is of two layers with an ELU in between; it is used here and nowhere else.

    Args:
        dim: D, of the embeddings and of both layers of the head.
        temperature: τ, 0.05 or more: below, exp(-2 / τ) leaves the range of float32.

    Raises:
        GraphkitError: the temperature is out of range.
    """

    views: ClassVar[int] = 2

    def __init__(self, *, dim: int, temperature: float = 0.5) -> None:
        super().__init__(dim=dim)
        if not 0.05 <= temperature < math.inf:
            raise GraphkitError(f"loss.temperature is {temperature}, and a finite number of at least 0.05 is needed")
        self.temperature = temperature
        first, second = (nn.Linear(dim, dim, device="meta").to_empty(device="cpu") for _ in range(2))
        self.head = nn.Sequential(first, nn.ELU(), second)

    def initialize(self, generator: torch.Generator) -> None:
        """Draws the head, uniform in ±1/√D, as layers of torch are."""
        bound = self.dim**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def flop(self, rows: int) -> float:
        """Two layers of the head, and all pairs; see `ContrastiveLoss.flop`."""
        both = 2 * rows
        # Half of the symmetric products is computed: once forward, and once more and into two gradients backward.
        return 12.0 * both * self.dim**2 + 4.0 * both**2 * self.dim

    def forward(self, views: Sequence[Tensor], negatives: Tensor | None = None, edges: Tensor | None = None) -> Tensor:
        """The loss of a batch; see `ContrastiveLoss.forward`.

        Raises:
            GraphkitError: fewer than two rows.
        """
        _require_two_rows(views[0], "GRACE compares each with the others")
        return contrast(F.normalize(self.head(torch.cat(list(views)))), self.temperature)


def _at_least_one(negatives: int) -> int:
    if negatives < 1:
        raise GraphkitError(f"loss.negatives is {negatives}, and at least 1 is needed")
    return negatives


def _require_two_rows(z: Tensor, why: str) -> None:
    if len(z) < 2:
        raise GraphkitError(
            f"a batch has {len(z)} row, and {why}: at least 2 are needed; take more clusters or a larger "
            "sampler.batch_size"
        )
