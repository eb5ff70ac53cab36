"""Structures of queries: the shape without ids, and the order in which ids stand in a row.

Rows follow the published query sets: anchors and relations in the order in which the query is executed (post-order),
e.g. ``a r`` for a one-hop query and ``a1 r1 a2 r2 r3`` for ip. Relations are directed: 2k is relation k forward, 2k+1
its inverse.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

from graphkit.errors import GraphkitError, did_you_mean
from graphkit.queries.normal_form import disjuncts
from graphkit.queries.tree import Anchor, Argument, Negation, Node, Projection, is_complement, post_order, relabel
from graphkit.queries.tuples import Nested, parse_letters, print_letters, read_text

_NAMED_TREES: dict[Node, str] = {}


@dataclass(frozen=True)
class Structure:
    """The shape of a query, e.g. ``1p``: one projection from one anchor. Equal trees are equal structures.

    Args:
        tree: any tree; its numbers do not count.
        name: by default the published name, or the nested tuples where there is none.

    Raises:
        GraphkitError: the tree follows a relation from a complement.
    """

    #: numbered by the columns of a row
    tree: Node
    name: str = field(default="", compare=False, kw_only=True)

    def __post_init__(self) -> None:
        columns = count()
        # A frozen value normalises what it is made of only here.
        object.__setattr__(self, "tree", relabel(self.tree, lambda argument, number: next(columns)))
        if not self.name:
            object.__setattr__(self, "name", _NAMED_TREES.get(self.tree) or str(self.nested))
        is_complement(self.tree)

    @cached_property
    def arguments(self) -> tuple[Argument, ...]:
        """What each column of a row holds."""
        return tuple(
            "anchor" if isinstance(node, Anchor) else "relation"
            for node in post_order(self.tree)
            if isinstance(node, Anchor | Projection)
        )

    @property
    def width(self) -> int:
        """Number of columns of a row."""
        return len(self.arguments)

    def columns(self, kind: Argument) -> tuple[int, ...]:
        """Returns the columns that hold anchors, or relations."""
        return tuple(i for i, argument in enumerate(self.arguments) if argument == kind)

    @property
    def nested(self) -> Nested:
        """The nested tuples of BetaE, e.g. ``('e', ('r', 'r'))``."""
        return print_letters(self.tree)

    @cached_property
    def complement(self) -> bool:
        """Whether the answers are all entities but some: the query is unbounded."""
        return is_complement(self.tree)

    @cached_property
    def negated(self) -> bool:
        """Whether the tree has a negation anywhere."""
        return any(isinstance(node, Negation) for node in post_order(self.tree))

    @cached_property
    def disjuncts(self) -> tuple[Node, ...]:
        """The trees without unions, numbered by the same columns, whose answers together are the structure's.

        Raises:
            GraphkitError: there are more than `MAX_DISJUNCTS`.
        """
        return disjuncts(self.tree)

    def require_bounded(self) -> None:
        """Makes sure that a query has other answers than all entities but some.

        Raises:
            GraphkitError: it has not.
        """
        if self.complement:
            raise GraphkitError(
                f"a query of the structure {self.name} is unbounded: it has nothing but negated branches; add a "
                "branch that is not negated, or say complement=True to get nearly all entities"
            )

    def fill(self, row: Sequence[int]) -> Node:
        """Returns the tree with the ids of a row in place of the columns."""
        return relabel(self.tree, lambda argument, column: row[column])


def _published(names: dict[str, Nested]) -> dict[str, Structure]:
    found = {name: Structure(parse_letters(nested), name=name) for name, nested in names.items()}
    _NAMED_TREES.update({structure.tree: name for name, structure in found.items()})
    return found


_PATH1: Nested = ("e", ("r",))
_PATH2: Nested = ("e", ("r", "r"))
_NOT1: Nested = ("e", ("r", "n"))

#: The fourteen structures of BetaE (Ren and Leskovec, NeurIPS 2020) by name.
STRUCTURES: dict[str, Structure] = _published(
    {
        "1p": _PATH1,
        "2p": _PATH2,
        "3p": ("e", ("r", "r", "r")),
        "2i": (_PATH1, _PATH1),
        "3i": (_PATH1, _PATH1, _PATH1),
        "pi": (_PATH2, _PATH1),
        "ip": ((_PATH1, _PATH1), ("r",)),
        "2u": (_PATH1, _PATH1, ("u",)),
        "up": ((_PATH1, _PATH1, ("u",)), ("r",)),
        "2in": (_PATH1, _NOT1),
        "3in": (_PATH1, _PATH1, _NOT1),
        "inp": ((_PATH1, _NOT1), ("r",)),
        "pin": (_PATH2, _NOT1),
        "pni": (("e", ("r", "r", "n")), _PATH1),
    }
)

ONE_HOP = STRUCTURES["1p"]


def structure(spelling: str | Nested) -> Structure:
    """Returns the structure of a name (``"2in"``) or of nested tuples, also as text (``"('e', ('r', 'r'))"``).

    Raises:
        GraphkitError: an unknown name, malformed tuples, nesting beyond the limit, or an unbounded query.
    """
    if not isinstance(spelling, str):
        return Structure(parse_letters(spelling))
    name = spelling.strip()
    if name in STRUCTURES:
        return STRUCTURES[name]
    if name == "e":
        return Structure(parse_letters(name))
    if name.startswith("("):
        return Structure(parse_letters(read_text(name)))
    raise GraphkitError(
        f"there is no query structure {name!r}{did_you_mean(name, STRUCTURES)}; structures: {' '.join(STRUCTURES)}, "
        "or nested tuples such as ('e', ('r', 'r'))"
    )


def structures(spellings: str) -> tuple[Structure, ...]:
    """Returns the structures of a string such as ``"1p 2i ('e', ('r', 'r'))"``, separated by blanks.

    Raises:
        GraphkitError: a name is unknown, tuples are malformed, or nothing is given.
    """
    if not isinstance(spellings, str):
        raise GraphkitError(
            f"the structures are {spellings!r}, and one text is needed, with blanks between them, such as "
            "\"1p 2i ('e', ('r', 'r'))\""
        )
    words: list[str] = []
    depth = 0
    for piece in re.split(r"(\s+)", spellings.strip()):
        if depth == 0 and piece.strip():
            words.append(piece)
        elif depth > 0:
            words[-1] += piece
        depth += piece.count("(") - piece.count(")")
    if not words:
        raise GraphkitError(f"no query structure is given; name some of: {' '.join(STRUCTURES)}")
    return tuple(structure(word) for word in words)
