"""One-hop queries: the native sampler equals its plain twin, negatives are no answers, and threads leave no trace."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from batches import MODES, assert_equals_twin, candidates, content, graphs_and_options, take
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from strategies import RawGraph, answers, directed, random_graph, raw_graphs

from graphkit import KnowledgeGraph, _native
from graphkit.queries import ONE_HOP, STRUCTURES
from graphkit.queries.execution import program_code
from graphkit.samplers import QuerySampler, SamplerOptions, SamplingStatistics, Segment, reference

# ---------------------------------------------------------------------------------------------------------- the twin


@given(graphs_and_options(), st.integers(0, 2**40))
def test_native_batches_equal_the_twin_bit_for_bit(drawn: tuple[RawGraph, SamplerOptions], number: int) -> None:
    raw, options = drawn
    graph = raw.build()
    sampler = QuerySampler(graph, options, threads=2, ahead=2)
    sampler.load_state_dict({"position": number})
    for batch in take(sampler, 2):
        assert_equals_twin(batch, reference.sample(graph, options, batch.number))


@pytest.mark.parametrize("mode", MODES)
def test_native_batches_that_cross_an_epoch_equal_the_twin(six_nodes: KnowledgeGraph, mode: str) -> None:
    # 14 directed edges: batches of 9 cross an epoch in their middle, and batches of 40 hold several epochs. Four shared
    # candidates cross one of 6 entities.
    for batch_size in (9, 40):
        options = SamplerOptions(batch_size=batch_size, mode=mode, negatives=0 if mode == "none" else 4, seed=8)
        for batch in take(QuerySampler(six_nodes, options), 5):
            assert_equals_twin(batch, reference.sample(six_nodes, options, batch.number))


def test_wide_relations_are_sampled_like_narrow_ones() -> None:
    graph = KnowledgeGraph.from_triples(np.array([[0, 40_000, 1], [1, 0, 2], [2, 40_000, 2], [0, 7, 1]]))
    options = SamplerOptions(batch_size=10, mode="own", negatives=3)
    for batch in take(QuerySampler(graph, options), 2):
        assert_equals_twin(batch, reference.sample(graph, options, batch.number))


# --------------------------------------------------------------------------------------------------------------- laws


@given(graphs_and_options())
def test_positives_are_answers_and_counts_are_exact(drawn: tuple[RawGraph, SamplerOptions]) -> None:
    raw, options = drawn
    for batch in take(QuerySampler(raw.build(), options), 2):
        for (head, relation), positive, count in zip(
            batch.segments[0].rows.tolist(), batch.positives.tolist(), batch.answer_counts.tolist(), strict=True
        ):
            assert positive in answers(raw.train, head, relation)
            assert count == len(answers(raw.train, head, relation))


@given(graphs_and_options(modes=("own", "shared")))
def test_a_masked_in_negative_is_never_an_answer(drawn: tuple[RawGraph, SamplerOptions]) -> None:
    raw, options = drawn
    for batch in take(QuerySampler(raw.build(), options), 2):
        for lane, (head, relation) in enumerate(batch.segments[0].rows.tolist()):
            known = answers(raw.train, head, relation)
            for entity, counted in candidates(batch, lane):
                assert 0 <= entity < raw.entities
                if batch.shared:
                    assert counted == (entity not in known)
                else:
                    assert counted == (len(known) < raw.entities)
                    assert not counted or entity not in known


@given(raw_graphs(), st.integers(1, 7), st.integers(0, 1000))
def test_every_epoch_visits_each_directed_edge_once(raw: RawGraph, batch_size: int, seed: int) -> None:
    graph, edges = raw.build(), directed(raw.train)
    sampler = QuerySampler(graph, SamplerOptions(batch_size=batch_size, mode="none", negatives=0, seed=seed))
    assert sampler.batches_per_epoch == -(-len(edges) // batch_size)
    visited = [
        (head, relation, tail)
        for batch in take(sampler, -(-3 * len(edges) // batch_size))
        for (head, relation), tail in zip(batch.segments[0].rows.tolist(), batch.positives.tolist(), strict=True)
    ]
    for epoch in range(3):
        assert sorted(visited[epoch * len(edges) : (epoch + 1) * len(edges)]) == sorted(edges)


@given(graphs_and_options())
def test_every_directed_edge_is_equally_probable(drawn: tuple[RawGraph, SamplerOptions]) -> None:
    raw, options = drawn
    sampler = QuerySampler(raw.build(), options)
    for batch in take(sampler, 2):
        np.testing.assert_allclose(batch.log_probs, -np.log(len(directed(raw.train))), rtol=1e-12)
    assert sampler.statistics == {"1p": SamplingStatistics(drawn=2 * options.batch_size)}


def test_epochs_have_orders_of_their_own() -> None:
    graph = random_graph(30, 3, 60)
    edges = 2 * graph.num_edges
    epochs = take(QuerySampler(graph, SamplerOptions(batch_size=edges, mode="none", negatives=0)), 3)
    orders = {tuple(epoch.segments[0].rows.flatten().tolist()) for epoch in epochs}
    assert len(orders) == 3


def test_own_negatives_are_uniform_over_the_non_answers(six_nodes: KnowledgeGraph) -> None:
    options = SamplerOptions(batch_size=14, mode="own", negatives=6, seed=4)
    drawn: dict[tuple[int, int], Counter[int]] = {}
    for batch in take(QuerySampler(six_nodes, options), 330):
        for lane, (head, relation) in enumerate(batch.segments[0].rows.tolist()):
            drawn.setdefault((head, relation), Counter()).update(entity for entity, _ in candidates(batch, lane))
    assert len(drawn) == 9
    for (head, relation), counts in drawn.items():
        known = six_nodes.neighbors(head, relation)[0].tolist()
        rest = [entity for entity in range(6) if entity not in known]
        assert sorted(counts) == rest
        assert chisquare([counts[entity] for entity in rest]).pvalue > 1e-4


def test_shared_candidates_are_all_entities_once_an_epoch_in_uniform_orders() -> None:
    graph = random_graph(25, 2, 60)
    sampler = QuerySampler(graph, SamplerOptions(batch_size=2, mode="shared", negatives=4, chunks=2, seed=4))
    epochs = np.concatenate([batch.negatives.numpy() for batch in take(sampler, 3125)]).reshape(-1, 25)
    assert (np.sort(epochs, axis=1) == np.arange(25)).all()
    assert len(np.unique(epochs, axis=0)) == len(epochs)
    for place in (0, 7, 24):
        assert chisquare(np.bincount(epochs[:, place], minlength=25)).pvalue > 1e-4
    # Neighbours are every pair of distinct entities.
    pairs = np.bincount((25 * epochs[:, 0:24:2] + epochs[:, 1:24:2]).ravel(), minlength=625)
    assert chisquare(np.delete(pairs, np.arange(0, 625, 26))).pvalue > 1e-4


@pytest.mark.parametrize("mode", ["own", "shared"])
def test_a_query_that_everything_answers_is_masked_out(mode: str) -> None:
    # 0 and 1 are both answers of (0, r, ?), and 0 of (1, r^-1, ?) with 1 left over.
    graph = KnowledgeGraph.from_triples([(0, 0, 0), (0, 0, 1)])
    counted_in = 0
    for batch in take(QuerySampler(graph, SamplerOptions(batch_size=4, mode=mode, negatives=2)), 20):
        full = [head == 0 and relation == 0 for head, relation in batch.segments[0].rows.tolist()]
        assert sum(full) == 2
        for lane, answered in enumerate(full):
            counted = [counted for _, counted in candidates(batch, lane)]
            assert not answered or not any(counted)
            counted_in += sum(counted)
    assert counted_in > 0


@pytest.mark.parametrize("mode", ["own", "shared"])
def test_as_many_negatives_as_entities_repeat_only_where_they_are_own(six_nodes: KnowledgeGraph, mode: str) -> None:
    options = SamplerOptions(batch_size=30, mode=mode, negatives=6)
    batch = next(QuerySampler(six_nodes, options))
    assert batch.mask.shape == (30, 6)
    distinct = [len({entity for entity, _ in candidates(batch, lane)}) for lane in range(30)]
    assert min(distinct) < 6 if mode == "own" else distinct == [6] * 30
    assert_equals_twin(batch, reference.sample(six_nodes, options, 0))


# --------------------------------------------------------------------------------------------------- threads, position


@pytest.mark.parametrize("mode", MODES)
def test_batches_do_not_depend_on_threads_or_on_how_many_are_made_ahead(mode: str) -> None:
    graph = random_graph(200, 4, 900)
    options = SamplerOptions(batch_size=64, mode=mode, negatives=0 if mode == "none" else 16, seed=3)
    expected = [content(batch) for batch in take(QuerySampler(graph, options), 40)]
    for threads, ahead in [(2, 4), (4, 1), (4, 16)]:
        assert [content(b) for b in take(QuerySampler(graph, options, threads=threads, ahead=ahead), 40)] == expected


@given(graphs_and_options(), st.integers(0, 6))
def test_a_resumed_stream_is_the_rest_of_the_whole_one(drawn: tuple[RawGraph, SamplerOptions], position: int) -> None:
    raw, options = drawn
    graph = raw.build()
    whole, first = QuerySampler(graph, options), QuerySampler(graph, options)
    expected = [content(batch) for batch in take(whole, position + 3)]
    take(first, position)
    resumed = QuerySampler(graph, options, threads=2)
    resumed.load_state_dict(first.state_dict())
    assert [content(batch) for batch in take(resumed, 3)] == expected[position:]
    assert resumed.state_dict() == whole.state_dict() == {"position": position + 3}


def test_a_running_stream_can_be_set_back(six_nodes: KnowledgeGraph) -> None:
    sampler = QuerySampler(six_nodes, SamplerOptions(batch_size=4, negatives=2), threads=2)
    expected = [content(batch) for batch in take(sampler, 5)]
    sampler.load_state_dict({"position": 2})
    assert [content(batch) for batch in take(sampler, 3)] == expected[2:]


def test_a_different_seed_gives_different_batches(six_nodes: KnowledgeGraph) -> None:
    options = SamplerOptions(batch_size=14, negatives=5)
    one, other = (next(QuerySampler(six_nodes, replace(options, seed=seed))) for seed in (0, 1))
    assert one.segments[0].rows.tolist() != other.segments[0].rows.tolist()
    assert one.negatives.tolist() != other.negatives.tolist()


@pytest.mark.timeout(60)
def test_close_with_running_threads_returns_and_the_stream_goes_on(six_nodes: KnowledgeGraph) -> None:
    options = SamplerOptions(batch_size=512, negatives=6)
    expected = [content(batch) for batch in take(QuerySampler(six_nodes, options), 4)]
    sampler = QuerySampler(six_nodes, options, threads=4, ahead=8)
    found = []
    for _ in range(4):
        found += [content(batch) for batch in take(sampler, 1)]
        sampler.close()
    assert found == expected


@pytest.mark.timeout(60)
def test_forgotten_samplers_end_their_threads() -> None:
    graph = random_graph(200, 2, 500)
    before = native_threads()
    for _ in range(10):
        next(QuerySampler(graph, SamplerOptions(structures="1p 3p 2in", batch_size=256), threads=4, ahead=8))
    gc.collect()
    assert native_threads() == before


def native_stream(index: _native.Index, *, threads: int, ahead: int) -> _native.QueryStream:
    """One-hop and two-hop queries with own negatives."""
    return _native.QueryStream(
        index,
        structures=[(program_code(STRUCTURES[name]), STRUCTURES[name].width) for name in ("1p", "2p")],
        batch_size=16,
        negatives=4,
        mode=1,
        chunks=1,
        corruption=0,
        answers=0,
        backtracking=True,
        expansion_limit=100,
        min_answers=1,
        max_answers=2**63 - 1,
        attempts=1000,
        seed=0,
        threads=threads,
        ahead=ahead,
        first=0,
    )


def native_threads() -> int:
    """Threads of the process, those that Python does not know of among them."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


@pytest.mark.timeout(60)
def test_several_python_threads_may_take_batches_of_one_sampler() -> None:
    graph = random_graph(100, 2, 500)
    stream = native_stream(graph.index.native, threads=2, ahead=3)
    numbers: list[int] = []
    take = lambda: numbers.extend(stream.next()[0] for _ in range(50))  # noqa: E731
    # Daemons: a reader that never returns fails this test, and does not keep the interpreter from leaving.
    readers = [threading.Thread(target=take, daemon=True) for _ in range(3)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(timeout=5)
    assert not any(reader.is_alive() for reader in readers)
    assert sorted(numbers) == list(range(150))


# -------------------------------------------------------------------------------------------------------------- memory


def test_a_stream_keeps_the_index_that_its_threads_read() -> None:
    index = random_graph(50, 2, 200).index
    alive = weakref.ref(index.arrays.targets)
    native = index.native
    del index
    gc.collect()
    assert alive() is not None  # the native index keeps its arrays ...
    stream = native_stream(native, threads=1, ahead=1)
    del native
    gc.collect()
    assert alive() is not None  # ... and the stream keeps the index
    del stream
    gc.collect()
    assert alive() is None


def test_batches_stay_valid_when_the_sampler_is_gone() -> None:
    sampler = QuerySampler(random_graph(300, 3, 900), SamplerOptions(batch_size=128, negatives=32), threads=2)
    batches = take(sampler, 3)
    expected = [content(batch) for batch in batches]
    del sampler
    gc.collect()
    overwriting = [torch.full((128, 32), -7) for _ in range(64)]
    assert [content(batch) for batch in batches] == expected
    assert len(overwriting) == 64


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_that_is_held_is_not_overwritten(mode: str) -> None:
    options = SamplerOptions(batch_size=64, mode=mode, negatives=0 if mode == "none" else 8)
    sampler = QuerySampler(random_graph(100, 3, 400), options, threads=2, ahead=2)
    held = take(sampler, 3)
    expected = [content(batch) for batch in held]
    masks = [batch.mask for batch in take(sampler, 5)]  # parts of batches hold the whole
    expected_masks = [None if mask is None else mask.clone() for mask in masks]
    take(sampler, 200)
    assert [content(batch) for batch in held] == expected
    for mask, same in zip(masks, expected_masks, strict=True):
        assert mask is same or torch.equal(mask, same)


def test_buffers_are_recycled() -> None:
    sampler = QuerySampler(random_graph(100, 3, 400), SamplerOptions(batch_size=64, negatives=8), threads=1, ahead=2)
    places = {next(sampler).negatives.data_ptr() for _ in range(50)}
    assert len(places) <= 5


# ------------------------------------------------------------------------------------------------------------- batches


def test_segments_read_anchors_and_relations_from_the_layout() -> None:
    segment = Segment(ONE_HOP, slice(0, 2), torch.tensor([[5, 2], [1, 3]]))
    assert segment.anchors.tolist() == [[5], [1]]
    assert segment.relations.tolist() == [[2], [3]]


@given(graphs_and_options())
def test_entities_of_a_batch_are_all_that_it_names_once(drawn: tuple[RawGraph, SamplerOptions]) -> None:
    raw, options = drawn
    batch = next(QuerySampler(raw.build(), options))
    named = {*batch.segments[0].anchors.flatten().tolist(), *batch.positives.tolist()}
    if batch.negatives is not None:
        named |= set(batch.negatives.flatten().tolist())
    assert batch.entities().tolist() == sorted(named)
    assert batch.size == options.batch_size
    assert batch.shared == (options.mode == "shared")


def test_native_arrays_have_the_stated_types(six_nodes: KnowledgeGraph) -> None:
    batch = next(QuerySampler(six_nodes, SamplerOptions(batch_size=5, mode="own", negatives=3)))
    shapes = {
        "rows": (batch.segments[0].rows, torch.int64, (5, 2)),
        "positives": (batch.positives, torch.int64, (5,)),
        "answer_counts": (batch.answer_counts, torch.int64, (5,)),
        "log_probs": (batch.log_probs, torch.float64, (5,)),
        "negatives": (batch.negatives, torch.int64, (5, 3)),
        "mask": (batch.mask, torch.bool, (5, 3)),
    }
    for name, (tensor, dtype, shape) in shapes.items():
        assert (tensor.dtype, tuple(tensor.shape)) == (dtype, shape), name
