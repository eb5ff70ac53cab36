"""The stream of (graph, seed) is a promise: runs that were recorded can be repeated with a later graphkit."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from batches import take

from graphkit import KnowledgeGraph
from graphkit.queries import STRUCTURES
from graphkit.samplers import QueryBatch, QuerySampler, SamplerOptions

#: Of the first 12 batches, by mode, corruption and chunks. Whoever changes what is drawn changes these, and says so in
#: CHANGELOG.md.
GOLDEN = {
    "own": "4ce4d41736846b7bd171647392a7c31bb5af0ab934f9a6c69eb04b87ebfddb1d",
    "shared": "d475f34714fd64143289ded22bfc183de49d2850b404cf8bd719316dbe455704",
    "own degree": "64a1fc27729003b301b9d9abc52b539a611826b65e129f9abe67d23e34ced6ab",
    "own typed": "13a8ee89ba1fad486c2a8c5ea48b5e307ec581dabd5985513e7dca461be72329",
    "shared 7": "a275c02eda635aa4bc50f7919ce8437fbd371a0dbd8e1b621c38873a37ed0c5d",
    "shared degree": "be2ab47dab512910db7e11c62b2275bd09f6faf880017ba275fe5f4f40b3e2c2",
}


@pytest.fixture(scope="module")
def graph() -> KnowledgeGraph:
    """500 entities with hubs, from arithmetic alone."""
    state, triples = 1, []
    for _ in range(3000):
        numbers = []
        for _ in range(3):
            state = state * 6364136223846793005 + 1442695040888963407 & 2**64 - 1
            numbers.append(state >> 33)
        head, relation, tail = numbers
        triples.append((head % 500 * (tail % 3 % 2), relation % 7, tail % 500))
    return KnowledgeGraph.from_triples(triples, num_entities=500)


def options(drawn: str) -> SamplerOptions:
    mode, *others = drawn.split()
    corruption = next((word for word in others if word.isalpha()), "uniform")
    return SamplerOptions(
        structures=" ".join(STRUCTURES),
        batch_size=300,
        mode=mode,
        negatives=20,
        corruption=corruption,
        chunks=next((int(word) for word in others if word.isdigit()), 1),
        expansion_limit=100,
        seed=5,
    )


def digest(batches: list[QueryBatch]) -> str:
    """Of all integers and flags; logarithms may differ by machine in their last digit."""
    sha = hashlib.sha256()
    for batch in batches:
        rows = [segment.rows for segment in batch.segments]
        for tensor in (*rows, batch.positives, batch.answer_counts, batch.counted, batch.negatives, batch.mask):
            assert tensor is not None
            sha.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return sha.hexdigest()


@pytest.mark.parametrize("drawn", list(GOLDEN))
def test_the_stream_is_the_recorded_one_for_any_threads_and_after_a_resume(graph: KnowledgeGraph, drawn: str) -> None:
    for threads in (1, 2, 4):
        assert digest(take(QuerySampler(graph, options(drawn), threads=threads), 12)) == GOLDEN[drawn]
    begun = QuerySampler(graph, options(drawn))
    first = take(begun, 5)
    resumed = QuerySampler(graph, options(drawn), threads=2)
    resumed.load_state_dict(begun.state_dict())
    assert digest(first + take(resumed, 7)) == GOLDEN[drawn]
    assert 0 < sum(int(batch.counted.sum()) for batch in first) < 5 * 300


@pytest.mark.parametrize("drawn", list(GOLDEN))
def test_shortcuts_of_look_ups_leave_the_stream_as_it_is(graph: KnowledgeGraph, drawn: str) -> None:
    quick = KnowledgeGraph.from_triples(graph.triples(), num_entities=500)
    assert np.diff(quick.index.arrays.run_starts).max() > 128  # long enough for a sketch
    quick.index.native.add_shortcuts()
    assert digest(take(QuerySampler(quick, options(drawn)), 12)) == GOLDEN[drawn]
