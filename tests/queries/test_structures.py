"""Structures of queries: rows are laid out as published, and unknown names are answered kindly."""

from __future__ import annotations

import pytest

from graphkit import GraphkitError
from graphkit.queries import ONE_HOP, STRUCTURES, Anchor, Negation, Projection, Query, Structure, structure, structures

LAYOUTS = {
    "1p": "ar",
    "2p": "arr",
    "3p": "arrr",
    "2i": "arar",
    "3i": "ararar",
    "pi": "arrar",
    "ip": "ararr",
    "2u": "arar",
    "up": "ararr",
    "2in": "arar",
    "3in": "ararar",
    "inp": "ararr",
    "pin": "arrar",
    "pni": "arrar",
}
ALL = "1p 2p 3p 2i 3i pi ip 2u up 2in 3in inp pin pni"


def test_a_one_hop_row_is_an_anchor_then_a_relation() -> None:
    assert ONE_HOP.name == "1p"
    assert ONE_HOP.width == 2
    assert ONE_HOP.columns("anchor") == (0,)
    assert ONE_HOP.columns("relation") == (1,)


def test_the_fourteen_structures_have_the_published_layouts() -> None:
    assert " ".join(STRUCTURES) == ALL
    assert {name: "".join(one[0] for one in made.arguments) for name, made in STRUCTURES.items()} == LAYOUTS


@pytest.mark.parametrize("made", STRUCTURES.values(), ids=STRUCTURES)
def test_columns_partition_the_row(made: Structure) -> None:
    assert sorted(made.columns("anchor") + made.columns("relation")) == list(range(made.width))
    row = tuple(range(100, 100 + made.width))
    assert Query(made, row).ids("anchor") == tuple(row[column] for column in made.columns("anchor"))
    assert Query.of(Query(made, row).tree) == Query(made, row)


def test_every_structure_stands_under_its_own_name() -> None:
    assert all(made.name == name for name, made in STRUCTURES.items())
    assert all(Structure(made.tree).name == name for name, made in STRUCTURES.items())


def test_equal_trees_are_equal_structures_whatever_their_numbers_and_names() -> None:
    made = Structure(Projection(Projection(Anchor(7), 3), 9), name="grandparents")
    assert made == STRUCTURES["2p"] and hash(made) == hash(STRUCTURES["2p"])
    assert made.name == "grandparents"


def test_a_structure_without_a_name_is_called_by_its_tuples() -> None:
    assert structure(" ('e',('r','r','r','r')) ").name == "('e', ('r', 'r', 'r', 'r'))"


@pytest.mark.parametrize("names", ["1p", " 1p  "])
def test_names_are_separated_by_any_blanks(names: str) -> None:
    assert structures(names) == (ONE_HOP,)


def test_names_and_tuples_may_stand_side_by_side() -> None:
    assert structures(ALL) == tuple(STRUCTURES.values())
    found = structures("2u ('e', ('r', 'r'))\n(('e', ('r',)), ('e', ('r', 'n'))) pi")
    assert [one.name for one in found] == ["2u", "2p", "2in", "pi"]


def test_an_unknown_structure_names_the_nearest_and_all() -> None:
    with pytest.raises(GraphkitError) as error:
        structures("1p 1pp")
    assert str(error.value) == (
        f"there is no query structure '1pp'; nearest: 1p; structures: {ALL}, or nested tuples such as ('e', ('r', 'r'))"
    )


@pytest.mark.parametrize("names", ["", "  "])
def test_no_structure_is_refused(names: str) -> None:
    with pytest.raises(GraphkitError) as error:
        structures(names)
    assert str(error.value) == f"no query structure is given; name some of: {ALL}"


def test_a_row_has_the_width_of_its_structure() -> None:
    with pytest.raises(GraphkitError) as error:
        Query(STRUCTURES["2p"], (1, 2))
    assert str(error.value) == ("a query of the structure 2p has 2 ids, and 3 are needed: anchor, relation, relation")


def test_a_structure_of_negations_alone_says_that_it_is_unbounded() -> None:
    made = Structure(Negation(ONE_HOP.tree))
    assert made.complement and not ONE_HOP.complement
    with pytest.raises(GraphkitError) as error:
        made.require_bounded()
    assert str(error.value) == (
        "a query of the structure ('e', ('r', 'n')) is unbounded: it has nothing but negated branches; add a branch "
        "that is not negated, or say complement=True to get nearly all entities"
    )


@pytest.mark.parametrize("given", [("2p",), ("e", ("r", "r")), None])
def test_structures_are_one_text(given: object) -> None:
    with pytest.raises(GraphkitError) as error:
        structures(given)  # type: ignore[arg-type]
    assert str(error.value) == (
        f"the structures are {given!r}, and one text is needed, with blanks between them, such as "
        "\"1p 2i ('e', ('r', 'r'))\""
    )
