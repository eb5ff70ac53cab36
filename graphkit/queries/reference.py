"""The plain twin of native execution: slow, obvious, and the oracle of its tests."""

from __future__ import annotations

from collections.abc import Iterable, Set

from graphkit.graph import KnowledgeGraph, Split
from graphkit.queries.query import Query
from graphkit.queries.tree import Anchor, Intersection, Negation, Node, Projection, Union

#: (head, directed relation, tail)
Edge = tuple[int, int, int]


def answers(query: Query, graph: KnowledgeGraph, splits: Iterable[Split] = ("train",)) -> list[int]:
    """Returns what `graphkit.queries.answers` must, of bounded and unbounded queries, by plain sets."""
    triples = [tuple(triple) for split in splits for triple in graph.triples(split).tolist()]
    edges = {edge for h, r, t in triples for edge in ((h, 2 * r, t), (t, 2 * r + 1, h))}
    return sorted(evaluate(query.tree, edges, frozenset(range(graph.num_entities))))


def evaluate(node: Node, edges: Set[Edge], entities: frozenset[int]) -> frozenset[int]:
    """Returns the set of a tree of ids: the definition of the algebra."""
    match node:
        case Anchor():
            return frozenset({node.entity})
        case Projection():
            sources = evaluate(node.operand, edges, entities)
            return frozenset(t for h, r, t in edges if r == node.relation and h in sources)
        case Negation():
            return entities - evaluate(node.operand, edges, entities)
        case Intersection():
            return frozenset.intersection(*(evaluate(branch, edges, entities) for branch in node.branches))
        case Union():
            return frozenset.union(*(evaluate(branch, edges, entities) for branch in node.branches))
