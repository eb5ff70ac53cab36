"""Structures of queries: rows are laid out as published, and unknown names are answered kindly."""

from __future__ import annotations

import pytest

from graphkit import GraphkitError
from graphkit.queries import ONE_HOP, STRUCTURES, Structure, structures


def test_a_one_hop_row_is_an_anchor_then_a_relation() -> None:
    assert ONE_HOP.name == "1p"
    assert ONE_HOP.width == 2
    assert ONE_HOP.columns("anchor") == (0,)
    assert ONE_HOP.columns("relation") == (1,)


def test_columns_partition_the_row() -> None:
    made = Structure("2i", ("anchor", "relation", "anchor", "relation"))
    assert made.columns("anchor") == (0, 2)
    assert made.columns("relation") == (1, 3)
    assert sorted(made.columns("anchor") + made.columns("relation")) == list(range(made.width))


def test_every_structure_stands_under_its_own_name() -> None:
    assert all(structure.name == name for name, structure in STRUCTURES.items())


@pytest.mark.parametrize("names", ["1p", " 1p  "])
def test_names_are_separated_by_any_blanks(names: str) -> None:
    assert structures(names) == (ONE_HOP,)


def test_an_unknown_structure_names_the_nearest_and_all() -> None:
    with pytest.raises(GraphkitError) as error:
        structures("1p 1pp")
    expected = f"there is no query structure '1pp'; nearest: 1p; structures: {' '.join(STRUCTURES)}"
    assert str(error.value) == expected


@pytest.mark.parametrize("names", ["", "  "])
def test_no_structure_is_refused(names: str) -> None:
    with pytest.raises(GraphkitError) as error:
        structures(names)
    assert str(error.value) == f"no query structure is given; name some of: {' '.join(STRUCTURES)}"
