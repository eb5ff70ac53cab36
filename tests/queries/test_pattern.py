"""Patterns: what people write becomes the query that they mean, and a mistake is marked where it stands."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import trees

from graphkit import GraphkitError, KnowledgeGraph
from graphkit.queries import (
    ONE_HOP,
    Anchor,
    Intersection,
    Negation,
    Node,
    Projection,
    Query,
    Union,
    parse,
    write,
)

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


BOB = Anchor(1)


def likes(node: Node) -> Projection:
    return Projection(node, 0)


def liked_by(node: Node) -> Projection:
    """Who likes one of the set."""
    return Projection(node, 1)


@pytest.mark.parametrize(
    ("conditions", "tree"),
    [
        ("likes(?x, ?y), likes(?y, Bob)", liked_by(liked_by(BOB))),
        ("likes(?y, ?x), likes(Bob, ?y)", likes(likes(BOB))),
        ("likes(?y, Bob), likes(?x, ?y)", liked_by(liked_by(BOB))),
        ("likes(?x, Bob), not likes(Bob, ?x)", Intersection((liked_by(BOB), Negation(likes(BOB))))),
        ("not(likes(Bob, ?x)), likes(?x, Bob)", Intersection((Negation(likes(BOB)), liked_by(BOB)))),
        ("likes(?x, Bob) or likes(Bob, ?x)", Union((liked_by(BOB), likes(BOB)))),
        (
            "likes(?x, Bob), likes(Bob, ?x) or ?x = Bob",
            Union((Intersection((liked_by(BOB), likes(BOB))), BOB)),
        ),
        (
            "likes(?x, Bob), (likes(Bob, ?x) or ?x = Bob)",
            Intersection((liked_by(BOB), Union((likes(BOB), BOB)))),
        ),
        ("likes(?x, ?y), (?y = Bob or likes(Bob, ?y))", liked_by(Union((BOB, likes(BOB))))),
        ("likes(?x, Bob), not not likes(Bob, ?x)", Intersection((liked_by(BOB), Negation(Negation(likes(BOB)))))),
        # A variable of a negated group alone means "any", as does one of a branch of an or.
        (
            "?x = Bob, not (likes(?x, ?y), likes(?y, Bob)), not (likes(?y, ?x), likes(?y, Bob))",
            Intersection((BOB, Negation(liked_by(liked_by(BOB))), Negation(likes(liked_by(BOB))))),
        ),
        (
            "likes(?x, ?y), ?y = Bob or likes(?y, ?x), ?y = Bob",
            Union((liked_by(BOB), likes(BOB))),
        ),
        # An or that links two variables is distributed.
        (
            "(likes(?x, ?y) or likes(?y, ?x)), likes(?y, Bob), not likes(Bob, ?x)",
            Union(
                (
                    Intersection((liked_by(liked_by(BOB)), Negation(likes(BOB)))),
                    Intersection((likes(liked_by(BOB)), Negation(likes(BOB)))),
                )
            ),
        ),
        ("((likes(?x, ?y)), (likes(?y, Bob)))", liked_by(liked_by(BOB))),
        ('"likes"(?x, "Bob")', liked_by(BOB)),
    ],
)
def test_conditions_are_joined_into_a_tree(conditions: str, tree: Node) -> None:
    query = parse(f"?x : {conditions}", LABELLED)
    assert query.tree == tree
    assert query == Query.of(tree)


def test_the_pattern_of_the_manual_is_pin_by_another_order() -> None:
    text = "?x : likes(?x, ?y), is friend of(?y, Bob), not likes(?x, Ann)"
    assert parse(text, LABELLED).structure.name == "pin"
    assert parse(text, LABELLED).row == (1, 3, 1, 0, 1)


def test_a_query_of_negations_alone_is_read_if_that_is_said() -> None:
    assert parse("?x : not likes(?x, Bob)", LABELLED, complement=True).tree == Negation(liked_by(BOB))
    with pytest.raises(GraphkitError, match="is unbounded: it has nothing but negated branches"):
        parse((1, (1, -2)), LABELLED)
    assert parse((1, (1, -2)), LABELLED, complement=True).tree == Negation(liked_by(BOB))


def test_a_tree_is_printed_as_people_write_it() -> None:
    tree = Intersection((liked_by(Union((BOB, likes(Anchor(2))))), Negation(liked_by(likes(BOB)))))
    assert write(Query.of(tree), LABELLED) == (
        "?x : likes(?x, ?y1), (?y1 = Bob or likes(New York, ?y1)), not (likes(?x, ?y2), likes(Bob, ?y2))"
    )
    assert write(Query.of(likes(Anchor(3))), LABELLED) == '?x : likes("Cid, the 2nd", ?x)'
    assert write(Query.of(Union((BOB, Projection(BOB, 5)))), LABELLED) == '?x : ?x = Bob or "likes (a lot)"(?x, Bob)'


def one_group(node: Node) -> Node:
    """The tree with intersections within intersections as one: a pattern has commas for both."""
    match node:
        case Anchor():
            return node
        case Projection():
            return Projection(one_group(node.operand), node.relation)
        case Negation():
            return Negation(one_group(node.operand))
        case Union():
            return Union(tuple(one_group(branch) for branch in node.branches))
        case Intersection():
            flat: list[Node] = []
            for branch in map(one_group, node.branches):
                flat += branch.branches if isinstance(branch, Intersection) else [branch]
            return Intersection(tuple(flat))


@given(st.data(), st.booleans(), st.booleans())
def test_any_tree_is_read_back_from_its_pattern(data: st.DataObject, labelled: bool, complement: bool) -> None:
    graph = LABELLED if labelled else NUMBERED
    tree = data.draw(trees(graph.num_entities, graph.num_relations, complement=complement))
    text = write(Query.of(tree), graph)
    assert parse(text, graph, complement=complement).tree == one_group(tree)


# ---------------------------------------------------------------------------------------------------------- mistakes

CYCLIC = "which makes it cyclic and so no tree (what handles cycles is an enumeration of a variable, as in FIT),"
TWO_ANSWERS = "two answer variables, where one is needed,"
NO_CONDITION = "no condition on ?x in a group that needs one (a comma binds tighter than or; parentheses group)"
NOT_LINKED = "the unused variable ?y (nothing links it to ?x)"
UNBOUNDED = "so that it is unbounded (add one that is not negated),"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", syntax("no answer variable", 1, ">>>")),
        ("likes(?x, Bob)", syntax("no answer variable", 1, ">>> likes(?x, Bob)")),
        ("? : likes(Bob, ?x)", syntax("no answer variable", 1, ">>> ? : likes(Bob, ?x)")),
        ("?x", syntax("no ':' where one is needed", 3, "?x >>>")),
        ("?x likes(Bob, ?x)", syntax("no ':' where one is needed", 4, "?x  >>> likes(Bob, ?x)")),
        ("?x : (Bob, ?x)", syntax("no '(' where one is needed", 10, "?x : (Bob >>> , ?x)")),
        ("?x : likes", syntax("no '(' where one is needed", 11, "?x : likes >>>")),
        ("?x : likes(?x)", syntax("a condition of 1 argument, where 2 are needed,", 6, "?x :  >>> likes(?x)")),
        ("?x : likes(?x", syntax("no ',' where one is needed", 14, "?x : likes(?x >>>")),
        ("?x : likes(, ?x)", syntax("no label where one is needed", 12, "?x : likes( >>> , ?x)")),
        ("?x : likes(Bob, )", syntax("no label where one is needed", 17, "?x : likes(Bob,  >>> )")),
        (
            "?x : likes(Bob, ?x, Ann)",
            syntax("a condition of 3 arguments, where 2 are needed,", 6, "?x :  >>> likes(Bob, ?x, Ann)"),
        ),
        ("?x : likes(Bob, ?x", syntax("no ')' where one is needed", 19, "?x : likes(Bob, ?x >>>")),
        (
            "?x : likes(Bob, ?x) and so on",
            syntax("more text than a pattern needs", 21, "?x : likes(Bob, ?x)  >>> and so on"),
        ),
        (
            "?x, ?y : likes(?x, ?y)",
            syntax("two answer variables, where one is needed,", 1, ">>> ?x, ?y : likes(?x, ?y)"),
        ),
        ("?x : likes(?x, Bob),", syntax("no label where one is needed", 21, "?x : likes(?x, Bob), >>>")),
        ("?x : likes(?x, Bob) or", syntax("no label where one is needed", 23, "?x : likes(?x, Bob) or >>>")),
        ("?x : not", syntax("no '(' where one is needed", 9, "?x : not >>>")),
        ("?x : (likes(?x, Bob)", syntax("no ')' where one is needed", 21, "?x : (likes(?x, Bob) >>>")),
        ("?x : ?x Bob", syntax("no '=' where one is needed", 9, "?x : ?x  >>> Bob")),
        ("?x : ?x =", syntax("no label where one is needed", 10, "?x : ?x = >>>")),
        ("?x : likes(Ann, Bob)", syntax("no variable in a condition that needs one", 6, "?x :  >>> likes(Ann, Bob)")),
        (
            "?x : likes(?x, ?x)",
            syntax(f"a condition that links ?x to itself, {CYCLIC}", 6, "?x :  >>> likes(?x, ?x)"),
        ),
        (
            "?x : likes(?x, ?y), likes(?y, Ann), likes(?y, ?x)",
            syntax(
                f"a second link between ?y and ?x, {CYCLIC}",
                37,
                "?x : likes(?x, ?y), likes(?y, Ann),  >>> likes(?y, ?x)",
            ),
        ),
        (
            "?x : likes(?x, ?y), likes(?y, ?z), likes(?z, ?x)",
            syntax(
                f"a second link between ?z and ?x, {CYCLIC}",
                36,
                "?x : likes(?x, ?y), likes(?y, ?z),  >>> likes(?z, ?x)",
            ),
        ),
        (
            "?x : likes(?x, ?y), not likes(?y, ?x), likes(?y, Bob)",
            syntax(
                f"a negation that links ?y and ?x, {CYCLIC}",
                21,
                "?x : likes(?x, ?y),  >>> not likes(?y, ?x), likes(?y, Bob)",
            ),
        ),
        (
            "?x : likes(?y, Bob)",
            syntax(
                NO_CONDITION,
                6,
                "?x :  >>> likes(?y, Bob)",
            ),
        ),
        (
            "?x : likes(?x, ?y), likes(?y, Ann) or likes(?y, Bob)",
            syntax(
                NO_CONDITION,
                39,
                "?x : likes(?x, ?y), likes(?y, Ann) or  >>> likes(?y, Bob)",
            ),
        ),
        (
            "?x : likes(?x, Ann), likes(?y, Bob)",
            syntax(NOT_LINKED, 22, "?x : likes(?x, Ann),  >>> likes(?y, Bob)"),
        ),
        (
            "?x : likes(?x, Ann), not likes(?y, Bob)",
            syntax(NOT_LINKED, 22, "?x : likes(?x, Ann),  >>> not likes(?y, Bob)"),
        ),
        (
            "?x : likes(?x, ?y)",
            syntax(
                "the unused variable ?y (it occurs once and so says nothing: use it again, or put a label there)",
                6,
                "?x :  >>> likes(?x, ?y)",
            ),
        ),
        (
            "?x : not likes(?x, Ann), not likes(?x, Bob)",
            syntax(
                f"nothing but negated conditions on ?x, {UNBOUNDED}",
                6,
                "?x :  >>> not likes(?x, Ann), not likes(?x, Bob)",
            ),
        ),
        (
            "?x : likes(?x, Ann) or not likes(?x, Bob)",
            syntax(
                f"nothing but negated conditions on ?x in a branch of its or, {UNBOUNDED}",
                5,
                "?x : >>>  likes(?x, Ann) or not likes(?x, Bob)",
            ),
        ),
        (
            "?x : likes(?x, ?y), not likes(?y, Bob)",
            syntax(
                f"nothing but negated conditions on ?y, {UNBOUNDED}", 6, "?x :  >>> likes(?x, ?y), not likes(?y, Bob)"
            ),
        ),
    ],
)
def test_a_mistake_is_named_and_marked(text: str, expected: str) -> None:
    assert complaint(text) == expected


def test_a_long_pattern_is_shown_around_the_mistake() -> None:
    said = complaint(f"?x : {'likes(?x, Bob), ' * 1000}oops, {'likes(?x, Bob), ' * 1000}")
    shown = f"…{('likes(?x, Bob), ' * 9)[-60 + 4 :]}oops >>> {(', ' + 'likes(?x, Bob), ' * 9)[:60]}…"
    assert said == syntax("no '(' where one is needed", 16010, shown)


@pytest.mark.parametrize(
    "text",
    [
        "?x : " + "(" * 10_000 + "likes(?x, Bob)" + ")" * 10_000,
        "?x : likes(?x, Bob), " + "not " * 10_000 + "likes(?x, Bob)",
        "?x : likes(?x, Bob), " + "not (" * 10_000 + "likes(?x, Bob)" + ")" * 10_000,
        "?x : likes(?x, ?y0), "
        + ", ".join(f"likes(?y{i}, ?y{i + 1})" for i in range(10_000))
        + ", likes(?y10000, Bob)",
    ],
    ids=["parentheses", "not", "negated groups", "chain"],
)
def test_ten_thousand_levels_are_refused_in_one_sentence(text: str) -> None:
    assert complaint(text) == (
        "the query is nested more than 100 levels deep, which is the limit; ask for a part of it first, and use its "
        "answers as anchors of the rest"
    )


def test_ten_thousand_conditions_side_by_side_are_no_depth() -> None:
    made = parse("?x : " + ", ".join(["likes(?x, Bob)"] * 10_000), LABELLED)
    assert made.tree == Intersection((Projection(Anchor(1), 1),) * 10_000)
    either = parse("?x : " + " or ".join(["likes(?x, Bob)"] * 10_000), LABELLED)
    assert either.tree == Union((Projection(Anchor(1), 1),) * 10_000)


def test_unions_that_link_two_variables_multiply_up_to_a_limit() -> None:
    link = "(likes(?x, ?{0}) or likes(?{0}, ?x)), likes(?{0}, Ann)"
    assert len(parse("?x : " + ", ".join(link.format(f"y{i}") for i in range(6)), LABELLED).tree.branches) == 64
    assert complaint("?x : " + ", ".join(link.format(f"y{i}") for i in range(7))) == (
        "the unions of the query branch into 128 queries without unions, and 64 is the limit; ask for some of the "
        "branches at a time"
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

pieces = st.sampled_from(
    ["?x", "?y", "?", ":", "likes", "(", ")", ",", '"', "\\", " ", "\n", "Bob", "7", "or", "²", "not ", "="]
)


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
        assert all(0 <= anchor < graph.num_entities for anchor in query.ids("anchor"))
        assert all(0 <= relation < 2 * graph.num_relations for relation in query.ids("relation"))
