"""The algebra of queries: trees of anchors, projections, intersections, unions and negations.

One type of tree serves two purposes: in a query the numbers are ids of entities and directed relations (2k is relation
k forward, 2k+1 its inverse), in a structure they are the columns of a row that holds such ids. Spellings are parsed
into these trees and printed from them, and execution compiles them; nothing else describes a query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from graphkit import _native
from graphkit.errors import GraphkitError

Argument = Literal["anchor", "relation"]

#: Levels of a tree at most. Every node checks it, so that whatever walks a tree may recurse without fear.
MAX_DEPTH: int = _native.MAX_QUERY_DEPTH


def too_deep() -> GraphkitError:
    """Returns the error of a query, in any spelling, that is nested beyond `MAX_DEPTH`."""
    return GraphkitError(
        f"the query is nested more than {MAX_DEPTH} levels deep, which is the limit; ask for a part of it first, and "
        "use its answers as anchors of the rest"
    )


@dataclass(frozen=True)
class Anchor:
    """The set of one entity."""

    entity: int
    depth: int = field(init=False, repr=False, compare=False, default=1)


@dataclass(frozen=True)
class Projection:
    """What the entities of a set lead to by a directed relation."""

    operand: Node
    relation: int
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _set_depth(self, (self.operand,))


@dataclass(frozen=True)
class Negation:
    """All entities that are not in a set."""

    operand: Node
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _set_depth(self, (self.operand,))


@dataclass(frozen=True)
class Intersection:
    """The entities that are in each of two or more sets."""

    branches: tuple[Node, ...]
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _set_depth(self, _at_least_two(self.branches, "an intersection"))


@dataclass(frozen=True)
class Union:
    """The entities that are in any of two or more sets."""

    branches: tuple[Node, ...]
    depth: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _set_depth(self, _at_least_two(self.branches, "a union"))


Node: TypeAlias = Anchor | Projection | Negation | Intersection | Union


def operands(node: Node) -> tuple[Node, ...]:
    """Returns the nodes right below `node`, in the order in which they are written."""
    match node:
        case Anchor():
            return ()
        case Projection() | Negation():
            return (node.operand,)
        case Intersection() | Union():
            return node.branches


def post_order(node: Node) -> Iterator[Node]:
    """Yields all nodes, each after its operands: the order in which a query is executed and its ids stand in a row."""
    for operand in operands(node):
        yield from post_order(operand)
    yield node


def relabel(node: Node, relabelled: Callable[[Argument, int], int]) -> Node:
    """Returns the tree with other numbers, which `relabelled` gives in post-order."""
    match node:
        case Anchor():
            return Anchor(relabelled("anchor", node.entity))
        case Projection():
            operand = relabel(node.operand, relabelled)
            return Projection(operand, relabelled("relation", node.relation))
        case Negation():
            return Negation(relabel(node.operand, relabelled))
        case Intersection() | Union():
            return type(node)(tuple(relabel(branch, relabelled) for branch in node.branches))


def is_complement(node: Node) -> bool:
    """Whether the set holds all entities but some, so that it is as large as the graph.

    Raises:
        GraphkitError: a relation is followed from such a set.
    """
    match node:
        case Anchor():
            return False
        case Projection():
            if is_complement(node.operand):
                raise GraphkitError(
                    "the query is unbounded: it follows a relation from all entities that a negation leaves; "
                    "intersect the negation with a condition that is not negated first"
                )
            return False
        case Negation():
            return not is_complement(node.operand)
        case Intersection():
            return all([is_complement(branch) for branch in node.branches])
        case Union():
            return any([is_complement(branch) for branch in node.branches])


def _at_least_two(branches: tuple[Node, ...], kind: str) -> tuple[Node, ...]:
    if len(branches) < 2:
        raise GraphkitError(f"the query has {kind} of {len(branches)} branches, and at least 2 are needed")
    return branches


def _set_depth(node: Node, below: tuple[Node, ...]) -> None:
    depth = 1 + max(operand.depth for operand in below)
    if depth > MAX_DEPTH:
        raise too_deep()
    object.__setattr__(node, "depth", depth)  # the one value of a frozen node that is derived
