"""Every walk that the docstring of `QuerySampler` speaks of, with its probability and what becomes of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from batches import has_equal_branches, turns_back
from strategies import Triple, directed

from graphkit.queries import Anchor, Intersection, Negation, Node, Projection, Structure, Union

#: Ids in the order of a row, with the probability to draw them.
Part = tuple[float, tuple[int, ...]]


@dataclass(frozen=True)
class Walk:
    """One way to draw a query."""

    row: tuple[int, ...]
    positive: int
    probability: float
    #: the field of `SamplingStatistics` that counts it, but for relations that turn back
    outcome: str
    turns_back: bool


class Walks:
    """The walks on one small graph."""

    def __init__(self, entities: int, triples: Sequence[Triple], answers: str) -> None:
        self.entities = range(entities)
        edges = directed(triples)
        self.ends = {x: [(h, r) for h, r, t in sorted(edges) if t == x] for x in self.entities}
        self.images = {(x, r): frozenset(t for h, s, t in edges if (h, s) == (x, r)) for x, r, _ in edges}
        by_edges = {x: len(ends) / len(edges) for x, ends in self.ends.items() if ends}
        self.fresh = by_edges if answers == "degree" else dict.fromkeys(self.entities, 1 / entities)

    def of(self, structure: Structure) -> list[Walk]:
        """All walks that come to no dead end."""
        return [
            Walk(row, positive, chance * p, self._outcome(tree := structure.fill(row), positive), turns_back(tree))
            for positive, chance in self.fresh.items()
            for p, row in self._below(structure.tree, positive)
        ]

    def _outcome(self, tree: Node, positive: int) -> str:
        if has_equal_branches(tree):
            return "repeated"
        answers = self._answers(tree)
        if len(answers) == len(self.entities):
            return "everything"
        return "drawn" if positive in answers else "refuted"

    def _below(self, node: Node, x: int) -> list[Part]:
        match node:
            case Anchor():
                return [(1.0, (x,))]
            case Projection():
                ends = self.ends[x]
                return [(p / len(ends), (*ids, r)) for y, r in ends for p, ids in self._below(node.operand, y)]
            case Intersection():
                return list(_joined([self._below(branch, x) for branch in node.branches]))
            case Union():
                size = len(node.branches)
                parts: list[Part] = []
                for kept in range(size):
                    drawn = [self._below(b, x) if i == kept else self._anew(b) for i, b in enumerate(node.branches)]
                    parts += [(p / size, ids) for p, ids in _joined(drawn)]
                return parts
            case Negation():
                # What is negated twice holds for the entity again.
                inner = node.operand
                return self._below(inner.operand, x) if isinstance(inner, Negation) else self._anew(inner)

    def _anew(self, node: Node) -> list[Part]:
        return [(chance * p, ids) for y, chance in self.fresh.items() for p, ids in self._below(node, y)]

    def _answers(self, node: Node) -> frozenset[int]:
        match node:
            case Anchor():
                return frozenset({node.entity})
            case Projection():
                empty: frozenset[int] = frozenset()
                return empty.union(*(self.images.get((x, node.relation), ()) for x in self._answers(node.operand)))
            case Negation():
                return frozenset(self.entities) - self._answers(node.operand)
            case Intersection():
                return frozenset.intersection(*map(self._answers, node.branches))
            case Union():
                return frozenset.union(*map(self._answers, node.branches))


def _joined(branches: list[list[Part]]) -> Iterator[Part]:
    for parts in product(*branches):
        yield math.prod(p for p, _ in parts), tuple(i for _, ids in parts for i in ids)
