"""`Query`: a structure with ids, i.e. a question about one graph."""

from __future__ import annotations

from dataclasses import dataclass

from graphkit.errors import GraphkitError
from graphkit.queries.structures import Structure
from graphkit.queries.tree import Anchor, Argument, Node, Projection, post_order
from graphkit.queries.tuples import Nested, parse_ids, print_ids


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
