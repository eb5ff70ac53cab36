"""Disjunctive normal form: a query with unions as several queries without, whose answers together are its answers.

A union below a projection or an intersection moves up. Below a negation it turns into an intersection of negations,
since ¬(A ∪ B) = ¬A ∩ ¬B: negating the disjuncts one by one would give ¬A ∪ ¬B (Ren and Leskovec, NeurIPS 2020, leave
this case out).
"""

from __future__ import annotations

from itertools import product
from math import prod

from graphkit.errors import GraphkitError
from graphkit.queries.tree import Anchor, Intersection, Negation, Node, Projection, Union

#: Disjuncts of a query at most: an intersection of k unions of two has 2 to the power of k of them.
MAX_DISJUNCTS = 64


def disjuncts(tree: Node, *, limit: int = MAX_DISJUNCTS) -> tuple[Node, ...]:
    """Returns trees without unions whose union is the tree; equal ones are left in.

    Raises:
        GraphkitError: there are more than `limit`; the number is counted before any is made.
    """
    require_disjuncts(_count(tree, limit), limit=limit)
    return _expand(tree)


def require_disjuncts(number: int, *, limit: int = MAX_DISJUNCTS) -> None:
    """Makes sure that a query does not branch too often.

    Raises:
        GraphkitError: `number` is above the limit.
    """
    if number > limit:
        raise GraphkitError(
            f"the unions of the query branch into {_written(number)} queries without unions, and {limit} is the "
            "limit; ask for some of the branches at a time"
        )


def _written(number: int) -> str:
    # Branches multiply: a number of thousands of digits is no help, and Python refuses to print it.
    return str(number) if number < 10**9 else "over 1000000000"


def _count(node: Node, limit: int) -> int:
    match node:
        case Anchor():
            return 1
        case Projection():
            return _count(node.operand, limit)
        case Negation():
            if isinstance(node.operand, Negation):
                return _count(node.operand.operand, limit)
            # They become one intersection, but all of its branches are made.
            require_disjuncts(_count(node.operand, limit), limit=limit)
            return 1
        case Intersection():
            return prod(_count(branch, limit) for branch in node.branches)
        case Union():
            return sum(_count(branch, limit) for branch in node.branches)


def _expand(node: Node) -> tuple[Node, ...]:
    match node:
        case Anchor():
            return (node,)
        case Projection():
            return tuple(Projection(one, node.relation) for one in _expand(node.operand))
        case Negation():
            if isinstance(node.operand, Negation):
                return _expand(node.operand.operand)
            return (_all_of([_negated(one) for one in _expand(node.operand)]),)
        case Intersection():
            return tuple(_all_of(list(choice)) for choice in product(*map(_expand, node.branches)))
        case Union():
            return tuple(one for branch in node.branches for one in _expand(branch))


def _all_of(branches: list[Node]) -> Node:
    """Returns an intersection of all branches, those of intersections among them side by side with the others.

    (A ∩ B) ∩ C has the answers of A ∩ B ∩ C, but a model that learned to intersect need not see that.
    """
    flat = [one for node in branches for one in (node.branches if isinstance(node, Intersection) else (node,))]
    return flat[0] if len(flat) == 1 else Intersection(tuple(flat))


def _negated(node: Node) -> Node:
    return node.operand if isinstance(node, Negation) else Negation(node)
