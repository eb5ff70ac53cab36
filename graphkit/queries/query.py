"""`Query`: a structure with ids, i.e. a question about one graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.queries.structures import Structure
from graphkit.queries.tree import Anchor, Argument, Node, Projection, post_order
from graphkit.queries.tuples import Nested, parse_ids, print_ids

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Query:
    """One query of ids.

    Relations are directed: 2k is relation k forward, 2k+1 its inverse.

    Raises:
        GraphkitError: the row has another width than the structure.
    """

    structure: Structure
    #: ids in the structure's layout
    row: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.row) != self.structure.width:
            raise GraphkitError(
                f"a query of the structure {self.structure.name} has {len(self.row)} ids, and "
                f"{self.structure.width} are needed: {', '.join(self.structure.arguments)}"
            )

    @classmethod
    def of(cls, tree: Node) -> Query:
        """Returns the query of a tree of ids."""
        row = (_number(node) for node in post_order(tree) if isinstance(node, Anchor | Projection))
        return cls(Structure(tree), tuple(row))

    @classmethod
    def of_nested(cls, nested: Nested) -> Query:
        """Returns the query of BetaE's nested tuples of ids, e.g. ``((5, (0,)), (7, (2, -2)))``.

        Raises:
            GraphkitError: malformed tuples, nesting beyond the limit, or a relation followed from a complement.
        """
        return cls.of(parse_ids(nested))

    @property
    def tree(self) -> Node:
        """The tree of ids."""
        return self.structure.fill(self.row)

    @property
    def nested(self) -> Nested:
        """The nested tuples of ids; see `of_nested`."""
        return print_ids(self.tree)

    def ids(self, kind: Argument) -> tuple[int, ...]:
        """Returns the ids of the anchors, or of the directed relations, in the order of the row."""
        return tuple(self.row[column] for column in self.structure.columns(kind))


def _number(node: Anchor | Projection) -> int:
    return node.entity if isinstance(node, Anchor) else node.relation


def checked_rows(structure: Structure, rows: ArrayLike, graph: KnowledgeGraph) -> Ids:
    """Returns rows as int64[B, structure.width], after making sure that they are queries of this graph.

    Raises:
        GraphkitError: rows of another width or type, or an id out of range.
    """
    ids = np.asarray(rows)
    if ids.ndim != 2 or ids.shape[1] != structure.width or (ids.size and ids.dtype.kind not in "iu"):
        raise GraphkitError(
            f"the queries of structure {structure.name} have shape {ids.shape} and dtype {ids.dtype}, and integers of "
            f"shape (B, {structure.width}) are needed: {', '.join(structure.arguments)}"
        )
    ids = np.ascontiguousarray(ids, dtype=np.int64)
    limits: tuple[tuple[Argument, str, int], ...] = (
        ("anchor", "anchor", graph.num_entities),
        ("relation", "directed relation", 2 * graph.num_relations),
    )
    for kind, name, size in limits:
        of_kind = ids[:, list(structure.columns(kind))]
        outside = (of_kind < 0) | (of_kind >= size)
        if outside.any():
            row = int(np.argmax(outside.any(axis=1)))
            raise GraphkitError(
                f"query {row} has the {name} {of_kind[row][outside[row]][0]}, outside 0 to {size - 1}; give ids of "
                "this graph, whose directed relation 2k is raw relation k forward and 2k+1 its inverse"
            )
    return ids
