"""Disjunctive normal form: the same answers, no unions, and a limit that is found before the memory is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import directed, holds, raw_graphs, trees

from graphkit import GraphkitError
from graphkit.queries import MAX_DISJUNCTS, Anchor, Intersection, Negation, Node, Projection, Union, disjuncts
from graphkit.queries.tree import post_order

A, B, C = (Projection(Anchor(i), 0) for i in range(3))


@given(st.data(), raw_graphs(max_triples=12), st.booleans())
def test_disjuncts_hold_no_union_and_together_have_the_answers(data: st.DataObject, raw, complement: bool) -> None:  # type: ignore[no-untyped-def]
    tree = data.draw(trees(raw.entities, raw.relations, complement=complement))
    parts = disjuncts(tree, limit=10**6)
    assert not any(isinstance(node, Union) for part in parts for node in post_order(part))
    edges = directed(raw.train)
    for entity in range(raw.entities):
        assert any(holds(part, entity, edges) for part in parts) == holds(tree, entity, edges)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (A, (A,)),
        (Union((A, B)), (A, B)),
        (Projection(Union((A, B)), 2), (Projection(A, 2), Projection(B, 2))),
        (Intersection((Union((A, B)), C)), (Intersection((A, C)), Intersection((B, C)))),
        (Negation(Union((A, B))), (Intersection((Negation(A), Negation(B))),)),
        (Negation(Union((A, Negation(B)))), (Intersection((Negation(A), B)),)),
        (Negation(Negation(Union((A, B)))), (A, B)),
    ],
)
def test_unions_move_up_and_turn_over_at_negations(tree: Node, expected: tuple[Node, ...]) -> None:
    assert disjuncts(tree) == expected


def crossed(unions: int) -> Node:
    return Intersection((Union((A, B)),) * unions)


@pytest.mark.parametrize(
    ("tree", "number"),
    [
        (crossed(7), "128"),
        (Union((A,) * 65), "65"),
        (Intersection((C, Negation(crossed(7)))), "128"),
        (crossed(10_000), "over 1000000000"),
    ],
)
def test_branching_beyond_the_limit_is_counted_and_refused(tree: Node, number: str) -> None:
    with pytest.raises(GraphkitError) as error:
        disjuncts(tree)
    assert str(error.value) == (
        f"the unions of the query branch into {number} queries without unions, and 64 is the limit; ask for some of "
        "the branches at a time"
    )


def test_the_limit_itself_is_allowed() -> None:
    assert len(disjuncts(crossed(6))) == len(disjuncts(Union((A,) * 64))) == MAX_DISJUNCTS
