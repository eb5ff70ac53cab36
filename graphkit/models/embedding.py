"""Queries on their way to vectors: what a model is asked, what it answers, and the order of its operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from graphkit.queries import Anchor, Intersection, Negation, Node, Projection, Structure, Union


@dataclass(frozen=True)
class Asked:
    """Queries of one structure."""

    structure: Structure
    #: float32[B, anchors of the structure, D], encoded
    anchors: Tensor
    #: int64[B, relations of the structure], directed
    relations: Tensor

    @cached_property
    def columns(self) -> Sequence[Tensor]:
        """An anchor each: float32[B, D]."""
        # One by one, the gradient of each would be padded with zeros to that of all.
        return [self.anchors.squeeze(1)] if self.anchors.shape[1] == 1 else self.anchors.unbind(1)


@dataclass(frozen=True)
class Embedded:
    """B queries as a model sees them: a vector each, or several where unions leave several ways to answer."""

    #: float32[V, W], the vectors of a query side by side
    vectors: Tensor
    #: int64[V], ascending: the query of each vector; None where vector b is query b
    owners: Tensor | None
    #: B
    size: int

    @classmethod
    def join(cls, parts: Sequence[Embedded]) -> Embedded:
        """Returns the queries of all parts, one part after the other."""
        vectors = torch.cat([part.vectors for part in parts])
        size = sum(part.size for part in parts)
        if all(part.owners is None for part in parts):
            return cls(vectors, None, size)
        owners, first = [], 0
        for part in parts:
            own = torch.arange(part.size, device=vectors.device) if part.owners is None else part.owners
            owners.append(first + own)
            first += part.size
        return cls(vectors, torch.cat(owners), size)

    def select(self, start: int, stop: int) -> Embedded:
        """Returns queries `start` to `stop`."""
        stop = min(stop, self.size)
        if start == 0 and stop == self.size:
            return self  # the gradient of a slice would be copied
        if self.owners is None:
            return Embedded(self.vectors[start:stop], None, stop - start)
        ends = torch.searchsorted(self.owners, torch.tensor([start, stop], device=self.owners.device)).tolist()
        kept = slice(*ends)
        return Embedded(self.vectors[kept], self.owners[kept] - start, stop - start)


class Operators(Protocol):
    """What embedding needs of a model; see `Model`."""

    def start(self, encoded: Tensor) -> Tensor:
        """See `Model.start`."""

    def project(self, x: Tensor, relations: Tensor) -> Tensor:
        """See `Model.project`."""

    def intersect(self, branches: Sequence[Tensor]) -> Tensor:
        """See `Model.intersect`."""

    def negate(self, x: Tensor) -> Tensor:
        """See `Model.negate`."""


@dataclass(frozen=True)
class _Step:
    """An operator of the queries of one structure."""

    kind: type[Projection] | type[Intersection] | type[Negation]
    #: numbers of the values that it is applied to, and of the one that it makes
    operands: tuple[int, ...]
    result: int
    #: int64[B], of a projection
    relations: Tensor | None


class _Schedule:
    """Values and operators of all queries; operators of a level depend on lower levels alone."""

    def __init__(self, operators: Operators) -> None:
        self.operators = operators
        self.values: list[Tensor | None] = []
        self._levels: list[int] = []
        self._steps: dict[tuple[int, str, int], list[_Step]] = {}

    def add(self, node: Node, asked: Asked, place: dict[int, int]) -> int:
        """Adds a node and what is below it; returns the number of its value."""
        match node:
            case Anchor():
                return self._value(0, self.operators.start(asked.columns[place[node.entity]]))
            case Projection():
                return self._step(Projection, (self.add(node.operand, asked, place),), asked, place[node.relation])
            case Intersection():
                return self._step(Intersection, tuple(self.add(branch, asked, place) for branch in node.branches))
            case Negation():
                return self._step(Negation, (self.add(node.operand, asked, place),))
            case Union():
                raise AssertionError("a disjunct has no unions")

    def run(self) -> None:
        """Applies all operators, level by level, those of a kind at once."""
        for key in sorted(self._steps):
            steps = self._steps[key]
            operands = [_join([self[step.operands[i]] for step in steps]) for i in range(key[2])]
            kind = steps[0].kind
            if kind is Projection:
                found = self.operators.project(operands[0], _join([_of(step.relations) for step in steps]))
            elif kind is Intersection:
                found = self.operators.intersect(operands)
            else:
                found = self.operators.negate(operands[0])
            for step, part in zip(steps, _split(found, [len(self[step.operands[0]]) for step in steps]), strict=True):
                self.values[step.result] = part

    def __getitem__(self, number: int) -> Tensor:
        return _of(self.values[number])

    def _value(self, level: int, value: Tensor | None) -> int:
        self.values.append(value)
        self._levels.append(level)
        return len(self.values) - 1

    def _step(
        self,
        kind: type[Projection] | type[Intersection] | type[Negation],
        operands: tuple[int, ...],
        asked: Asked | None = None,
        relation: int = 0,
    ) -> int:
        level = 1 + max(self._levels[operand] for operand in operands)
        result = self._value(level, None)
        relations = None if asked is None else asked.relations[:, relation]
        step = _Step(kind, operands, result, relations)
        self._steps.setdefault((level, kind.__name__, len(operands)), []).append(step)
        return result


def embed_by_level(operators: Operators, asked: Sequence[Asked]) -> Embedded:
    """Embeds queries of several structures; see `Model.embed_all`."""
    schedule = _Schedule(operators)
    roots: list[list[int]] = []
    for part in asked:
        # Columns of a row count anchors and relations together; these tensors hold each kind alone.
        columns = (part.structure.columns(kind) for kind in ("anchor", "relation"))
        place = {column: i for some in columns for i, column in enumerate(some)}
        roots.append([schedule.add(tree, part, place) for tree in part.structure.disjuncts])
    schedule.run()
    found = []
    for part, trees in zip(asked, roots, strict=True):
        size, ways = len(part.anchors), [schedule[tree] for tree in trees]
        if len(ways) == 1:
            found.append(Embedded(ways[0], None, size))
        else:
            owners = torch.arange(size, device=part.anchors.device).repeat_interleave(len(ways))
            found.append(Embedded(torch.stack(ways, dim=1).flatten(0, 1), owners, size))
    return found[0] if len(found) == 1 else Embedded.join(found)


def _split(found: Tensor, sizes: list[int]) -> Sequence[Tensor]:
    return [found] if len(sizes) == 1 else torch.split(found, sizes)


def _join(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _of(value: Tensor | None) -> Tensor:
    assert value is not None  # lower levels come first
    return value
