"""`KnowledgeGraph.from_triples` takes triples as people hold them; answers are the union of splits."""

from __future__ import annotations

from itertools import chain, combinations, pairwise, product

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from strategies import RawGraph, answers, raw_graphs

from graphkit import GraphkitError, KnowledgeGraph, Vocabulary
from graphkit.graph import SPLITS

LABELLED = [("x", "r", "y"), ("y", "s", "z"), ("x", "r", "y")]
NUMBERED = [(0, 0, 1), (1, 1, 2), (0, 0, 1)]

FORMS = {
    "list": lambda rows: rows,
    "generator": lambda rows: (row for row in rows),
    "set of tuples": set,
    "list of lists": lambda rows: [list(row) for row in rows],
    "array": np.array,
    "object array of labels": lambda rows: np.array(rows, dtype=object),
    "Arrow table": lambda rows: pa.table([list(column) for column in zip(*rows, strict=True)], names=["h", "r", "t"]),
    "Arrow table with a fourth column": lambda rows: pa.table(
        [*(list(column) for column in zip(*rows, strict=True)), [0.5] * len(rows)], names=["h", "r", "t", "weight"]
    ),
    "pandas frame": lambda rows: pd.DataFrame(rows, columns=["h", "r", "t"]),
    "pandas frame with a fourth column": lambda rows: pd.DataFrame(rows, columns=["h", "r", "t"]).assign(weight=0.5),
}


def as_labels(graph: KnowledgeGraph) -> set[tuple[str, str, str]]:
    return {(graph.entity_label(h), graph.relation_label(r), graph.entity_label(t)) for h, r, t in graph.triples()}


# ------------------------------------------------------------------------------------------------------------- forms


@pytest.mark.parametrize("form", FORMS)
def test_labelled_triples_of_every_form_make_the_same_graph(form: str) -> None:
    graph = KnowledgeGraph.from_triples(FORMS[form](LABELLED))
    assert as_labels(graph) == set(LABELLED)
    assert (graph.num_entities, graph.num_relations, graph.num_edges) == (3, 2, 2)


@pytest.mark.parametrize("form", FORMS)
def test_numbered_triples_of_every_form_make_the_same_graph(form: str) -> None:
    graph = KnowledgeGraph.from_triples(FORMS[form](NUMBERED))
    assert graph.triples().tolist() == [[0, 0, 1], [1, 1, 2]]
    assert graph.entities is None
    assert graph.entity_label(2) == "2"


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16, np.uint64])
def test_every_integer_type_is_taken(dtype: type) -> None:
    assert KnowledgeGraph.from_triples(np.array(NUMBERED, dtype)).triples().tolist() == [[0, 0, 1], [1, 1, 2]]


def test_an_array_of_any_memory_layout_is_taken() -> None:
    turned = np.asfortranarray(np.array(NUMBERED))
    assert KnowledgeGraph.from_triples(turned).triples().tolist() == [[0, 0, 1], [1, 1, 2]]
    assert KnowledgeGraph.from_triples(np.array(NUMBERED)[::-1]).triples().tolist() == [[0, 0, 1], [1, 1, 2]]


def test_labels_are_numbered_in_order_of_first_appearance_over_all_splits() -> None:
    graph = KnowledgeGraph.from_triples([("b", "r", "a")], valid=[("c", "s", "b")], test=[("a", "r", "d")])
    assert graph.entities is not None
    assert graph.relations is not None
    assert graph.entities.labels.to_pylist() == ["b", "a", "c", "d"]
    assert graph.relations.labels.to_pylist() == ["r", "s"]
    assert graph.triples("valid").tolist() == [[2, 1, 0]]
    assert graph.triples("test").tolist() == [[1, 0, 3]]


def test_given_vocabularies_number_the_labels() -> None:
    graph = KnowledgeGraph.from_triples([("b", "r", "a")], entities=["a", "b", "c"], relations=Vocabulary(["q", "r"]))
    assert graph.triples().tolist() == [[1, 1, 0]]
    assert (graph.num_entities, graph.num_relations) == (3, 2)


def test_given_vocabularies_label_integer_triples() -> None:
    graph = KnowledgeGraph.from_triples([(1, 0, 0)], entities=["a", "b"], relations=["r"])
    assert as_labels(graph) == {("b", "r", "a")}


def test_sizes_count_the_ids_of_all_splits() -> None:
    graph = KnowledgeGraph.from_triples([(0, 0, 1)], valid=[(0, 3, 1)], test=[(7, 0, 1)])
    assert (graph.num_entities, graph.num_relations) == (8, 4)


def test_duplicates_of_the_training_split_are_counted_and_dropped() -> None:
    graph = KnowledgeGraph.from_triples([(0, 0, 1)] * 5 + [(1, 0, 0)])
    assert graph.duplicates == 4
    assert graph.num_edges == 2


def test_the_graph_does_not_change_with_the_array_that_it_was_made_from() -> None:
    train, test = np.array([[0, 0, 1], [1, 0, 2]]), np.array([[2, 0, 0]])
    graph = KnowledgeGraph.from_triples(train, test=test)
    train[:], test[:] = 0, 0
    assert graph.triples().tolist() == [[0, 0, 1], [1, 0, 2]]
    assert graph.triples("test").tolist() == [[2, 0, 0]]


# ------------------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("train", "found"),
    [
        (np.zeros((4, 2), np.int64), "(4, 2)"),
        (np.zeros(6, np.int64), "(6,)"),
        ([("a", "r")], "(1, 2)"),
        ([("a", "r", "b", "c")], "(1, 4)"),
        ([("a", "r", "b"), ("a", "r")], "(2,)"),
        (pd.DataFrame({"h": ["a"], "t": ["b"]}), "(1, 2)"),
        (pa.table({"h": ["a"], "t": ["b"]}), "(1, 2)"),
    ],
    ids=["narrow", "flat", "pairs", "quadruples", "ragged", "frame", "table"],
)
def test_a_wrong_shape_is_stated(train, found: str) -> None:
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.from_triples(train)
    expected = f"the train triples have shape {found}, and (M, 3) with columns head, relation, tail is needed"
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("row", "found"),
    [(("a", "r", 1), "1 of type int"), (("a", None, "b"), "None of type NoneType"), ((0.5, 0.0, 1.0), "0.5 of type")],
)
def test_a_split_that_mixes_ids_and_labels_is_refused(row: tuple[object, object, object], found: str) -> None:
    with pytest.raises(GraphkitError, match=rf"^the test triples hold {found}.*; heads, relations and tails must"):
        KnowledgeGraph.from_triples([("a", "r", "b")], test=[row])


def test_splits_of_different_forms_are_refused() -> None:
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.from_triples([("a", "r", "b")], valid=[(0, 0, 1)])
    assert str(error.value) == "one split has integer ids and another labels; give all splits in one form"


def test_an_empty_held_out_split_goes_with_either_form() -> None:
    assert KnowledgeGraph.from_triples([("a", "r", "b")], valid=[], test=np.empty((0, 3))).num_entities == 2
    assert KnowledgeGraph.from_triples([(0, 0, 1)], valid=[], test=[]).triples("test").shape == (0, 3)


@pytest.mark.parametrize("train", [[], np.empty((0, 3), np.int64), (row for row in ())], ids=["list", "array", "none"])
def test_a_graph_without_training_triples_is_refused(train) -> None:
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.from_triples(train, test=[(0, 0, 1)])
    assert str(error.value) == "the training split has no triples; a graph needs at least one"


def test_a_label_out_of_vocabulary_is_named_with_the_nearest() -> None:
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.from_triples([("Austra", "r", "Chad")], entities=["Austria", "Chad"])
    assert str(error.value) == "the graph has no entity 'Austra'; nearest: Austria"


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_an_id_beyond_the_given_size_is_refused_and_its_split_named(split: str) -> None:
    parts = {"train": [(0, 0, 1)], "valid": [(0, 0, 1)], "test": [(0, 0, 1)]}
    parts[split] = [(0, 0, 1), (0, 0, 5)]
    with pytest.raises(GraphkitError, match=r"triple 1 is \(0, 0, 5\), outside 0 to 1 for entities") as error:
        KnowledgeGraph.from_triples(**parts, num_entities=2)
    assert split == "train" or split in str(error.value)


def test_sizes_that_contradict_the_labels_are_refused() -> None:
    with pytest.raises(GraphkitError):
        KnowledgeGraph.from_triples([("a", "r", "b")], num_entities=5)


def test_an_id_beyond_64_bits_is_refused() -> None:
    with pytest.raises(GraphkitError):
        KnowledgeGraph.from_triples([(2**70, 0, 1)])


# ----------------------------------------------------------------------------------------------------------- answers


@given(raw_graphs(held_out=True))
def test_answers_are_the_union_of_the_splits(raw: RawGraph) -> None:
    graph = raw.build()
    pairs = np.array(list(product(range(raw.entities), range(2 * raw.relations))))
    for splits in chain.from_iterable(combinations(SPLITS, count) for count in (1, 2, 3)):
        triples = [triple for split in splits for triple in getattr(raw, split)]
        values, offsets = graph.answers(pairs[:, 0], pairs[:, 1], splits)
        found = [values[a:b].tolist() for a, b in pairwise(offsets.tolist())]
        assert found == [answers(triples, head, relation) for head, relation in pairs.tolist()]


def test_answers_in_no_split_are_empty(six_nodes: KnowledgeGraph) -> None:
    values, offsets = six_nodes.answers([0, 1], [0, 0], ())
    assert values.tolist() == []
    assert offsets.tolist() == [0, 0, 0]


def test_answers_of_the_drawn_graph_are_exact(six_nodes: KnowledgeGraph) -> None:
    values, offsets = six_nodes.answers([1, 0, 5], [1, 1, 1])  # who likes Bob, Ann, Fay?
    assert values.tolist() == [0, 4, 5]
    assert offsets.tolist() == [0, 2, 3, 3]
    assert six_nodes.answers(1, 1, ["train"])[0].tolist() == [0]


def test_repr_counts_everything(six_nodes: KnowledgeGraph) -> None:
    assert repr(six_nodes) == "KnowledgeGraph(6 entities, 2 relations, 7 train, 1 valid, 2 test triples)"
    many = KnowledgeGraph.from_triples(np.array([[0, 0, 1]]), num_entities=86_000_000 // 1000)
    assert repr(many) == "KnowledgeGraph(86,000 entities, 1 relations, 1 train, 0 valid, 0 test triples)"
