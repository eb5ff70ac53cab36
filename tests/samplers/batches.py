"""What the tests of samplers share: options, structures beyond the published ones, and batches as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np
import pytest
from hypothesis import strategies as st
from strategies import RawGraph, Triple, directed, holds, raw_graphs, trees

from graphkit import GraphkitError
from graphkit.queries import STRUCTURES, Intersection, Negation, Node, Projection, Structure, Union
from graphkit.queries.tree import post_order
from graphkit.samplers import QueryBatch, QuerySampler, SamplerOptions, query_sampler
from graphkit.samplers.query_sampler import Corruption

MODES = ("none", "own", "shared")
ANSWERS = ("uniform", "degree")
#: By mode.
CORRUPTIONS: dict[str, tuple[Corruption, ...]] = {
    "none": ("uniform",),
    "own": ("uniform", "degree", "typed"),
    "shared": ("uniform", "degree"),
}

#: Trees that no published structure has.
OWN_STRUCTURES = {
    "4p": "('e', ('r', 'r', 'r', 'r'))",
    "union under an intersection": "((('e', ('r',)), ('e', ('r',)), ('u',)), ('e', ('r',)))",
    "negation of a union": "(('e', ('r',)), ((('e', ('r',)), ('e', ('r',)), ('u',)), ('n',)))",
    "union with a negation under an intersection": "((('e', ('r',)), ('e', ('r', 'n')), ('u',)), ('e', ('r',)))",
    "negation of an intersection of negations": "((('e', ('r', 'n')), ('e', ('r', 'n'))), ('n',))",
    "double negation": "(('e', ('r',)), ('e', ('r', 'n', 'n')))",
    "double negation under a projection": "('e', ('r', 'n', 'n', 'r'))",
    "union with an anchor": "('e', ('e', ('r',)), ('u',))",
    "union of three, followed": "((('e', ('r',)), ('e', ('r',)), ('e', ('r', 'r')), ('u',)), ('r',))",
}
SPELLINGS = (*STRUCTURES, *OWN_STRUCTURES.values())


@st.composite
def sampler_options(
    draw: st.DrawFn, entities: int, *, modes: tuple[str, ...] = MODES, lanes: int = 40
) -> SamplerOptions:
    """Options for one-hop queries on a graph of so many entities."""
    mode = draw(st.sampled_from(modes))
    batch_size = draw(st.integers(1, lanes))
    return SamplerOptions(
        batch_size=batch_size,
        mode=mode,  # type: ignore[arg-type]
        negatives=0 if mode == "none" else draw(st.integers(1, entities)),
        chunks=draw(st.integers(1, min(batch_size, 5))) if mode == "shared" else 1,
        corruption=draw(st.sampled_from(CORRUPTIONS[mode])),
        answers=draw(st.sampled_from(ANSWERS)),  # type: ignore[arg-type]
        backtracking=draw(st.booleans()),
        expansion_limit=draw(st.sampled_from([0, 1, 2, 3, 5, 1024, None])),
        min_answers=draw(st.sampled_from([1, 1, 1, 2])),
        max_answers=draw(st.sampled_from([None, None, None, 4, 2])),
        seed=draw(st.integers(0, 2**63 - 1)),
    )


@st.composite
def graphs_and_options(
    draw: st.DrawFn, *, modes: tuple[str, ...] = MODES, lanes: int = 40
) -> tuple[RawGraph, SamplerOptions]:
    """Graphs with options that suit them."""
    raw = draw(raw_graphs())
    return raw, draw(sampler_options(raw.entities, modes=modes, lanes=lanes))


@st.composite
def any_structures(draw: st.DrawFn) -> str:
    """One to four structures: published ones, those above, and trees of any shape."""
    tree = trees(1, 1, depth=3).map(Structure)
    tree = tree.filter(lambda made: "relation" in made.arguments and made.width < 9)
    spelling = st.sampled_from(SPELLINGS) | st.sampled_from(SPELLINGS) | tree.map(lambda made: str(made.nested))
    return " ".join(draw(st.lists(spelling, min_size=1, max_size=4)))


@contextmanager
def few_attempts(attempts: int = 200) -> Iterator[None]:
    """Lets samplers give up early: what is not drawn at once need not be waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query_sampler, "ATTEMPTS", attempts)
        yield


def take(sampler: QuerySampler, count: int) -> list[QueryBatch]:
    return list(islice(sampler, count))


def take_if_drawable(sampler: QuerySampler, count: int) -> list[QueryBatch]:
    """The next batches, fewer where the sampler says that a structure cannot be drawn."""
    found: list[QueryBatch] = []
    try:
        for _ in range(count):
            found.append(next(sampler))
    except GraphkitError as error:
        assert "cannot be drawn from this graph" in str(error)
    return found


def content(batch: QueryBatch) -> tuple[object, ...]:
    """Everything in a batch, comparable: types and shapes too."""
    rows = [segment.rows for segment in batch.segments]
    drawn = (batch.positives, batch.answer_counts, batch.counted, batch.log_probs, batch.negatives, batch.mask)
    tensors = (*rows, *drawn, batch.log_weights)
    plain = [None if tensor is None else (tensor.dtype, tuple(tensor.shape), tensor.tolist()) for tensor in tensors]
    return (batch.number, [(segment.structure, segment.lanes) for segment in batch.segments], *plain)


def assert_equals_twin(batch: QueryBatch, twin: QueryBatch) -> None:
    """Bit for bit, but for logarithms, which may be added up in another order."""
    assert batch.log_probs.dtype == twin.log_probs.dtype
    np.testing.assert_allclose(batch.log_probs, twin.log_probs, rtol=1e-12, atol=0)
    parts, expected = content(batch), content(twin)
    logs = len(batch.segments) + 5  # after the number, the segments, their rows, positives, counts and counted
    assert parts[:logs] == expected[:logs]
    assert parts[logs + 1 : -1] == expected[logs + 1 : -1]
    weights, same = batch.log_weights, twin.log_weights
    assert (weights is None) == (same is None)
    if weights is not None and same is not None:
        assert (weights.dtype, weights.shape) == (same.dtype, same.shape)
        np.testing.assert_allclose(weights, same, rtol=1e-6, atol=1e-7)


def rows_of(batch: QueryBatch) -> list[tuple[Structure, list[int]]]:
    """Structure and ids of each lane."""
    return [(segment.structure, row) for segment in batch.segments for row in segment.rows.tolist()]


def queries_of(batch: QueryBatch) -> list[tuple[Node, int]]:
    """The tree of ids and the positive of each lane."""
    return [
        (structure.fill(row), positive)
        for (structure, row), positive in zip(rows_of(batch), batch.positives.tolist(), strict=True)
    ]


def candidates(batch: QueryBatch, lane: int) -> list[tuple[int, bool]]:
    """The candidates of one query with their mask."""
    assert batch.negatives is not None
    assert batch.mask is not None
    row = batch.negatives if batch.shared else batch.negatives[lane]
    if batch.shared:
        chunks = len(batch.negatives) // batch.mask.shape[1]
        row = row.view(chunks, -1)[lane * chunks // batch.size]
    return list(zip(row.tolist(), batch.mask[lane].tolist(), strict=True))


def answers_by_definition(tree: Node, raw: RawGraph) -> set[int]:
    """All answers on the training edges."""
    edges: set[Triple] = directed(raw.train)
    return {entity for entity in range(raw.entities) if holds(tree, entity, edges)}


def has_equal_branches(tree: Node) -> bool:
    """Whether an intersection or union has the same branch twice."""
    return any(
        len(set(node.branches)) < len(node.branches)
        for node in post_order(tree)
        if isinstance(node, Intersection | Union)
    )


def turns_back(tree: Node) -> bool:
    """Whether a relation is directly followed by its inverse, also out of an intersection or a union."""

    def last_steps(node: Node) -> list[int]:
        match node:
            case Projection():
                return [node.relation]
            case Intersection() | Union():
                return [relation for branch in node.branches for relation in last_steps(branch)]
            case Negation(operand=Negation(operand=twice)):
                return last_steps(twice)
            case _:
                return []

    return any(
        relation // 2 == node.relation // 2 and relation != node.relation
        for node in post_order(tree)
        if isinstance(node, Projection)
        for relation in last_steps(node.operand)
    )
