"""From a tree to a pattern: the inverse of parsing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

from graphkit.graph import KnowledgeGraph
from graphkit.queries.query import Query
from graphkit.queries.tree import Anchor, Intersection, Negation, Node, Projection, Union

_TARGET = "?x"
#: Labels that need no quotes: no symbol of the grammar, and none of its words.
_PLAIN = re.compile(r"(?!.*\b(?:not|or)\b)\w(?:[\w .'/:-]*\w)?")


def write(query: Query, graph: KnowledgeGraph) -> str:
    """Returns the pattern of a query, with the labels of the graph; `parse` reads it back.

    Groups within groups are written as one, which means the same.
    """
    literals = _Writer(graph).literals(query.tree, _TARGET)
    only = literals[0] if len(literals) == 1 else ""
    unwrapped = isinstance(query.tree, Union) and only
    return f"{_TARGET} : {only[1:-1] if unwrapped else ', '.join(literals)}"


class _Writer:
    def __init__(self, graph: KnowledgeGraph) -> None:
        self._graph = graph
        self._fresh: Iterator[int] = count(1)

    def literals(self, node: Node, variable: str) -> list[str]:
        """Returns the conditions that say that `variable` is in the set."""
        match node:
            case Anchor():
                return [f"{variable} = {self._entity(node.entity)}"]
            case Negation():
                return [f"not {self._group(node.operand, variable)}"]
            case Intersection():
                return [literal for branch in node.branches for literal in self.literals(branch, variable)]
            case Union():
                return [f"({' or '.join(self._group(branch, variable) for branch in node.branches)})"]
            case Projection():
                return self._hop(node, variable)

    def _hop(self, node: Projection, variable: str) -> list[str]:
        if isinstance(node.operand, Anchor):
            other, rest = self._entity(node.operand.entity), []
        else:
            other = f"?y{next(self._fresh)}"
            rest = self.literals(node.operand, other)
        first, second = (variable, other) if node.relation % 2 else (other, variable)
        relation = _quoted(self._graph.relation_label(node.relation // 2))
        return [f"{relation}({first}, {second})", *rest]

    def _group(self, node: Node, variable: str) -> str:
        literals = self.literals(node, variable)
        return literals[0] if len(literals) == 1 else f"({', '.join(literals)})"

    def _entity(self, entity: int) -> str:
        return _quoted(self._graph.entity_label(entity))


def _quoted(label: str) -> str:
    if _PLAIN.fullmatch(label):
        return label
    escaped = re.sub(r'(["\\])', r"\\\1", label)
    return f'"{escaped}"'
