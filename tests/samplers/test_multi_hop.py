"""Queries of any structure: native batches equal the twin's, hold what they promise, and share the stream evenly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

import pytest
from batches import (
    MODES,
    OWN_STRUCTURES,
    SPELLINGS,
    answers_by_definition,
    any_structures,
    assert_equals_twin,
    candidates,
    content,
    few_attempts,
    graphs_and_options,
    has_equal_branches,
    queries_of,
    rows_of,
    take,
    take_if_drawable,
    turns_back,
)
from hypothesis import event, given, settings
from hypothesis import strategies as st
from strategies import RawGraph, directed, random_graph, raw_graphs

from graphkit import KnowledgeGraph
from graphkit.queries import ONE_HOP, STRUCTURES, structures
from graphkit.samplers import QueryBatch, QuerySampler, SamplerOptions, SamplingStatistics, reference

ALL = " ".join(STRUCTURES)
Drawn = tuple[RawGraph, SamplerOptions]


@pytest.fixture(autouse=True, scope="module")
def _gives_up_early() -> Iterator[None]:
    with few_attempts():
        yield


@pytest.fixture
def eight_nodes() -> KnowledgeGraph:
    """A graph on which every structure can be drawn."""
    return random_graph(8, 2, 13, seed=3)


def some(structures: str, **others: object) -> SamplerOptions:
    """Options without negatives, unless they are given."""
    return SamplerOptions(structures=structures, **({"mode": "none", "negatives": 0} | others))


def counted_by_twin(graph: KnowledgeGraph, options: SamplerOptions, numbers: range) -> dict[str, SamplingStatistics]:
    merged: dict[str, SamplingStatistics] = {}
    for number in numbers:
        counted = reference.sample_counted(graph, options, number)[1]
        for structure, new in zip(options.parsed, counted, strict=True):
            merged[structure.name] = merged.get(structure.name, SamplingStatistics()) + new
    return merged


# ---------------------------------------------------------------------------------------------------------- the twin


@settings(max_examples=150)
@given(graphs_and_options(lanes=12), any_structures(), st.integers(0, 2**40))
def test_native_batches_equal_the_twin_on_random_graphs(drawn: Drawn, named: str, number: int) -> None:
    graph, options = drawn[0].build(), replace(drawn[1], structures=named)
    sampler = QuerySampler(graph, options, threads=2, ahead=2)
    sampler.load_state_dict({"position": number})
    found = take_if_drawable(sampler, 2)
    event(f"{len(found)} batches drawn")
    for batch in found:
        assert_equals_twin(batch, reference.sample(graph, options, batch.number))
    if len(found) == 2:
        assert sampler.statistics == counted_by_twin(graph, options, range(number, number + 2))


@pytest.mark.parametrize("backtracking", [True, False])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spelling", SPELLINGS, ids=[*STRUCTURES, *OWN_STRUCTURES])
def test_native_batches_of_each_structure_equal_the_twin(
    eight_nodes: KnowledgeGraph, spelling: str, mode: str, backtracking: bool
) -> None:
    options = SamplerOptions(
        structures=spelling,
        batch_size=7,
        mode=mode,
        negatives=0 if mode == "none" else 5,
        answers="degree" if backtracking else "uniform",
        backtracking=backtracking,
        seed=11,
    )
    sampler = QuerySampler(eight_nodes, options)
    for batch in take(sampler, 2):
        assert_equals_twin(batch, reference.sample(eight_nodes, options, batch.number))
    assert sampler.statistics == counted_by_twin(eight_nodes, options, range(2))


@pytest.mark.parametrize("spelling", ["('e', ('r', 'n', 'n'))", "('e', ('n', 'n', 'r'))"])
def test_a_double_negation_of_one_hop_is_a_walk(eight_nodes: KnowledgeGraph, spelling: str) -> None:
    # It has the width of 1p and asks for the same, but epochs are of 1p alone.
    options = some(f"1p {spelling}", batch_size=20, answers="degree")
    assert_equals_twin(next(QuerySampler(eight_nodes, options)), reference.sample(eight_nodes, options, 0))


@pytest.mark.parametrize(("named", "batch_size"), [("2p", 513), ("2i 1p 2u", 900), ("1p 2in", 1100)])
def test_batches_of_several_blocks_of_lanes_equal_the_twin(named: str, batch_size: int) -> None:
    # The native core draws 256 lanes of a structure together.
    graph = KnowledgeGraph.from_triples([(0, 0, 1), (1, 0, 2), (2, 0, 3), (0, 0, 3)])
    options = some(named, batch_size=batch_size, mode="own", negatives=2, seed=2)
    sampler = QuerySampler(graph, options)
    sampler.load_state_dict({"position": 1})
    assert_equals_twin(next(sampler), reference.sample(graph, options, 1))
    assert sampler.statistics == counted_by_twin(graph, options, range(1, 2))


# --------------------------------------------------------------------------------------------------------------- laws


@settings(max_examples=150)
@given(graphs_and_options(lanes=12), any_structures())
def test_positives_counts_and_masks_are_those_of_the_definition(drawn: Drawn, named: str) -> None:
    raw, options = drawn[0], replace(drawn[1], structures=named)
    for batch in take_if_drawable(QuerySampler(raw.build(), options), 2):
        for lane, (tree, positive) in enumerate(queries_of(batch)):
            answers = answers_by_definition(tree, raw)
            assert positive in answers
            told = int(batch.answer_counts[lane])
            assert told == len(answers) if batch.counted[lane] else 0 <= told < raw.entities
            if options.mode == "shared":
                assert all(counted == (entity not in answers) for entity, counted in candidates(batch, lane))
            if options.mode == "own":
                assert all(counted == (len(answers) < raw.entities) for _, counted in candidates(batch, lane))
                assert not any(counted and entity in answers for entity, counted in candidates(batch, lane))


@settings(max_examples=100)
@given(graphs_and_options(lanes=12), any_structures())
def test_walks_that_a_filter_names_are_not_delivered(drawn: Drawn, named: str) -> None:
    raw, options = drawn[0], replace(drawn[1], structures=named)
    for batch in take_if_drawable(QuerySampler(raw.build(), options), 2):
        lanes = zip(rows_of(batch), queries_of(batch), batch.counted.tolist(), strict=True)
        for (structure, _), (tree, _), counted in lanes:
            assert not has_equal_branches(tree)
            assert options.backtracking or not turns_back(tree)
            size = len(answers_by_definition(tree, raw))
            if structure != ONE_HOP:
                assert options.min_answers <= size <= (options.max_answers or raw.entities)
                assert size < raw.entities or (not counted and options.mode == "none")


def test_queries_out_of_the_bounds_are_not_drawn_whether_they_would_be_counted_or_not() -> None:
    # 2p from 0 has 20 answers, and from 1 three.
    triples = (
        [(0, 0, x) for x in range(2, 22)] + [(1, 0, x) for x in (2, 3, 4)] + [(x, 1, x + 20) for x in range(2, 22)]
    )
    graph = KnowledgeGraph.from_triples(triples)
    for limit in (0, 5, None):
        for low, high, expected in ((1, 19, {1}), (4, None, {0}), (3, 20, {0, 1})):
            options = some("2p", batch_size=600, expansion_limit=limit, min_answers=low, max_answers=high)
            batch = next(QuerySampler(graph, options))
            assert batch.counted.all()
            assert {row[0] for row in batch.segments[0].rows.tolist() if row[1:] == [0, 2]} == expected


def test_answers_are_counted_where_no_step_leads_through_a_hub() -> None:
    # 0 leads to 20 entities, each of which leads to one more; 1 leads to 3 of those.
    spokes = [(0, 0, x) for x in range(2, 22)] + [(1, 0, x) for x in (2, 3, 4)] + [(x, 1, x + 20) for x in range(2, 22)]
    graph = KnowledgeGraph.from_triples(spokes)
    for limit in (2, 3, 19, 20, None):
        counts = {}
        for batch in take(QuerySampler(graph, some("2p", batch_size=400, expansion_limit=limit)), 4):
            rows = batch.segments[0].rows.tolist()
            for row, counted, count in zip(rows, batch.counted.tolist(), batch.answer_counts.tolist(), strict=True):
                if row[1:] == [0, 2]:
                    counts[row[0]] = (counted, count)
        enough = limit or 100
        assert counts == {0: (enough >= 20, 20 if enough >= 20 else limit), 1: (enough >= 3, 3 if enough >= 3 else 2)}


def test_answers_that_are_not_counted_are_estimated_from_the_candidates() -> None:
    # 1,000 of 3,000 entities are answers of the 2p query (0, 0, 2), which takes 50 entities and 1,000 edges.
    triples = [(0, 0, x) for x in range(1, 51)] + [(1 + x % 50, 1, 100 + x) for x in range(1000)]
    graph = KnowledgeGraph.from_triples(triples, num_entities=3000)
    for mode in ("own", "shared"):
        options = some("2p", batch_size=1500, mode=mode, negatives=500, expansion_limit=40)
        batch = next(QuerySampler(graph, options))
        lanes = [i for i, row in enumerate(batch.segments[0].rows.tolist()) if row == [0, 0, 2]]
        assert not batch.counted[lanes].any()
        assert 900 < batch.answer_counts[lanes].double().mean() < 1100


def test_relations_turn_back_unless_that_is_excluded(eight_nodes: KnowledgeGraph) -> None:
    options = some("2p ip up inp", batch_size=400)
    turned = Counter(
        (structure.name, backtracking)
        for backtracking in (True, False)
        for batch in take(QuerySampler(eight_nodes, replace(options, backtracking=backtracking)), 2)
        for (structure, _), (tree, _) in zip(rows_of(batch), queries_of(batch), strict=True)
        if turns_back(tree)
    )
    assert set(turned) == {(name, True) for name in ("2p", "ip", "up", "inp")}


@settings(max_examples=100)
@given(graphs_and_options(lanes=40), any_structures(), st.integers(0, 2**40))
def test_segments_tile_the_lanes_by_the_place_of_queries_in_the_stream(drawn: Drawn, named: str, number: int) -> None:
    options = replace(drawn[1], structures=named)
    parsed = structures(named)
    sampler = QuerySampler(drawn[0].build(), options)
    sampler.load_state_dict({"position": number})
    for batch in take_if_drawable(sampler, 2):
        first = batch.number * options.batch_size
        sizes = Counter(place % len(parsed) for place in range(first, first + options.batch_size))
        # Neighbours of one structure are one segment.
        expected = [
            (structure, sum(sizes[i] for i in places))
            for structure, places in groupby(sorted(sizes), parsed.__getitem__)
        ]
        assert [(segment.structure, len(segment.rows)) for segment in batch.segments] == expected
        lanes = [lane for segment in batch.segments for lane in range(batch.size)[segment.lanes]]
        assert lanes == list(range(options.batch_size))
        assert all(segment.rows.shape[1] == segment.structure.width for segment in batch.segments)
        assert batch.size == options.batch_size


@pytest.mark.parametrize("batch_size", [1, 3, 13, 14, 15, 64])
def test_structures_have_equal_shares_whatever_the_batch_size(eight_nodes: KnowledgeGraph, batch_size: int) -> None:
    sampler = QuerySampler(eight_nodes, some(ALL, batch_size=batch_size))
    shares: Counter[str] = Counter()
    for number, batch in enumerate(take(sampler, 14), start=1):
        shares.update(structure.name for structure, _ in rows_of(batch))
        counts = [shares[name] for name in STRUCTURES]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == number * batch_size
    assert set(shares.values()) == {batch_size}
    assert {name: counted.drawn for name, counted in sampler.statistics.items()} == shares


def test_a_structure_that_is_named_twice_has_two_shares(eight_nodes: KnowledgeGraph) -> None:
    sampler = QuerySampler(eight_nodes, some("2p 1p 2p 2i", batch_size=10))
    shares = Counter(structure.name for batch in take(sampler, 6) for structure, _ in rows_of(batch))
    assert shares == {"2p": 30, "1p": 15, "2i": 15}
    assert {name: counted.drawn for name, counted in sampler.statistics.items()} == shares


@settings(max_examples=60)
@given(raw_graphs(), st.sampled_from(["1p 1p", "1p 2u 1p", "2u 1p", "1p 1p 2u 1p"]), st.integers(1, 9), st.data())
def test_epochs_visit_each_directed_edge_once_whoever_shares_the_stream(
    raw: RawGraph, named: str, batch_size: int, data: st.DataObject
) -> None:
    graph, edges, parsed = raw.build(), directed(raw.train), structures(named)
    sampler = QuerySampler(graph, some(named, batch_size=batch_size, seed=data.draw(st.integers(0, 1000))))
    visited = []
    for batch in take_if_drawable(sampler, -(-2 * len(edges) * len(parsed) // batch_size)):
        # The queries of a segment are every S-th of the stream: put them back into its order.
        places = range(batch.number * batch_size, (batch.number + 1) * batch_size)
        by_segment = sorted(places, key=lambda place: (place % len(parsed), place))
        queries = zip(by_segment, rows_of(batch), batch.positives.tolist(), strict=True)
        visited += [(*row, tail) for _, (structure, row), tail in sorted(queries, key=first) if structure == ONE_HOP]
    for start in range(0, len(visited), len(edges)):
        epoch = visited[start : start + len(edges)]
        assert len(set(epoch)) == len(epoch)
        assert set(epoch) <= edges


def first(item: tuple[int, object, object]) -> int:
    return item[0]


# --------------------------------------------------------------------------------------------------- threads, position


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("backtracking", [True, False])
def test_mixed_batches_do_not_depend_on_threads_or_on_how_many_are_made_ahead(mode: str, backtracking: bool) -> None:
    graph = random_graph(200, 4, 900)
    options = some(
        ALL, batch_size=100, mode=mode, negatives=0 if mode == "none" else 8, backtracking=backtracking, seed=3
    )
    alone = QuerySampler(graph, options)
    expected = [content(batch) for batch in take(alone, 20)]
    for threads, ahead in [(1, 1), (2, 4), (4, 1), (4, 16)]:
        sampler = QuerySampler(graph, options, threads=threads, ahead=ahead)
        assert [content(batch) for batch in take(sampler, 20)] == expected
        assert sampler.statistics == alone.statistics


@given(graphs_and_options(lanes=20), any_structures(), st.integers(0, 5))
def test_a_resumed_mixed_stream_is_the_rest_of_the_whole_one(drawn: Drawn, named: str, position: int) -> None:
    graph, options = drawn[0].build(), replace(drawn[1], structures=named)
    whole = [content(batch) for batch in take_if_drawable(QuerySampler(graph, options), position + 3)]
    interrupted = QuerySampler(graph, options)
    begun = [content(batch) for batch in take_if_drawable(interrupted, position)]
    resumed = QuerySampler(graph, options, threads=2)
    resumed.load_state_dict(interrupted.state_dict())
    assert begun + [content(batch) for batch in take_if_drawable(resumed, position + 3 - len(begun))] == whole
    assert resumed.state_dict() == {"position": len(whole)}


def test_statistics_are_of_the_delivered_batches_alone(eight_nodes: KnowledgeGraph) -> None:
    options = some("2i inp", batch_size=20)
    sampler = QuerySampler(eight_nodes, options, threads=2, ahead=8)
    assert sampler.statistics == {"2i": SamplingStatistics(), "inp": SamplingStatistics()}
    for delivered in (1, 2, 3):
        next(sampler)
        assert sampler.statistics == counted_by_twin(eight_nodes, options, range(delivered))
    sampler.load_state_dict({"position": 3})
    next(sampler)
    assert sampler.statistics == counted_by_twin(eight_nodes, options, range(4))


# ------------------------------------------------------------------------------------------------------------- batches


def test_entities_of_a_mixed_batch_are_all_that_it_names_once() -> None:
    graph = random_graph(60, 2, 200)
    batch = next(QuerySampler(graph, SamplerOptions(structures=ALL, batch_size=20, negatives=3)))
    assert batch.negatives is not None
    named = {*batch.positives.tolist(), *batch.negatives.flatten().tolist(), *anchors_of(batch)}
    assert batch.entities().tolist() == sorted(named)


def anchors_of(batch: QueryBatch) -> list[int]:
    return [
        identifier
        for structure, row in rows_of(batch)
        for identifier, argument in zip(row, structure.arguments, strict=True)
        if argument == "anchor"
    ]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=[*STRUCTURES, *OWN_STRUCTURES])
def test_shared_candidates_that_are_grouped_by_relation_equal_the_twin(spelling: str) -> None:
    # Nothing is listed but what one entity leads to, so that most queries of several hops are tested.
    graph = random_graph(25, 6, 60, seed=2)
    options = some(spelling, batch_size=90, mode="shared", negatives=25, expansion_limit=0, seed=5)
    with few_attempts(5000):
        batch = next(QuerySampler(graph, options))
    assert_equals_twin(batch, reference.sample(graph, options, 0))
    if spelling in ("2p", "3p", "up", "2u", "inp", "pin", "pni", "2in"):
        assert int((~batch.counted).sum()) > 4  # so many are tested by all candidates
