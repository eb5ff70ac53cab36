"""The algebra: what a tree may be, and that no tree is too deep to be walked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import trees

from graphkit import GraphkitError, _native
from graphkit.queries import MAX_DEPTH, Anchor, Intersection, Negation, Node, Projection, Query, Structure, Union
from graphkit.queries.tree import is_complement, post_order, too_deep

TOO_DEEP = (
    "the query is nested more than 100 levels deep, which is the limit; ask for a part of it first, and use its "
    "answers as anchors of the rest"
)


def test_the_limit_of_depth_is_the_native_one() -> None:
    assert MAX_DEPTH == _native.MAX_QUERY_DEPTH == 100
    assert str(too_deep()) == TOO_DEEP


@pytest.mark.parametrize("grow", [Negation, lambda node: Projection(node, 0), lambda node: Union((node, Anchor(1)))])
def test_a_tree_of_ten_thousand_levels_cannot_be_made(grow) -> None:  # type: ignore[no-untyped-def]
    node: Node = Anchor(0)
    with pytest.raises(GraphkitError) as error:
        for _ in range(10_000):
            node = grow(node)
    assert str(error.value) == TOO_DEEP
    assert node.depth == MAX_DEPTH


def test_the_deepest_tree_can_be_compared_printed_and_filled() -> None:
    node: Node = Anchor(3)
    for i in range(MAX_DEPTH - 1):
        node = Projection(node, i % 4) if i % 2 else Intersection((node, Anchor(1)))
    query = Query.of(node)
    assert query.tree == node and hash(query.tree) == hash(node) and repr(node)
    assert Structure(node).name.count("r") == 49


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Intersection(()), "the query has an intersection of 0 branches, and at least 2 are needed"),
        (lambda: Union((Anchor(0),)), "the query has a union of 1 branches, and at least 2 are needed"),
    ],
)
def test_intersections_and_unions_have_two_branches(make, expected: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(GraphkitError) as error:
        make()
    assert str(error.value) == expected


@given(st.data(), st.booleans())
def test_complements_are_told_from_the_tree_alone(data: st.DataObject, complement: bool) -> None:
    assert is_complement(data.draw(trees(5, 2, complement=complement))) is complement


def test_no_relation_is_followed_from_a_complement() -> None:
    with pytest.raises(GraphkitError) as error:
        Structure(Projection(Negation(Anchor(0)), 0))
    assert str(error.value) == (
        "the query is unbounded: it follows a relation from all entities that a negation leaves; intersect the "
        "negation with a condition that is not negated first"
    )


def test_post_order_puts_operands_first() -> None:
    tree = Intersection((Projection(Anchor(5), 6), Negation(Anchor(7))))
    assert list(post_order(tree)) == [
        Anchor(5),
        Projection(Anchor(5), 6),
        Anchor(7),
        Negation(Anchor(7)),
        tree,
    ]
