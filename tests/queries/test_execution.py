"""Exact execution: native = twin = the definition by predicates, for trees of any shape and any union of splits."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import RawGraph, as_array, directed, holds, random_graph, raw_graphs, trees

from graphkit import GraphkitError, KnowledgeGraph, _native
from graphkit.graph import SPLITS
from graphkit.queries import (
    STRUCTURES,
    Anchor,
    AnswerSets,
    Intersection,
    Negation,
    Node,
    Projection,
    Query,
    Structure,
    Union,
    answer_sets,
    answers,
    easy_and_hard,
    parse,
    reference,
    structure,
)

ALL_SPLITS = [chosen for size in (1, 2, 3) for chosen in combinations(SPLITS, size)]


def sets_of(found: AnswerSets) -> list[list[int]]:
    return [found[i].tolist() for i in range(len(found))]


# --------------------------------------------------------------------------------------------------------- equal sets


@settings(max_examples=300)
@given(st.data(), raw_graphs(held_out=True), st.sampled_from(ALL_SPLITS), st.booleans())
def test_native_equals_twin_equals_the_definition(
    data: st.DataObject, raw: RawGraph, splits: tuple[str, ...], complement: bool
) -> None:
    query = Query.of(data.draw(trees(raw.entities, raw.relations, depth=5, complement=complement)))
    graph = raw.build()
    edges = directed(triple for split in splits for triple in getattr(raw, split))
    expected = [entity for entity in range(raw.entities) if holds(query.tree, entity, edges)]
    found = answers(query, graph, splits, complement=complement)  # type: ignore[arg-type]
    assert found.dtype == np.int64
    assert found.tolist() == expected
    assert reference.answers(query, graph, splits) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("name", STRUCTURES)
def test_every_published_structure_on_a_graph_with_hubs(name: str) -> None:
    random = np.random.default_rng(3)
    triples = np.stack([random.zipf(1.5, 600) % 60, random.integers(0, 3, 600), random.zipf(1.5, 600) % 60], axis=1)
    graph = KnowledgeGraph.from_triples(triples, num_entities=60, num_relations=3)
    made = STRUCTURES[name]
    rows = random.integers(0, 6, (40, made.width))
    found = sets_of(answer_sets(made, rows, graph))
    assert found == [reference.answers(Query(made, tuple(row)), graph) for row in rows.tolist()]
    assert any(found)


@pytest.mark.parametrize("entities", [1, 63, 64, 65, 20_000])
def test_bitmaps_and_sorted_lists_agree_at_every_size(entities: int) -> None:
    """20,000 entities: unions of up to 9 entities are sorted, larger ones marked in a bitmap."""
    graph = random_graph(entities, 2, 4 * entities, seed=entities)
    triples = graph.triples()
    edges = directed(map(tuple, triples.tolist()))
    by_query: dict[tuple[int, int], set[int]] = {}
    for h, r, t in edges:
        by_query.setdefault((h, r), set()).add(t)
    random = np.random.default_rng(0)
    rows = np.stack([random.integers(0, entities, 30), *random.integers(0, 4, (4, 30))], axis=1)
    for hops in (2, 4):
        found = answer_sets(structure(("e", ("r",) * hops)), rows[:, : hops + 1], graph)
        for i, (anchor, *relations) in enumerate(rows[:, : hops + 1].tolist()):
            reached = {anchor}
            for relation in relations:
                reached = set().union(*(by_query.get((x, relation), set()) for x in reached))
            assert found[i].tolist() == sorted(reached)


def test_answers_of_a_hand_drawn_graph(six_nodes: KnowledgeGraph) -> None:
    def ask(text: str, *splits: str) -> str:
        found = answers(parse(f"?x : {text}", six_nodes), six_nodes, splits or ("train",))  # type: ignore[arg-type]
        return " ".join(six_nodes.entity_label(i) for i in found)

    assert ask("likes(?x, ?y), knows(?y, Dan)") == "Ann"
    assert ask("likes(?x, ?y), knows(?y, Dan)", *SPLITS) == "Ann Eve Fay"
    assert ask("likes(?x, Cid), not knows(?x, Dan)") == "Eve"
    assert ask("knows(?x, Dan), not (likes(?x, ?y), likes(?y, Cid))") == "Bob Dan"
    assert ask("knows(?x, Dan), not (likes(?x, Bob) or ?x = Dan)") == "Bob"
    assert ask("?x = Fay or ?x = Ann") == "Ann Fay"
    assert ask("likes(Fay, ?x)") == ""
    assert ask("likes(Fay, ?x)", "valid") == "Ann"


def test_a_complement_is_written_out_only_if_that_is_said(six_nodes: KnowledgeGraph) -> None:
    query = parse("?x : not likes(?x, Cid)", six_nodes, complement=True)
    assert answers(query, six_nodes, complement=True).tolist() == [2, 3, 5]
    with pytest.raises(GraphkitError) as error:
        answers(query, six_nodes)
    assert str(error.value) == (
        "a query of the structure ('e', ('r', 'n')) is unbounded: it has nothing but negated branches; add a branch "
        "that is not negated, or say complement=True to get nearly all entities"
    )


# ------------------------------------------------------------------------------------------------------------ batches


@given(st.data(), raw_graphs(held_out=True), st.integers(2, 4), st.integers(0, 70))
def test_any_number_of_threads_gives_the_same_arrays(
    data: st.DataObject, raw: RawGraph, threads: int, count: int
) -> None:
    made = Structure(data.draw(trees(raw.entities, raw.relations)))
    random = np.random.default_rng(data.draw(st.integers(0, 100)))
    limits = [raw.entities if kind == "anchor" else 2 * raw.relations for kind in made.arguments]
    rows = random.integers(0, limits, (count, made.width))
    graph = raw.build()
    one, several = (answer_sets(made, rows, graph, SPLITS, threads=n) for n in (1, threads))
    assert one.values.tolist() == several.values.tolist()
    assert one.offsets.tolist() == several.offsets.tolist()
    assert len(one) == count and one.sizes.sum() == len(one.values)


def test_no_queries_have_no_answers(six_nodes: KnowledgeGraph) -> None:
    found = answer_sets(STRUCTURES["2i"], np.empty((0, 4), dtype=np.int64), six_nodes)
    assert (len(found), found.values.tolist(), found.offsets.tolist()) == (0, [], [0])
    with pytest.raises(IndexError):
        _ = found[0]


@given(st.data(), raw_graphs(held_out=True))
def test_hard_answers_are_what_the_known_edges_do_not_give(data: st.DataObject, raw: RawGraph) -> None:
    query = Query.of(data.draw(trees(raw.entities, raw.relations)))
    graph = raw.build()
    parted = easy_and_hard(query.structure, [query.row] * 2, graph)
    full = set(reference.answers(query, graph, SPLITS))
    known = set(reference.answers(query, graph, ("train", "valid")))
    assert sets_of(parted.easy) == [sorted(full & known)] * 2
    assert sets_of(parted.hard) == [sorted(full - known)] * 2


def test_the_index_over_splits_is_built_once(six_nodes: KnowledgeGraph) -> None:
    assert six_nodes.index_over(("train",)) is six_nodes.index
    everything = six_nodes.index_over(SPLITS)
    assert everything is six_nodes.index_over(("test", "valid", "train", "train"))
    assert everything.triples().tolist() == sorted(row for split in SPLITS for row in six_nodes.triples(split).tolist())
    without = KnowledgeGraph.from_triples(as_array([(0, 0, 1)]))
    assert without.index_over(SPLITS) is without.index
    assert without.index_over(("valid", "test")).num_edges == 0


# ----------------------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[6, 0]], "query 0 has the anchor 6, outside 0 to 5; "),
        ([[0, 0], [-1, 0]], "query 1 has the anchor -1, outside 0 to 5; "),
        ([[0, 4]], "query 0 has the directed relation 4, outside 0 to 3; "),
        ([[0, -1]], "query 0 has the directed relation -1, outside 0 to 3; "),
        ([[0, 1, 2]], "the queries of structure 1p have shape (1, 3) and dtype int64, and integers of shape (B, 2) "),
        ([0, 1], "the queries of structure 1p have shape (2,) and dtype int64, and integers of shape (B, 2) "),
        ([[0.0, 1.0]], "the queries of structure 1p have shape (1, 2) and dtype float64, and integers of shape (B, 2)"),
    ],
)
def test_rows_that_do_not_fit_are_named(rows: object, expected: str, six_nodes: KnowledgeGraph) -> None:
    with pytest.raises(GraphkitError) as error:
        answer_sets(STRUCTURES["1p"], rows, six_nodes)  # type: ignore[arg-type]
    assert str(error.value).startswith(expected)


def test_options_out_of_range_are_named(six_nodes: KnowledgeGraph) -> None:
    rows = [[0, 0]]
    one = STRUCTURES["1p"]
    with pytest.raises(GraphkitError) as error:
        answer_sets(one, rows, six_nodes, threads=0)
    assert str(error.value) == "threads is 0, and at least 1 is needed"
    for splits in ("train", ("dev",), ()):
        with pytest.raises(GraphkitError, match="name some of train, valid, test, as a tuple"):
            answer_sets(one, rows, six_nodes, splits)  # type: ignore[arg-type]
    with pytest.raises(GraphkitError) as error:
        easy_and_hard(one, rows, six_nodes, known=("test",), full=("train", "valid"))
    assert str(error.value) == "the known splits test are not all among the full ones, train, valid; add them there"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ([(0, 0)] + [(4, 0)] * 100, "the query's program is nested more than 100 levels deep"),
        ([(0, 0)] + [(1, 1)] * 10_000, "the query's program is nested more than 100 levels deep"),
        ([(0, 0), (4, 0), (1, 1)], "the query's program follows a relation from a complement"),
        ([(0, 2)], "the query's program names a column that rows lack"),
        ([(0, -1)], "the query's program names a column that rows lack"),
        ([(5, 0)], "the query's program has an unknown operation"),
        ([(1, 1)], "the query's program takes more sets than there are, or none"),
        ([(0, 0), (2, 0)], "the query's program takes more sets than there are, or none"),
        ([(0, 0), (0, 0)], "the query's program leaves 2 sets instead of one"),
        (np.empty((0, 2)), "the query's program leaves 0 sets instead of one"),
    ],
)
def test_the_native_core_checks_programs_itself(code: object, expected: str, six_nodes: KnowledgeGraph) -> None:
    pairs = np.array(code, dtype=np.int64)
    rows = np.array([[0, 0]])
    with pytest.raises(ValueError) as error:
        _native.execute(six_nodes.index.native, pairs, rows, threads=1)
    assert str(error.value) == expected


def test_the_native_core_checks_anchors_itself(six_nodes: KnowledgeGraph) -> None:
    with pytest.raises(IndexError) as error:
        _native.execute(six_nodes.index.native, np.array([[0, 0]]), np.array([[0], [6]]), threads=1)
    assert str(error.value) == "query 1 has the anchor 6, outside 0 to 5"


def test_a_tree_at_the_limit_of_depth_is_executed(six_nodes: KnowledgeGraph) -> None:
    node: Node = Anchor(0)
    for _ in range(49):
        node = Union((Negation(Intersection((Negation(node), Negation(Anchor(1))))), Anchor(2)))
        if node.depth > 90:
            break
    query = Query.of(Projection(node, 0))
    assert answers(query, six_nodes).tolist() == reference.answers(query, six_nodes) == [1, 2]
