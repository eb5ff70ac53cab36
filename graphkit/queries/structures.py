"""Structures of queries: which arguments a query of a structure has, and in which order they stand in a row.

Rows follow the published query sets: anchors and relations in the order in which they are written, e.g. ``a r`` for a
one-hop query. Relations are directed: 2k is relation k forward, 2k+1 its inverse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from graphkit.errors import GraphkitError, did_you_mean

Argument = Literal["anchor", "relation"]


@dataclass(frozen=True)
class Structure:
    """The shape of a query, e.g. ``1p``: one projection from one anchor."""

    name: str
    #: what each column of a row holds
    arguments: tuple[Argument, ...]

    @property
    def width(self) -> int:
        """Number of columns of a row."""
        return len(self.arguments)

    def columns(self, kind: Argument) -> tuple[int, ...]:
        """Returns the columns that hold anchors, or relations."""
        return tuple(i for i, argument in enumerate(self.arguments) if argument == kind)


ONE_HOP = Structure("1p", ("anchor", "relation"))

STRUCTURES: dict[str, Structure] = {structure.name: structure for structure in (ONE_HOP,)}


def structures(names: str) -> tuple[Structure, ...]:
    """Returns the structures named in a string such as ``"1p"``, separated by spaces.

    Raises:
        GraphkitError: a name is unknown, or none is given.
    """
    found = []
    for name in names.split():
        if name not in STRUCTURES:
            raise GraphkitError(
                f"there is no query structure {name!r}{did_you_mean(name, STRUCTURES)}; structures: "
                f"{' '.join(STRUCTURES)}"
            )
        found.append(STRUCTURES[name])
    if not found:
        raise GraphkitError(f"no query structure is given; name some of: {' '.join(STRUCTURES)}")
    return tuple(found)
