"""The plain twin of draws of negatives that are not uniform: what `SamplerOptions.corruption` means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from graphkit.queries import Anchor, Intersection, Negation, Node, Projection, Union


class Numbers(Protocol):
    """What `reference.SplitMix` gives."""

    def below(self, size: int) -> int:
        """Returns a uniform number in [0, size)."""


class ByDegree:
    """Entities in proportion to their number of edges: the end of a directed edge, drawn uniformly."""

    def __init__(self, edges: Sequence[tuple[int, int, int]], entities: int) -> None:
        self._edges, self._entities = edges, entities
        self._degrees = Counter(head for head, _, _ in edges)

    def draw(self, numbers: Numbers) -> int:
        """Returns an entity."""
        return self._edges[numbers.below(len(self._edges))][2]

    def weight(self, entity: int) -> float:
        """Returns the probability of an entity in a uniform draw over the one that it has here."""
        return len(self._edges) / (float(self._entities) * self._degrees[entity])


class ByType:
    """One of some relations, uniformly; then one of the entities that it leads to from anywhere, uniformly."""

    def __init__(self, edges: Sequence[tuple[int, int, int]], entities: int, relations: list[int]) -> None:
        self._ranges = [sorted({tail for _, r, tail in edges if r == relation}) for relation in relations]
        self._entities = entities

    def draw(self, numbers: Numbers) -> int:
        """Returns an entity."""
        chosen = self._ranges[numbers.below(len(self._ranges)) if len(self._ranges) > 1 else 0]
        return chosen[numbers.below(len(chosen))]

    def weight(self, entity: int) -> float:
        """Returns the probability of an entity in a uniform draw over the one that it has here."""
        share = 0.0
        for reached in self._ranges:
            share += 1 / len(reached) if entity in reached else 0.0
        return len(self._ranges) / (float(self._entities) * share)


def leading_relations(node: Node, *, negated: bool = False) -> list[int]:
    """Returns the relations that lead to the answers: with no relation and an even number of negations above them."""
    match node:
        case Anchor():
            return []
        case Projection():
            return [] if negated else [node.relation]
        case Negation():
            return leading_relations(node.operand, negated=not negated)
        case Intersection() | Union():
            return [relation for branch in node.branches for relation in leading_relations(branch, negated=negated)]
