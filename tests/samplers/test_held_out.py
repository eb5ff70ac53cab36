"""Queries that held-out edges make hard: their answers are those of the definition, and each has a hard one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from batches import OWN_STRUCTURES, few_attempts
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import RawGraph, directed, holds, random_graph, raw_graphs

from graphkit import GraphkitError
from graphkit.queries import (
    STRUCTURES,
    EasyAndHard,
    Intersection,
    Negation,
    Node,
    Projection,
    Structure,
    Union,
    easy_and_hard,
    structure,
)
from graphkit.samplers import QuerySampler, held_out, held_out_queries
from graphkit.samplers.held_out import HeldOutQueries

SPLITS = [
    (("train",), ("train", "valid")),
    (("train", "valid"), ("train", "valid", "test")),
    (("train",), ("train", "valid", "test")),
]
#: Why there are no queries of a structure that can be drawn.
NONE_HARD = re.compile(r"none of [\d,]+ queries that were drawn has a hard answer")
DRAWABLE = ("1p", "2p", "3p", "2u", "up")


@pytest.fixture(autouse=True, scope="module")
def _gives_up_early() -> Iterator[None]:
    with few_attempts():
        yield


def plain(queries: HeldOutQueries) -> dict[str, list[tuple[list[int], list[int], list[int]]]]:
    """Row, easy and hard answers of every query."""
    return {
        name: [
            (row, table.answers.easy[i].tolist(), table.answers.hard[i].tolist())
            for i, row in enumerate(table.rows.tolist())
        ]
        for name, table in queries.tables.items()
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
    drawn = held_out_queries(raw.build(), [made], known=splits[0], full=splits[1], count=count)
    assert [*drawn.tables, *drawn.skipped] == [made.name]
    for row, easy, hard in plain(drawn).get(made.name, []):
        tree = made.fill(row)
        answers = [entity for entity in range(raw.entities) if holds(tree, entity, full)]
        assert easy == [entity for entity in answers if holds(tree, entity, known)]
        assert hard == [entity for entity in answers if not holds(tree, entity, known)]
        assert len(hard) > 0
    rows = [tuple(row) for row, _, _ in plain(drawn).get(made.name, [])]
    assert len(set(rows)) == len(rows) <= count
    assert known != full or not drawn.tables


def test_every_published_structure_gets_as_many_queries_as_asked_for() -> None:
    graph = random_graph(20, 2, 120, held_out=40)
    drawn = held_out_queries(graph, STRUCTURES.values(), known=("train",), full=("train", "valid"), count=20)
    assert list(drawn.tables) == list(STRUCTURES) and drawn.skipped == {}
    for name, table in drawn.tables.items():
        assert table.structure == STRUCTURES[name]
        assert len({tuple(row) for row in table.rows.tolist()}) == len(table) == 20
        assert (table.answers.hard.sizes > 0).all()


def test_rare_queries_are_all_found_and_no_more() -> None:
    # One held-out edge: the two one-hop queries over it are the only hard ones.
    raw = RawGraph(4, 1, [(0, 0, 1), (1, 0, 2)], [(2, 0, 3)], [])
    drawn = held_out_queries(raw.build(), [STRUCTURES["1p"]], known=("train",), full=("train", "valid"), count=9)
    assert sorted(plain(drawn)["1p"]) == [([2, 0], [], [3]), ([3, 1], [], [2])]


@pytest.mark.parametrize("name", [*(name for name, made in STRUCTURES.items() if made.negated), "in union"])
def test_every_negation_refutes_something(name: str) -> None:
    """Without its negated branch a query that is kept has more answers, by the definition of an answer."""
    nested = "((('e', ('r',)), ('e', ('r', 'n'))), ('e', ('r',)), ('u',))"
    made = structure(nested) if name == "in union" else STRUCTURES[name]
    raw = random_graph(12, 2, 40, held_out=10)
    table = held_out_queries(raw, [made], known=("train",), full=("train", "valid"), count=15).tables[made.name]

    def plainly(node: Node) -> Node:
        match node:
            case Projection():
                return Projection(plainly(node.operand), node.relation)
            case Union():
                return Union(tuple(map(plainly, node.branches)))
            case Intersection():
                kept = [plainly(branch) for branch in node.branches if not isinstance(branch, Negation)]
                return kept[0] if len(kept) == 1 else Intersection(tuple(kept))
            case _:
                return node

    edges = directed(tuple(triple) for split in ("train", "valid") for triple in raw.triples(split).tolist())
    for row in table.rows.tolist():
        tree = made.fill(row)
        with_negation, without = ([holds(t, x, edges) for x in range(12)] for t in (tree, plainly(tree)))
        assert sum(with_negation) < sum(without)


def test_a_negation_can_refute_what_the_known_edges_give() -> None:
    # (0, r, ?) but not (3, r, ?): 2 is an answer until the edge from 3 to 2 is known, and then in neither set.
    raw = RawGraph(5, 1, [(0, 0, 1), (0, 0, 2)], [(3, 0, 2), (0, 0, 4)], [])
    drawn = held_out_queries(raw.build(), [STRUCTURES["2in"]], known=("train",), full=("train", "valid"), count=50)
    assert ([0, 0, 3, 0], [1], [4]) in plain(drawn)["2in"]


def test_relations_do_not_turn_back() -> None:
    graph = random_graph(15, 1, 30, held_out=10)
    drawn = held_out_queries(graph, [STRUCTURES["2p"]], known=("train",), full=("train", "valid"), count=30)
    assert len(drawn.tables["2p"]) > 10
    assert all(first != second ^ 1 for _, first, second in drawn.tables["2p"].rows.tolist())


def test_the_seed_alone_decides_which_queries_are_drawn() -> None:
    graph = random_graph(40, 3, 120, held_out=40)

    def drawn(seed: int, names: tuple[str, ...] = DRAWABLE) -> dict[str, object]:
        made = [STRUCTURES[name] for name in names]
        return plain(held_out_queries(graph, made, known=("train",), full=("train", "valid"), count=10, seed=seed))

    assert drawn(3) == drawn(3)
    assert all(drawn(3)[name] != drawn(4)[name] for name in DRAWABLE)
    assert drawn(3, ("2p",))["2p"] == drawn(3)["2p"]


def test_structures_without_hard_answers_are_left_out_with_the_reason() -> None:
    graph = random_graph(20, 2, 60)
    nothing = held_out_queries(graph, STRUCTURES.values(), known=("train",), full=("train", "valid"), count=3)
    assert nothing.tables == {}
    assert list(nothing.skipped) == list(STRUCTURES)
    assert all(NONE_HARD.match(reason) for reason in nothing.skipped.values())
    # The only edge of the valid split lies apart: no path of two hops that does not turn back goes over it.
    raw = RawGraph(6, 2, [(0, 0, 1), (1, 0, 2)], [(4, 1, 5)], [])
    made = [STRUCTURES[name] for name in ("2p", "1p", "3i")]
    drawn = held_out_queries(raw.build(), made, known=("train",), full=("train", "valid"), count=3)
    assert list(drawn.tables) == ["1p"]
    assert NONE_HARD.fullmatch(drawn.skipped["2p"])
    assert drawn.skipped["3i"].startswith("it cannot be drawn from this graph: 0 of ")


def hub() -> RawGraph:
    """Entity 0 has 18 neighbours, one of them by a held-out edge, and the others have few."""
    return RawGraph(
        20, 1, [(0, 0, i) for i in range(1, 18)] + [(i, 0, i + 1) for i in range(1, 18, 2)], [(0, 0, 18), (3, 0, 7)], []
    )


def test_queries_with_too_many_answers_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [STRUCTURES[name] for name in ("1p", "2p", "2in")]

    def drawn() -> HeldOutQueries:
        # More than there are, so that all of them are found with either cap.
        return held_out_queries(hub().build(), made, known=("train",), full=("train", "valid"), count=2000)

    everything = plain(drawn())
    assert any(len(easy) + len(hard) > 4 for _, easy, hard in everything["1p"])
    monkeypatch.setattr(held_out, "MOST_ANSWERS", 4)
    few = plain(drawn())
    for name, kept in everything.items():
        assert few[name] and few[name] == [query for query in kept if len(query[1]) + len(query[2]) <= 4]
    monkeypatch.setattr(held_out, "MOST_ANSWERS", 0)
    nothing = held_out_queries(hub().build(), made[:1], known=("train",), full=("train", "valid"), count=3)
    assert nothing.tables == {} and NONE_HARD.match(nothing.skipped["1p"])
    number, large = re.findall(
        r"[\d,]+(?= (?:queries|have more than 0 answers, and were not considered))", nothing.skipped["1p"]
    )
    assert number == large


@pytest.mark.parametrize("at_once", [1, 10, 100])
def test_queries_are_executed_together_up_to_a_number_of_answers(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    made = [STRUCTURES[name] for name in ("1p", "2p", "2u", "2in")]

    def drawn() -> HeldOutQueries:
        return held_out_queries(hub().build(), made, known=("train",), full=("train", "valid"), count=30)

    expected = plain(drawn())
    sizes: list[int] = []

    def counted(made: Structure, rows: np.ndarray, *graph: object, **splits: object) -> EasyAndHard:
        answers = easy_and_hard(made, rows, *graph, **splits)  # type: ignore[arg-type]
        sizes.append(len(answers.everything().values))
        return answers

    monkeypatch.setattr(held_out, "easy_and_hard", counted)
    monkeypatch.setattr(held_out, "ANSWERS_AT_ONCE", at_once)
    assert plain(drawn()) == expected
    assert len(sizes) > 4 and max(sizes) < at_once + 20


def test_no_second_copy_of_the_edges_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(40, 3, 120, held_out=40)
    seen: list[object] = []
    monkeypatch.setattr(
        held_out, "QuerySampler", lambda whole, options: seen.append(whole.index) or QuerySampler(whole, options)
    )
    held_out_queries(graph, [STRUCTURES["1p"]], known=("train",), full=("train", "valid"), count=3)
    assert seen == [graph.index_over(("train", "valid"))]


def test_known_splits_are_a_part_of_the_full_ones() -> None:
    with pytest.raises(GraphkitError) as error:
        held_out_queries(
            random_graph(9, 2, 20, held_out=4), [STRUCTURES["1p"]], known=("train", "test"), full=("train",), count=1
        )
    assert str(error.value) == ("the known splits train, test are not all among the full ones, train; add them there")
