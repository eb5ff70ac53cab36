"""Patterns: what people write becomes the query that they mean, and a mistake is marked where it stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from graphkit import GraphkitError, KnowledgeGraph
from graphkit.queries import ONE_HOP, parse

ODD_LABELS = [
    "Cid, the 2nd",
    "Congo (Brazzaville)",
    'a "quoted" name',
    "back\\slash",
    " leading",
    "?x",
    "Côte d'Ivoire",
]

LABELLED = KnowledgeGraph.from_triples(
    [("Ann", "likes", "Bob"), ("Bob", "is friend of", "Ann")],
    entities=["Ann", "Bob", "New York", *ODD_LABELS],
    relations=["likes", "is friend of", "likes (a lot)"],
)
NUMBERED = KnowledgeGraph.from_triples([(0, 0, 1), (1, 2, 5)])


def complaint(text: str, graph: KnowledgeGraph = LABELLED) -> str:
    with pytest.raises(GraphkitError) as error:
        parse(text, graph)
    return str(error.value)


def syntax(what: str, at: int, marked: str) -> str:
    return f"the pattern has {what} at position {at} ({marked}); write e.g. ?x : borders(?x, France)"


# ---------------------------------------------------------------------------------------------------------- meanings


def test_a_variable_behind_the_label_asks_forward() -> None:
    query = parse("?x : likes(Bob, ?x)", LABELLED)
    assert query.structure == ONE_HOP
    assert query.row == (1, 0)


def test_a_variable_before_the_label_asks_for_the_inverse() -> None:
    assert parse("?x : is friend of(?x, Bob)", LABELLED).row == (1, 3)


@pytest.mark.parametrize("label", ODD_LABELS)
def test_a_quoted_label_may_hold_anything(label: str) -> None:
    assert parse(f"?who : likes({json.dumps(label, ensure_ascii=False)}, ?who)", LABELLED).row == (
        LABELLED.entities.id(label),
        0,
    )


def test_a_quoted_relation_may_hold_parentheses() -> None:
    assert parse('?x : "likes (a lot)"(?x, Ann)', LABELLED).row == (0, 5)


@pytest.mark.parametrize(
    "text",
    ["?x:likes(New York,?x)", "  ?x  :  likes  (  New York  ,  ?x  )  ", "?x :\tlikes(New York,\n?x)"],
)
def test_blanks_around_symbols_mean_nothing_and_blanks_within_labels_count(text: str) -> None:
    assert parse(text, LABELLED).row == (2, 0)


@given(st.sampled_from(LABELLED.entities.labels.to_pylist()), st.sampled_from([0, 1, 2]), st.booleans())
def test_every_query_can_be_written(label: str, relation: int, forward: bool) -> None:
    one, other = (json.dumps(text, ensure_ascii=False) for text in (label, LABELLED.relation_label(relation)))
    text = f"?x : {other}({one}, ?x)" if forward else f"?x : {other}(?x, {one})"
    assert parse(text, LABELLED).row == (LABELLED.entities.id(label), 2 * relation + (not forward))


def test_ids_stand_for_labels_in_a_graph_without_them() -> None:
    assert parse("?x : 2(5, ?x)", NUMBERED).row == (5, 4)
    assert parse("?x : 0(?x, 3)", NUMBERED).row == (3, 1)


# ---------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", syntax("no answer variable", 1, ">>>")),
        ("likes(?x, Bob)", syntax("no answer variable", 1, ">>> likes(?x, Bob)")),
        ("? : likes(Bob, ?x)", syntax("no answer variable", 1, ">>> ? : likes(Bob, ?x)")),
        ("?x", syntax("no ':' where one is needed", 3, "?x >>>")),
        ("?x likes(Bob, ?x)", syntax("no ':' where one is needed", 4, "?x  >>> likes(Bob, ?x)")),
        ("?x : (Bob, ?x)", syntax("no label where one is needed", 6, "?x :  >>> (Bob, ?x)")),
        ("?x : likes", syntax("no '(' where one is needed", 11, "?x : likes >>>")),
        ("?x : likes(?x)", syntax("no ',' where one is needed", 14, "?x : likes(?x >>> )")),
        ("?x : likes(, ?x)", syntax("no label where one is needed", 12, "?x : likes( >>> , ?x)")),
        ("?x : likes(Bob, )", syntax("no label where one is needed", 17, "?x : likes(Bob,  >>> )")),
        ("?x : likes(Bob, ?x, Ann)", syntax("no ')' where one is needed", 19, "?x : likes(Bob, ?x >>> , Ann)")),
        ("?x : likes(Bob, ?x", syntax("no ')' where one is needed", 19, "?x : likes(Bob, ?x >>>")),
        (
            "?x : likes(Bob, ?x) and so on",
            syntax("more text than a pattern needs", 21, "?x : likes(Bob, ?x)  >>> and so on"),
        ),
        (
            "?x : likes(?x, ?x)",
            syntax("two variables in a condition that needs one variable and one label", 12, "?x : likes( >>> ?x, ?x)"),
        ),
        (
            "?x : likes(Ann, Bob)",
            syntax("no variable in a condition that needs one variable and one label", 12, "?x : likes( >>> Ann, Bob)"),
        ),
        (
            "?x : likes(?y, Bob)",
            syntax("the variable ?y where the answer variable ?x is needed", 12, "?x : likes( >>> ?y, Bob)"),
        ),
        (
            "?x : likes(?x, ?y)",
            syntax("the variable ?y where the answer variable ?x is needed", 16, "?x : likes(?x,  >>> ?y)"),
        ),
    ],
)
def test_a_mistake_is_named_and_marked(text: str, expected: str) -> None:
    assert complaint(text) == expected


@pytest.mark.parametrize("second", [", likes(?x, Ann)", " or likes(?x, Ann)"])
def test_a_second_condition_is_refused_as_not_yet_answered(second: str) -> None:
    said = complaint(f"?x : likes(?x, Bob){second}")
    assert said.startswith(
        "the pattern has a second condition, and only patterns of one condition are answered so far, at position "
    )


def test_an_unknown_entity_names_the_nearest() -> None:
    assert complaint("?x : likes(New Yrok, ?x)") == "the graph has no entity 'New Yrok'; nearest: New York"


def test_an_unknown_relation_names_the_nearest() -> None:
    assert complaint("?x : like(Bob, ?x)").startswith("the graph has no relation 'like'; nearest: likes")


def test_an_empty_quoted_label_is_unknown() -> None:
    assert complaint('?x : likes("", ?x)').startswith("the graph has no entity ''")


@pytest.mark.parametrize("label", ["6", "Bob", "-1", "1.5", "²", "9" * 5000], ids=lambda label: label[:5])
def test_an_id_out_of_range_states_the_range(label: str) -> None:
    expected = f"the graph has no entity {label!r}; it has no labels, so give an id from 0 to 5"
    assert complaint(f"?x : 0({label}, ?x)", NUMBERED) == expected


def test_an_unterminated_quote_is_a_mistake() -> None:
    complaint('?x : likes("Bob, ?x)')


# --------------------------------------------------------------------------------------------------------- any text

pieces = st.sampled_from(["?x", "?y", "?", ":", "likes", "(", ")", ",", '"', "\\", " ", "\n", "Bob", "7", "or", "²"])


@settings(max_examples=150)
@given(st.one_of(st.text(), st.lists(pieces, max_size=12).map("".join)), st.booleans())
@example('?x : "likes\\', True)
@example("?x : 0(٣, ?x)", False)
def test_any_text_is_a_query_or_a_graphkit_error(text: str, labelled: bool) -> None:
    graph = LABELLED if labelled else NUMBERED
    try:
        query = parse(text, graph)
    except GraphkitError as error:
        assert str(error)
    else:
        anchor, relation = query.row
        assert 0 <= anchor < graph.num_entities
        assert 0 <= relation < 2 * graph.num_relations
