"""Queries that held-out edges make hard: their answers are those of the definition, and each has a hard one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from batches import OWN_STRUCTURES, few_attempts
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import RawGraph, directed, holds, random_graph, raw_graphs

from graphkit import GraphkitError
from graphkit.queries import STRUCTURES, QueryTable, Structure, structure
from graphkit.samplers import held_out_queries

SPLITS = [
    (("train",), ("train", "valid")),
    (("train", "valid"), ("train", "valid", "test")),
    (("train",), ("train", "valid", "test")),
]
DRAWABLE = ("1p", "2p", "3p", "2u", "up")


@pytest.fixture(autouse=True, scope="module")
def _gives_up_early() -> Iterator[None]:
    with few_attempts():
        yield


def plain(tables: dict[str, QueryTable]) -> dict[str, list[tuple[list[int], list[int], list[int]]]]:
    """Row, easy and hard answers of every query."""
    return {
        name: [
            (row, table.answers.easy[i].tolist(), table.answers.hard[i].tolist())
            for i, row in enumerate(table.rows.tolist())
        ]
        for name, table in tables.items()
    }


@settings(max_examples=60)
@given(
    raw_graphs(held_out=True),
    st.sampled_from([*STRUCTURES.values(), *map(structure, OWN_STRUCTURES.values())]),
    st.sampled_from(SPLITS),
    st.integers(1, 8),
)
def test_easy_and_hard_answers_are_those_of_the_definition(
    raw: RawGraph, made: Structure, splits: tuple[tuple[str, ...], tuple[str, ...]], count: int
) -> None:
    known, full = ({edge for name in part for edge in directed(getattr(raw, name))} for part in splits)
    try:
        tables = held_out_queries(raw.build(), [made], known=splits[0], full=splits[1], count=count)
    except GraphkitError as error:
        assert f"queries of the structure {made.name} cannot be drawn from this graph" in str(error)
        return
    for row, easy, hard in plain(tables).get(made.name, []):
        tree = made.fill(row)
        answers = [entity for entity in range(raw.entities) if holds(tree, entity, full)]
        assert easy == [entity for entity in answers if holds(tree, entity, known)]
        assert hard == [entity for entity in answers if not holds(tree, entity, known)]
        assert len(hard) > 0
    rows = [tuple(row) for row, _, _ in plain(tables).get(made.name, [])]
    assert len(set(rows)) == len(rows) <= count
    assert known != full or not tables


def test_every_published_structure_gets_as_many_queries_as_asked_for() -> None:
    graph = random_graph(40, 3, 120, held_out=40)
    tables = held_out_queries(graph, STRUCTURES.values(), known=("train",), full=("train", "valid"), count=20)
    assert list(tables) == list(STRUCTURES)
    for name, table in tables.items():
        assert table.structure == STRUCTURES[name]
        assert len({tuple(row) for row in table.rows.tolist()}) == len(table) == 20
        assert (table.answers.hard.sizes > 0).all()


def test_rare_queries_are_all_found_and_no_more() -> None:
    # One held-out edge: the two one-hop queries over it are the only hard ones.
    raw = RawGraph(4, 1, [(0, 0, 1), (1, 0, 2)], [(2, 0, 3)], [])
    tables = held_out_queries(raw.build(), [STRUCTURES["1p"]], known=("train",), full=("train", "valid"), count=9)
    assert sorted(plain(tables)["1p"]) == [([2, 0], [], [3]), ([3, 1], [], [2])]


def test_a_negation_can_refute_what_the_known_edges_give() -> None:
    # (0, r, ?) but not (3, r, ?): 2 is an answer until the edge from 3 to 2 is known, and then in neither set.
    raw = RawGraph(5, 1, [(0, 0, 1), (0, 0, 2)], [(3, 0, 2), (0, 0, 4)], [])
    tables = held_out_queries(raw.build(), [STRUCTURES["2in"]], known=("train",), full=("train", "valid"), count=50)
    assert ([0, 0, 3, 0], [1], [4]) in plain(tables)["2in"]


def test_relations_do_not_turn_back() -> None:
    graph = random_graph(15, 1, 30, held_out=10)
    tables = held_out_queries(graph, [STRUCTURES["2p"]], known=("train",), full=("train", "valid"), count=30)
    assert len(tables["2p"]) > 10
    assert all(first != second ^ 1 for _, first, second in tables["2p"].rows.tolist())


def test_the_seed_alone_decides_which_queries_are_drawn() -> None:
    graph = random_graph(40, 3, 120, held_out=40)

    def drawn(seed: int, names: tuple[str, ...] = DRAWABLE) -> dict[str, object]:
        made = [STRUCTURES[name] for name in names]
        return plain(held_out_queries(graph, made, known=("train",), full=("train", "valid"), count=10, seed=seed))

    assert drawn(3) == drawn(3)
    assert all(drawn(3)[name] != drawn(4)[name] for name in DRAWABLE)
    assert drawn(3, ("2p",))["2p"] == drawn(3)["2p"]


def test_structures_without_hard_answers_are_left_out() -> None:
    graph = random_graph(20, 2, 60)
    assert held_out_queries(graph, STRUCTURES.values(), known=("train",), full=("train", "valid"), count=3) == {}
    # The only edge of the valid split lies apart: no path of two hops that does not turn back goes over it.
    raw = RawGraph(6, 2, [(0, 0, 1), (1, 0, 2)], [(4, 1, 5)], [])
    made = [STRUCTURES[name] for name in ("2p", "1p")]
    assert list(held_out_queries(raw.build(), made, known=("train",), full=("train", "valid"), count=3)) == ["1p"]


def test_known_splits_are_a_part_of_the_full_ones() -> None:
    with pytest.raises(GraphkitError) as error:
        held_out_queries(
            random_graph(9, 2, 20, held_out=4), [STRUCTURES["1p"]], known=("train", "test"), full=("train",), count=1
        )
    assert str(error.value) == ("the known splits train, test are not all among the full ones, train; add them there")
