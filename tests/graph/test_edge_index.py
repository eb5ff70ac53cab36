"""The index equals a set of triples, whatever its types."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from strategies import RawGraph, answers, as_array, directed, random_graph, raw_graphs

from graphkit import GraphkitError, KnowledgeGraph, _native
from graphkit.graph import EdgeArrays, EdgeIndex

WIDTHS = list(product([False, True], repeat=2))


def index_of(raw: RawGraph) -> EdgeIndex:
    return EdgeIndex.build(as_array(raw.train), raw.entities, raw.relations)[0]


def queries_of(raw: RawGraph) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array(list(product(range(raw.entities), range(2 * raw.relations))))
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def test_arrays_of_the_drawn_graph_are_exact(six_nodes: KnowledgeGraph) -> None:
    arrays = six_nodes.index.arrays
    #                                          Ann   Bob      Cid  Dan   Eve Fay
    assert arrays.entity_runs.tolist() == [0, 2, 5, 6, 8, 9, 9]
    assert arrays.run_relations.tolist() == [0, 2, 0, 1, 2, 1, 2, 3, 0]
    assert arrays.run_starts.tolist() == [0, 2, 3, 4, 5, 6, 9, 10, 13, 14]
    assert arrays.targets.tolist() == [1, 2, 3, 2, 0, 3, 0, 1, 4, 3, 0, 1, 3, 2]


def test_look_ups_of_the_drawn_graph_are_exact(six_nodes: KnowledgeGraph) -> None:
    values, offsets = six_nodes.neighbors([0, 2, 3, 5], [0, 1, 3, 0])
    assert values.tolist() == [1, 2, 0, 1, 4, 0, 1, 3]
    assert offsets.tolist() == [0, 2, 5, 8, 8]
    assert six_nodes.degree([0, 1, 2, 3, 4, 5]).tolist() == [3, 3, 3, 4, 1, 0]
    assert six_nodes.has_edge([0, 1, 2], [0, 0, 1], [1, 0, 4]).tolist() == [True, False, True]


@given(raw_graphs())
def test_neighbors_are_the_answers(raw: RawGraph) -> None:
    heads, relations = queries_of(raw)
    values, offsets = index_of(raw).neighbors(heads, relations)
    found = [values[a:b].tolist() for a, b in pairwise(offsets.tolist())]
    assert found == [answers(raw.train, h, r) for h, r in zip(heads.tolist(), relations.tolist(), strict=True)]


@given(raw_graphs())
def test_has_edge_is_membership(raw: RawGraph) -> None:
    edges = directed(raw.train)
    asked = np.array(list(product(range(raw.entities), range(2 * raw.relations), range(raw.entities))))
    found = index_of(raw).has_edge(*(column.copy() for column in asked.T))
    assert found.tolist() == [tuple(row) in edges for row in asked.tolist()]


@given(raw_graphs())
def test_degree_counts_the_directed_edges_that_leave(raw: RawGraph) -> None:
    heads = [head for head, _, _ in directed(raw.train)]
    assert index_of(raw).degree(np.arange(raw.entities)).tolist() == [heads.count(x) for x in range(raw.entities)]


@given(raw_graphs())
def test_triples_are_the_distinct_triples_sorted_and_duplicates_are_counted(raw: RawGraph) -> None:
    index, duplicates = EdgeIndex.build(as_array(raw.train), raw.entities, raw.relations)
    assert [tuple(row) for row in index.triples().tolist()] == sorted(set(raw.train))
    assert duplicates == len(raw.train) - len(set(raw.train))
    assert index.num_edges == 2 * len(set(raw.train))
    assert index.num_entities == raw.entities


@given(raw_graphs())
def test_edges_into_x_under_r_are_the_edges_out_of_x_under_the_inverse(raw: RawGraph) -> None:
    index = index_of(raw)
    asked = np.array(list(product(range(raw.entities), range(2 * raw.relations), range(raw.entities))))
    heads, relations, tails = (column.copy() for column in asked.T)
    assert (index.has_edge(heads, relations, tails) == index.has_edge(tails, relations ^ 1, heads)).all()


@given(raw_graphs())
def test_the_built_index_passes_its_own_check(raw: RawGraph) -> None:
    index_of(raw).check()


@pytest.mark.parametrize(("wide_relations", "wide_offsets"), WIDTHS)
def test_look_ups_do_not_depend_on_the_widths_of_the_types(wide_relations: bool, wide_offsets: bool) -> None:
    raw = np.random.default_rng(0).integers(0, [40, 5, 40], (600, 3))
    *arrays, duplicates = _native.build_index(raw, 40, 5, wide_relations=wide_relations, wide_offsets=wide_offsets)
    index = EdgeIndex(EdgeArrays(*arrays), 5)
    assert index.arrays.run_relations.dtype == (np.uint32 if wide_relations else np.uint16)
    assert index.arrays.entity_runs.dtype == index.arrays.run_starts.dtype == (np.uint64 if wide_offsets else np.uint32)
    assert index.arrays.targets.dtype == np.uint32
    triples = [tuple(row) for row in raw.tolist()]
    assert duplicates == len(triples) - len(set(triples))
    heads, relations = (column.ravel() for column in np.meshgrid(np.arange(40), np.arange(10)))
    values, offsets = index.neighbors(heads, relations)
    by_query: dict[tuple[int, int], list[int]] = {}
    for head, relation, tail in sorted(directed(triples)):
        by_query.setdefault((head, relation), []).append(tail)
    expected = [by_query.get(query, []) for query in zip(heads.tolist(), relations.tolist(), strict=True)]
    assert [values[a:b].tolist() for a, b in pairwise(offsets.tolist())] == expected
    assert [tuple(row) for row in index.triples().tolist()] == sorted(set(triples))
    assert index.degree([7]).tolist() == [sum(head == 7 for head, _, _ in directed(triples))]
    index.check()


@pytest.mark.parametrize(("relations", "dtype"), [(32_768, np.uint16), (32_769, np.uint32)])
def test_relations_widen_exactly_when_their_directed_ids_outgrow_sixteen_bits(relations: int, dtype: type) -> None:
    triples = np.array([[0, relations - 1, 1], [1, 0, 2]])
    index, _ = EdgeIndex.build(triples, 3, relations)
    assert index.arrays.run_relations.dtype == dtype
    assert index.neighbors([1], [2 * relations - 1])[0].tolist() == [0]
    assert index.neighbors([1], [2 * relations - 2])[0].tolist() == []
    assert index.triples().tolist() == triples.tolist()


def test_more_than_65536_relations_are_indexed() -> None:
    triples = np.stack([np.zeros(70_000, np.int64), np.arange(70_000), np.ones(70_000, np.int64)], axis=1)
    index, _ = EdgeIndex.build(triples, 2, 70_000)
    assert index.arrays.run_relations.dtype == np.uint32
    assert index.has_edge([0], np.arange(0, 140_000, 2), [1]).all()
    assert not index.has_edge([0], np.arange(1, 140_000, 2), [1]).any()


def test_a_hub_beyond_the_radix_threshold_is_sorted() -> None:
    random = np.random.default_rng(3)
    spokes = random.integers(0, 100_000, 6_000)
    relations = random.integers(0, 300, 6_000)
    triples = np.stack([np.full(6_000, 5), relations, spokes], axis=1)
    index, duplicates = EdgeIndex.build(triples, 100_000, 300)
    assert index.triples().tolist() == np.unique(triples, axis=0).tolist()
    assert duplicates == len(triples) - len(np.unique(triples, axis=0))


def test_one_relation_serves_all_heads() -> None:
    index = random_graph(6, 2, 20).index
    values, offsets = index.neighbors(np.arange(6), 3)
    again, same = index.neighbors(np.arange(6), np.full(6, 3))
    assert values.tolist() == again.tolist()
    assert offsets.tolist() == same.tolist()


@pytest.mark.parametrize(
    ("call", "at"),
    [
        (lambda g: g.neighbors([0, 6], [0, 0]), "entity 6 at position 1"),
        (lambda g: g.has_edge([-1], [0], [0]), "entity -1 at position 0"),
        (lambda g: g.degree([0, 1, 9]), "entity 9 at position 2"),
    ],
    ids=["neighbors", "has_edge", "degree"],
)
def test_an_entity_out_of_range_is_named_with_its_place(six_nodes: KnowledgeGraph, call, at: str) -> None:
    with pytest.raises(GraphkitError) as error:
        call(six_nodes)
    assert str(error.value) == f"{at} is outside 0 to 5; the graph has 6 entities"


@pytest.mark.parametrize("tail", [-1, 6, 2**40])
def test_an_edge_to_an_entity_that_does_not_exist_is_not_there(six_nodes: KnowledgeGraph, tail: int) -> None:
    assert not six_nodes.has_edge([0], [0], [tail]).any()


@pytest.mark.parametrize("bad", [(3, 0, 0), (0, 0, -1), (0, 2, 0)])
def test_a_triple_out_of_range_is_named_with_its_row(bad: tuple[int, int, int]) -> None:
    with pytest.raises(GraphkitError) as error:
        EdgeIndex.build(as_array([(0, 0, 1), bad, (9, 9, 9)]), 3, 2)
    assert str(error.value) == (
        f"the train triple 1 is {bad}, outside 0 to 2 for entities and 0 to 1 for relations; give num_entities and "
        "num_relations that cover all ids, or number the ids from 0"
    )


@pytest.mark.parametrize(("entities", "relations"), [(2**32, 1), (1, 2**31)])
def test_a_graph_beyond_the_limits_is_refused(entities: int, relations: int) -> None:
    with pytest.raises(GraphkitError) as error:
        EdgeIndex.build(as_array([(0, 0, 0)]), entities, relations)
    assert str(error.value) == (
        f"a graph of {entities} entities and {relations} relations is beyond the store's limits of 4294967295 "
        "and 2147483647; number fewer of them, or split the graph"
    )


DAMAGE = {
    "entity_runs has bad ends": ("entity_runs", -1, 8),
    "entity_runs is not ascending": ("entity_runs", 2, 1),
    "run_starts has bad ends": ("run_starts", 0, 1),
    "run_starts is not strictly ascending": ("run_starts", 2, 2),
    "a run names a relation out of range": ("run_relations", 4, 4),
    "an edge names an entity out of range": ("targets", 13, 6),
}


@pytest.mark.parametrize("complaint", DAMAGE)
def test_check_refuses_damaged_arrays(six_nodes: KnowledgeGraph, complaint: str) -> None:
    name, place, value = DAMAGE[complaint]
    arrays = {name: getattr(six_nodes.index.arrays, name).copy() for name in EdgeArrays.names()}
    arrays[name][place] = value
    with pytest.raises(GraphkitError) as error:
        EdgeIndex(EdgeArrays(**arrays), 2).check()
    assert str(error.value) == f"the index of the graph is damaged: {complaint}; import or save the graph again"


def test_arrays_of_a_wrong_type_are_refused() -> None:
    arrays = random_graph(4, 1, 5).index.arrays
    with pytest.raises(ValueError, match="targets has the wrong dtype"):
        _native.Index(arrays.entity_runs, arrays.run_relations, arrays.run_starts, arrays.targets.astype(np.int64))
