"""What every model of query embeddings offers to trainers, evaluation and answering.

A model turns entity rows into scores and knows neither samplers nor tables::

    rows       = table rows of entities             [U, width]
    candidates = model.encode(rows)                 [U, D]    what entities look like as answers
    queries    = model.embed(structure, anchors, relations)   [B, D]
    logits     = model.score(queries, candidates)   [B, U] or [B, K]; larger is better
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from graphkit.errors import GraphkitError
from graphkit.queries import ONE_HOP, Structure


class Model(nn.Module, ABC):
    """Base class of the models; subclasses implement `project`, `score` and the initial values.

    Args:
        num_relations: R, raw relations of the graph.
        dim: D, reals of an entity row.
        reciprocal: give the inverse of a relation parameters of its own; otherwise it is derived from the relation.

    Attributes:
        relations: float32[2R or R, relation width], the parameters of directed relation 2k (and 2k+1, if reciprocal).
    """

    #: whether `score` is a matrix product, so that scoring all entities is cheap
    dot_product: ClassVar[bool] = False
    #: weight of the N3 penalty that the model is usually trained with
    default_n3: ClassVar[float] = 0.0

    relations: nn.Parameter

    def __init__(self, num_relations: int, *, dim: int, reciprocal: bool) -> None:
        super().__init__()
        if dim < 1:
            raise GraphkitError(
                f"model.dim is {dim}, and at least 1 is needed; give the number of reals of an entity row"
            )
        self.num_relations = num_relations
        self.dim = dim
        self.reciprocal = reciprocal
        self.relation_rows = (2 if reciprocal else 1) * num_relations

    @abstractmethod
    def initial_rows(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns float32[count, dim]: fresh entity rows."""

    @abstractmethod
    def initialize(self, generator: torch.Generator) -> None:
        """Draws fresh values for all parameters."""

    @abstractmethod
    def project(self, x: Tensor, relations: Tensor) -> Tensor:
        """Follows a relation.

        Args:
            x: float32[B, D], encoded entities or queries.
            relations: int64[B], directed.

        Returns:
            float32[B, D]: queries.
        """

    @abstractmethod
    def score(self, queries: Tensor, candidates: Tensor) -> Tensor:
        """Scores candidates; larger is better.

        Args:
            queries: float32[B, D].
            candidates: float32[N, D] for all queries, or [B, K, D] for each its own.

        Returns:
            float32[B, N] or [B, K].
        """

    def encode(self, rows: Tensor) -> Tensor:
        """Turns table rows [U, dim] into what is scored: the rows themselves, unless a model computes on them."""
        return rows

    def embed(self, structure: Structure, anchors: Tensor, relations: Tensor) -> Tensor:
        """Embeds queries of one structure.

        Args:
            structure: what the queries look like.
            anchors: float32[B, anchors of the structure, D], encoded.
            relations: int64[B, relations of the structure], directed.

        Returns:
            float32[B, W]: queries, in whatever width and form the model's `score` takes.

        Raises:
            GraphkitError: the model cannot embed this structure.
        """
        if structure != ONE_HOP:
            raise GraphkitError(f"{type(self).__name__} embeds {ONE_HOP.name} queries only, and got {structure.name}")
        return self.project(anchors[:, 0], relations[:, 0])

    def squared_moduli(self, x: Tensor) -> Tensor:
        """Returns the squared size of each coordinate of rows [..., D], for norms over coordinates."""
        return x.square()

    def relation_parameters(self, relations: Tensor) -> Tensor:
        """Returns float32[B, relation width]: the parameters behind int64[B] directed relations."""
        return self.relations[relations if self.reciprocal else relations // 2]


def score_dot(queries: Tensor, candidates: Tensor) -> Tensor:
    """Dot products of queries [B, D] with candidates [N, D] or [B, K, D]."""
    if candidates.dim() == 2:
        return queries @ candidates.T
    return torch.bmm(candidates, queries.unsqueeze(2)).squeeze(2)
