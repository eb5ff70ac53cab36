"""Nested tuples of BetaE: parsed and printed, as letters and as ids."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import trees

from graphkit import GraphkitError, KnowledgeGraph
from graphkit.queries import (
    STRUCTURES,
    Anchor,
    Intersection,
    Negation,
    Node,
    Projection,
    Query,
    Structure,
    Union,
    parse,
    structure,
)
from graphkit.queries.tree import operands
from graphkit.queries.tuples import Nested

GRAPH = KnowledgeGraph.from_triples([(0, 0, 1), (1, 1, 2)], num_entities=9)
MALFORMED = (
    "the nested tuples of a query hold {}, and elements such as 'e', ('e', ('r', 'n')) or (…, …, ('u',)) are needed; "
    "('e', ('r', 'r')) is two hops from an anchor"
)
TOO_DEEP = "the query is nested more than 100 levels deep, which is the limit"


def complaint(nested: str | Nested) -> str:
    with pytest.raises(GraphkitError) as error:
        structure(nested)
    return str(error.value)


def test_the_keys_of_the_published_files_are_the_named_structures() -> None:
    e, n = ("e", ("r",)), ("e", ("r", "n"))
    published = {
        ("e", ("r",)): "1p",
        ("e", ("r", "r")): "2p",
        ("e", ("r", "r", "r")): "3p",
        (e, e): "2i",
        (e, e, e): "3i",
        ((e, e), ("r",)): "ip",
        (("e", ("r", "r")), e): "pi",
        (e, n): "2in",
        (e, e, n): "3in",
        ((e, n), ("r",)): "inp",
        (("e", ("r", "r")), n): "pin",
        (("e", ("r", "r", "n")), e): "pni",
        (e, e, ("u",)): "2u",
        ((e, e, ("u",)), ("r",)): "up",
    }
    assert {structure(nested).name for nested in published} == set(STRUCTURES)
    for nested, name in published.items():
        assert structure(nested) == structure(str(nested)) == STRUCTURES[name]
        assert STRUCTURES[name].nested == nested


@given(st.data(), st.booleans())
def test_any_structure_is_read_back(data: st.DataObject, complement: bool) -> None:
    made = Structure(data.draw(trees(9, 2, complement=complement)))
    assert structure(made.nested) == made
    assert structure(str(made.nested)) == made
    assert structure(made.name) == made


def test_ids_are_read_as_in_the_published_files() -> None:
    query = parse(((5, (0,)), (7, (2, -2))), GRAPH)
    assert query == Query(STRUCTURES["2in"], (5, 0, 7, 2))
    assert query.nested == ((5, (0,)), (7, (2, -2)))
    assert parse("((5, (0,)), (7, (2,)), (-1,))", GRAPH) == Query(STRUCTURES["2u"], (5, 0, 7, 2))


def test_ids_that_the_graph_lacks_are_named() -> None:
    with pytest.raises(GraphkitError, match="query 0 has the anchor 9, outside 0 to 8; give ids of this graph"):
        parse((9, (0,)), GRAPH)
    with pytest.raises(GraphkitError, match="query 0 has the directed relation 4, outside 0 to 3; give ids of this"):
        parse("(8, (0, 4))", GRAPH)


def bare_anchors(node: Node) -> bool:
    branching = isinstance(node, Intersection | Union)
    return any((branching and isinstance(one, Anchor)) or bare_anchors(one) for one in operands(node))


@given(trees(9, 2))
def test_any_query_of_ids_is_read_back_unless_it_would_be_ambiguous(tree: Node) -> None:
    query = Query.of(tree)
    if not bare_anchors(tree):
        assert parse(query.nested, GRAPH) == query
        if not isinstance(tree, Anchor):  # the text of a bare id is no spelling
            assert parse(str(query.nested), GRAPH) == query
        return
    with pytest.raises(GraphkitError) as error:
        _ = query.nested
    assert str(error.value) == (
        "nested tuples of ids cannot hold an anchor that no relation follows; write the query as a pattern such as ?x "
        ": ?x = France or ?x = Spain"
    )


@pytest.mark.parametrize(
    ("nested", "found"),
    [
        ((), "()"),
        ("('e')('r')", "('e')('r')"),
        (("e",), "('e',)"),
        (("e", ("r",), ("r",)), "('r',)"),
        (("e", ("x",)), "('x',)"),
        (("e", ()), "()"),
        ((("u",), ("r",)), "('u',)"),
        ("('e', ('r',)", "('e', ('r',)"),
        ("(e, (r))", "(e, (r))"),
        ("('e', ('r',), __import__('os'))", "'_' at position 15"),
        (7, "7"),
        (("e", 5), "5"),
        (True, "True"),
    ],
)
def test_what_is_no_structure_is_shown(nested: Nested, found: str) -> None:
    assert complaint(nested) == MALFORMED.format(found)


def test_a_union_of_one_branch_is_refused() -> None:
    assert complaint((("e", ("r",)), ("u",))) == "the query has a union of 1 branches, and at least 2 are needed"


def test_ten_thousand_levels_are_refused_in_one_sentence() -> None:
    deep: Nested = "e"
    for _ in range(10_000):
        deep = (deep, ("r",))
    wide: Nested = ("e", ("r",) * 10_000)
    negated: Nested = ("e", ("n",) * 10_000)
    long = "('e', (" + "'r'," * 10_000 + "))"
    for nested in (deep, wide, negated, "(" * 10_000, long):
        assert complaint(nested).startswith(TOO_DEEP)
    with pytest.raises(GraphkitError, match=TOO_DEEP):
        parse((deep, (0,)), GRAPH)


@given(st.text("()'ernu, -019\n", max_size=40))
@example("(" + "-" * 5000 + "1)")
@example("(" + "9" * 5000 + ")")
@example("('e'('r'))")
def test_any_text_is_a_structure_or_a_graphkit_error(text: str) -> None:
    try:
        structure(text)
    except GraphkitError as error:
        assert str(error)


def test_a_path_applies_its_operations_in_order() -> None:
    tree = parse((4, (0, -2, -2, 3)), GRAPH).tree
    assert tree == Projection(Negation(Negation(Projection(Anchor(4), 0))), 3)
