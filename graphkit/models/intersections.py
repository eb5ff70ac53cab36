"""How models intersect: the layers that make one query of several branches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphkit.engine.kernels import attended_means, attention_weights
from graphkit.errors import GraphkitError
from graphkit.models.base import Model
from graphkit.models.layers import Linear


class BranchAttention(nn.Module):
    """Weighs the branches of an intersection: the softmax over branches of ``W₂ relu(W₁ x + b₁) + b₂``.

    The intersection of GQE, Query2box and BetaE as the authors of BetaE run them (Ren and Leskovec, NeurIPS 2020).

    Args:
        width: W, reals of a branch.
        weights: A, weights of a branch.
    """

    def __init__(self, width: int, weights: int) -> None:
        super().__init__()
        self.first = Linear(width, width)
        self.second = Linear(width, weights)

    def forward(self, branches: Tensor) -> Tensor:
        """Returns float32[n, B, A] for n branches [n, B, W]: weights that sum to 1 over the branches."""
        return attention_weights(branches, self._layers, rounded=_rounded(branches))

    def means(self, x: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:
        """Returns float32[B, W]: the weighted means of branches [M, W]; see `Model.intersect_groups`."""
        return attended_means(x, self._layers, groups, rounded=_rounded(x))

    @property
    def _layers(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.first.weight, self.first.bias, self.second.weight, self.second.bias


def _rounded(x: Tensor) -> bool:
    """Returns whether autocast would round the products of linear layers to bfloat16, the only type that is served."""
    kind = x.device.type
    return torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) == torch.bfloat16


class DeepSets(nn.Module):
    """Makes one vector of a set: two layers on each branch, their mean, and two layers on the mean.

    ``W₄ relu(W₃ mean_i relu(W₂ relu(W₁ x_i + b₁) + b₂) + b₃) + b₄``, the intersection that SMORE gives to RotatE,
    ComplEx and DistMult (Ren et al., KDD 2022).

    Args:
        width: W, reals of a branch and of the result.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(Linear(width, width), nn.ReLU(), Linear(width, width), nn.ReLU())
        self.outer = nn.Sequential(Linear(width, width), nn.ReLU(), Linear(width, width))

    def forward(self, branches: Tensor) -> Tensor:
        """Returns float32[B, W] for n branches [n, B, W]."""
        found: Tensor = self.outer(self.inner(branches).mean(dim=0))
        return found


class PathModel(Model):
    """A model that is known for paths, with an intersection if a setting says so.

    Args:
        num_relations, dim, reciprocal: see `Model`.
        intersection: "deepsets" (`DeepSets`), or None: the model has no parameters but relations then.

    With DeepSets, the learning rate of parameters is by default a tenth of that of rows, and there is no N3.

    Raises:
        GraphkitError: `dim` below 1, or another intersection.
    """

    def __init__(self, num_relations: int, *, dim: int, reciprocal: bool, intersection: str | None) -> None:
        super().__init__(num_relations, dim=dim, reciprocal=reciprocal)
        if intersection not in (None, "deepsets"):
            raise GraphkitError(f"model.intersection is {intersection!r}, and deepsets, or null for none, is needed")
        self.intersects = intersection is not None
        if self.intersects:
            # As a model with a network; weights of N3 are known for links alone.
            self.dense_lr_share, self.default_n3 = 0.1, 0.0
        self.intersection = DeepSets(dim) if self.intersects else None

    def intersect(self, branches: Sequence[Tensor]) -> Tensor:  # noqa: D102  # as in the base class
        if self.intersection is None:
            return super().intersect(branches)
        found: Tensor = self.intersection(torch.stack(list(branches)))
        return found


def initialize_layers(module: nn.Module, generator: torch.Generator) -> None:
    """Draws all linear layers of a module: weights by Xavier, biases uniform in ±1/√inputs, as BetaE's code does."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            bound = 1 / math.sqrt(layer.in_features)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
