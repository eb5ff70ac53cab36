"""What every model of query embeddings offers to trainers, evaluation and answering.

A model turns entity rows into scores and knows neither samplers nor tables::

    rows       = table rows of entities                       [U, dim]
    encoded    = model.encode(rows)                           [U, D]   entities
    queries    = model.embed(structure, anchors, relations)   Embedded, of encoded anchors
    candidates = model.candidates(encoded)                    [U, C]   entities as answers
    logits     = model.logits(queries, candidates)            [B, U] or [B, K]; larger is better

A query is embedded bottom-up along its tree, by `start`, `project`, `intersect` and `negate`. Nothing is learned for a
union: a query with unions is embedded as its disjuncts, and an answer counts by the best of them (disjunctive normal
form; Ren et al., ICLR 2020).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphkit.engine.kernels import ByHand, PairDistance, PlacedRows
from graphkit.errors import GraphkitError
from graphkit.models.embedding import Asked, Embedded, embed_by_level
from graphkit.queries import Intersection, Negation, Structure
from graphkit.queries.tree import post_order


class Model(nn.Module, ABC):
    """Base class of the models; subclasses implement `project`, `score` and the initial values.

    Args:
        num_relations: R, raw relations of the graph.
        dim: D, reals of an entity row.
        reciprocal: give the inverse of a relation parameters of its own; otherwise it is derived from the relation.

    Attributes:
        relations: float32[2R or R, relation width], the parameters of directed relation 2k (and 2k+1, if reciprocal).
    """

    #: whether `score` is a matrix product, so that scoring all entities is cheap; for some models a setting says so
    matrix_product: bool = False
    #: whether `score` is the dot product of query and candidate, and nothing else
    dot_product: ClassVar[bool] = False
    #: learning rate of the model's own parameters against that of the rows, where nothing is said
    dense_lr_share: float = 1.0
    #: whether `intersect` is defined; for some models a setting says so
    intersects: bool = False
    #: whether `negate` is defined
    negates: ClassVar[bool] = False
    #: weight of the N3 penalty that the model is usually trained with
    default_n3: float = 0.0

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

    def __init_subclass__(cls, **settings: Any) -> None:
        """Keeps a subclass from changing `score`, `project` or `intersect` while what is computed in their place stays.

        Raises:
            GraphkitError: `intersect` is overridden below an `intersect_groups` of a model.
        """
        super().__init_subclass__(**settings)
        for method, derived in (("score", "pair_distance"), ("project", "project_by_hand")):
            if derived not in vars(_nearest(cls, method, derived)):
                setattr(cls, derived, getattr(Model, derived))
        if "intersect_groups" not in vars(_nearest(cls, "intersect", "intersect_groups")):
            owner = _nearest(cls, "intersect_groups")
            if owner is not Model:
                raise GraphkitError(
                    f"{cls.__name__} overrides intersect, but queries are embedded by intersect_groups, which "
                    f"{owner.__name__} has; override intersect_groups, of which intersect is one group"
                )

    @property
    def embedding_flop(self) -> float:
        """Floating-point operations that embedding a query takes, roughly; those of a vector or two are none."""
        return 0.0

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
            x: float32[B, W], queries.
            relations: int64[B], directed.

        Returns:
            float32[B, W]: queries.
        """

    def project_by_hand(self, x: PlacedRows, relations: Tensor) -> tuple[Tensor, ByHand] | None:
        """Does what `project` does without autograd, which takes a good part of a step of single hops.

        Args:
            x: see `project`; rows lie in host memory, as do the parameters.
            relations: see there.

        Returns:
            The queries, bit for bit those of `project`, and what makes of their gradient those of `x` and of
            `self.relations`, the only parameters that take part; None = `project` is to be differentiated. A subclass
            that overrides `project` alone has None.
        """
        return None

    @abstractmethod
    def score(self, queries: Tensor, candidates: Tensor, places: Tensor | None = None) -> Tensor:
        """Scores candidates; larger is better.

        Args:
            queries: float32[V, W].
            candidates: float32[N, C].
            places: int64[V, K], the candidates of each query; None = every query is scored against all.

        Returns:
            float32[V, N] or [V, K].
        """

    def pair_distance(self) -> PairDistance | None:
        """Returns what `score` is, where that is a constant minus the distance of each pair; None for other scores.

        Evaluation then counts scores as they arise, without a matrix [V, N]. ``pair_distance().scores(...)`` and
        ``score(...)`` are equal bit for bit. A subclass that overrides `score` alone has None; it says here what its
        score is. Another score that a method called by `score` makes is not seen.
        """
        return None

    def encode(self, rows: Tensor) -> Tensor:
        """Turns table rows [U, dim] into entities [U, D]: the rows themselves, unless a model computes on them."""
        return rows

    def start(self, encoded: Tensor) -> Tensor:
        """Turns encoded entities [B, D] into the queries that start there [B, W]: themselves, for most models."""
        return encoded

    def candidates(self, encoded: Tensor) -> Tensor:
        """Turns encoded entities [U, D] into what `score` compares with [U, C], once for any number of queries."""
        return encoded

    def intersect(self, branches: Sequence[Tensor]) -> Tensor:
        """Returns float32[B, W]: the intersection of two or more queries [B, W]; see `intersects`."""
        if _nearest(type(self), "intersect_groups") is Model:
            raise NotImplementedError(f"{type(self).__name__} has no intersection")
        return self.intersect_groups(torch.cat(list(branches)), [(len(branches), len(branches[0]))])

    def intersect_groups(self, x: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:
        """Returns what `intersect` does for groups of queries with equally many branches.

        A model overrides either of the two: this one, to take all groups at once, so that `intersect` is one group of
        it. Subclasses of the model then override this one, too.

        Args:
            x: float32[M, W], the branches: group after group, within it branch after branch, each of all its queries.
            groups: branches of a query, and queries, of each group.

        Returns:
            float32[B, W]: the intersections, group after group.
        """
        parts = torch.split(x, [ways * size for ways, size in groups])
        found = [
            self.intersect(part.view(ways, size, x.shape[1]).unbind())
            for part, (ways, size) in zip(parts, groups, strict=True)
        ]
        return found[0] if len(found) == 1 else torch.cat(found)

    def negate(self, x: Tensor) -> Tensor:
        """Returns float32[B, W]: the complement of queries [B, W]; see `negates`."""
        raise NotImplementedError(f"{type(self).__name__} has no negation")

    def missing(self, structure: Structure) -> str | None:
        """Returns why the model cannot embed a structure, a sentence, or None if it can."""
        nodes = {type(node) for tree in structure.disjuncts for node in post_order(tree)}
        lacks = [
            operator
            for operator, kind, defined in (
                ("intersections", Intersection, self.intersects),
                ("negations", Negation, self.negates),
            )
            if kind in nodes and not defined
        ]
        if not lacks:
            return None
        return (
            f"{type(self).__name__} has no {' and no '.join(lacks)}, which queries of the structure {structure.name} "
            "need; choose structures without, or a model that has them (gqe and query2box intersect, betae negates too)"
        )

    def require(self, structure: Structure) -> None:
        """Makes sure that the model can embed a structure.

        Raises:
            GraphkitError: it lacks an operator that the structure needs; see `missing`.
        """
        if reason := self.missing(structure):
            raise GraphkitError(reason)

    def embed(self, structure: Structure, anchors: Tensor, relations: Tensor) -> Embedded:
        """Embeds queries of one structure; see `Asked`.

        Raises:
            GraphkitError: the model lacks an operator that the structure needs.
        """
        return self.embed_all([Asked(structure, anchors, relations)])

    def embed_all(self, asked: Sequence[Asked], anchors: Tensor | None = None) -> Embedded:
        """Embeds queries of several structures, one after the other.

        Operators of all queries that do not wait for each other are applied at once: a batch of many structures takes
        as many matrix products as its deepest query has steps.

        Args:
            asked: the queries of each structure.
            anchors: float32[P, D], those of all structures as `Asked.by_columns` has them; None = `asked` has them.

        Raises:
            GraphkitError: the model lacks an operator that a structure needs.
        """
        for part in asked:
            self.require(part.structure)
        return embed_by_level(self, asked, anchors)

    def logits(self, queries: Embedded, candidates: Tensor, places: Tensor | None = None) -> Tensor:
        """Scores candidates by the best vector of each query; larger is better.

        Args:
            queries: B queries.
            candidates: float32[N, C]; see `candidates`.
            places: int64[B, K], the candidates of each query; None = every query is scored against all.

        Returns:
            float32[B, N] or [B, K].
        """
        if queries.owners is None:
            return self.score(queries.vectors, candidates, places)
        scores = self.score(queries.vectors, candidates, None if places is None else places[queries.owners])
        best = scores.new_full((queries.size, scores.shape[1]), -math.inf)
        return best.scatter_reduce(0, queries.owners.unsqueeze(1).expand_as(scores), scores, "amax")

    def squared_moduli(self, x: Tensor) -> Tensor:
        """Returns the squared size of each coordinate of rows [..., D], for norms over coordinates."""
        return x.square()

    def relation_parameters(self, relations: Tensor) -> Tensor:
        """Returns float32[B, relation width]: the parameters behind int64[B] directed relations."""
        # Not by indexing, whose gradient goes row by row.
        return F.embedding(relations if self.reciprocal else relations // 2, self.relations)

    def directed_rows(self, relations: Tensor) -> Tensor:
        """Returns int64[B], 2 p for row p of `relations` as it is, 2 p + 1 for its inverse; of int64[B] relations."""
        return 2 * relations if self.reciprocal else relations

    def turn_inverses(self, x: Tensor, relations: Tensor) -> Tensor:
        """Returns [B, D]: x, negated for each inverse that shares the parameters of its relation."""
        return x if self.reciprocal else x * (1 - 2 * (relations % 2)).unsqueeze(1)


def _nearest(model: type, *names: str) -> type:
    """Returns the class that a model has the first of some methods from."""
    return next(base for base in model.__mro__ if any(name in vars(base) for name in names))


def require_even(dim: int, row: str) -> None:
    """Makes sure that rows fall into two halves.

    Args:
        dim: reals of a row.
        row: what has two halves, as the error names it.

    Raises:
        GraphkitError: `dim` is odd.
    """
    if dim % 2:
        raise GraphkitError(f"model.dim is {dim}, and {row} needs an even number of reals; give {dim + 1}")


def scale_of_margin(margin: float, coordinates: int) -> float:
    """Returns the bound of fresh values, uniform in ±(margin + 2) / coordinates (Sun et al., ICLR 2019, code).

    Raises:
        GraphkitError: the bound would not be above 0.
    """
    if not margin > -2:
        raise GraphkitError(f"model.margin is {margin}, and a number above -2 is needed")
    return (margin + 2) / coordinates
