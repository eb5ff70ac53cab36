"""Negatives that are not drawn uniformly: their distribution and weights are the declared ones, on any path."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
import torch
from batches import (
    CORRUPTIONS,
    OWN_STRUCTURES,
    SPELLINGS,
    assert_equals_twin,
    content,
    few_attempts,
    rows_of,
    take,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from strategies import RawGraph, Triple, directed, holds, random_graph, raw_graphs

from graphkit import KnowledgeGraph
from graphkit.queries import STRUCTURES, Structure
from graphkit.samplers import QueryBatch, QuerySampler, SamplerOptions, reference

#: Columns of the relations that lead to the answer.
LEADING = {
    **{"1p": [1], "2p": [2], "3p": [3], "2i": [1, 3], "3i": [1, 3, 5], "pi": [2, 4], "ip": [4], "2u": [1, 3]},
    **{"up": [4], "2in": [1], "3in": [1, 3], "inp": [4], "pin": [2], "pni": [4]},
    OWN_STRUCTURES["4p"]: [4],
    OWN_STRUCTURES["union under an intersection"]: [1, 3, 5],
    OWN_STRUCTURES["negation of a union"]: [1],
    OWN_STRUCTURES["union with a negation under an intersection"]: [1, 5],
    OWN_STRUCTURES["negation of an intersection of negations"]: [1, 3],
    OWN_STRUCTURES["double negation"]: [1, 3],
    OWN_STRUCTURES["double negation under a projection"]: [2],
    OWN_STRUCTURES["union with an anchor"]: [2],
    OWN_STRUCTURES["union of three, followed"]: [7],
}
#: A hub (0), a self-loop (2), parallel edges (0 to 1), a relation that leads to 7 alone, an entity without edges (8).
SPARSE: tuple[int, list[Triple]] = (
    9,
    [(0, 0, 1), (0, 1, 1), (0, 0, 2), (2, 1, 2), (3, 0, 0), (3, 1, 4), (4, 0, 0), (1, 0, 4), (5, 1, 0), (6, 2, 7)],
)
#: No test may reject what is right: the seeds are fixed, and chance would do so once in ten thousand.
P = 1e-4


def sparse() -> KnowledgeGraph:
    return KnowledgeGraph.from_triples(SPARSE[1], num_entities=SPARSE[0])


def law(corruption: str, relations: Sequence[int], entities: int, edges: set[Triple]) -> list[Fraction]:
    """The probability of each entity, before verification."""
    if corruption == "degree":
        degrees = Counter(head for head, _, _ in edges)
        return [Fraction(degrees[x], len(edges)) for x in range(entities)]
    ranges = [{tail for _, r, tail in edges if r == relation} for relation in relations]
    return [
        sum((Fraction(x in reached, len(reached) * len(ranges)) for reached in ranges), Fraction(0))
        for x in range(entities)
    ]


def relations_of(structure: Structure, row: Sequence[int]) -> list[int]:
    return [row[column] for column in LEADING[structure.name]]


def expected_log_weights(drawn: Sequence[int], law: Sequence[Fraction]) -> list[float]:
    return [math.log(Fraction(1, len(law)) / law[x]) for x in drawn]


def has_own_law(batch: QueryBatch, lane: int, law: Sequence[Fraction]) -> bool:
    """Whether the weights of a query are those of its law; where they are not, all are those of a uniform draw."""
    assert batch.negatives is not None and batch.log_weights is not None
    drawn, weights = batch.negatives[lane].tolist(), batch.log_weights[lane].tolist()
    if all(law[x] > 0 for x in drawn) and np.allclose(weights, expected_log_weights(drawn, law), rtol=1e-6, atol=1e-7):
        return True
    assert weights == [0.0] * len(weights)
    return False


# ------------------------------------------------------------------------------------------------------------ the twin


@pytest.mark.parametrize("limit", [0, 2, None])
@pytest.mark.parametrize(("mode", "corruption"), [("own", "degree"), ("own", "typed"), ("shared", "degree")])
@pytest.mark.parametrize("spelling", SPELLINGS, ids=[*STRUCTURES, *OWN_STRUCTURES])
def test_corrupted_batches_of_each_structure_equal_the_twin(
    spelling: str, mode: str, corruption: str, limit: int | None
) -> None:
    graph = random_graph(8, 2, 13, seed=3)
    options = SamplerOptions(
        structures=spelling,
        batch_size=9,
        mode=mode,
        negatives=6,
        corruption=corruption,
        expansion_limit=limit,
        seed=4,
    )
    with few_attempts():
        batch = next(QuerySampler(graph, options))
    assert_equals_twin(batch, reference.sample(graph, options, 0))
    assert batch.log_weights is not None
    assert batch.log_weights.dtype == torch.float32
    assert batch.log_weights.shape == batch.negatives.shape


@pytest.mark.parametrize("corruption", ["degree", "typed"])
def test_wide_relations_are_corrupted_like_narrow_ones(corruption: str) -> None:
    graph = KnowledgeGraph.from_triples(np.array([[0, 40_000, 1], [1, 0, 2], [2, 40_000, 2], [0, 7, 1], [3, 7, 0]]))
    options = SamplerOptions(structures="1p 2i", batch_size=20, negatives=4, corruption=corruption)
    assert_equals_twin(next(QuerySampler(graph, options)), reference.sample(graph, options, 0))


@pytest.mark.parametrize("mode", list(CORRUPTIONS))
def test_uniform_draws_have_no_weights(mode: str) -> None:
    batch = next(QuerySampler(sparse(), SamplerOptions(mode=mode, negatives=0 if mode == "none" else 2)))
    assert batch.log_weights is None


# --------------------------------------------------------------------------------------------- weights and distribution


@given(raw_graphs(), st.sampled_from(["degree", "typed"]), st.sampled_from([0, 3, None]), st.integers(0, 9))
def test_negatives_are_no_answers_and_have_the_weight_of_their_draw(
    raw: RawGraph, corruption: str, limit: int | None, seed: int
) -> None:
    options = SamplerOptions(
        structures="1p",
        batch_size=20,
        negatives=min(5, raw.entities),
        corruption=corruption,
        expansion_limit=limit,
        seed=seed,
    )
    edges = directed(raw.train)
    batch = next(QuerySampler(raw.build(), options))
    assert batch.negatives is not None and batch.mask is not None
    for lane, (structure, row) in enumerate(rows_of(batch)):
        probabilities = law(corruption, relations_of(structure, row), raw.entities, edges)
        answers = {x for x in range(raw.entities) if holds(structure.fill(row), x, edges)}
        others = sum(p for x, p in enumerate(probabilities) if x not in answers)
        if not has_own_law(batch, lane, probabilities):
            assert others < 1  # a draw was an answer 65 times
        elif batch.mask[lane].any():
            assert not answers.intersection(batch.negatives[lane].tolist())


@pytest.mark.parametrize("limit", [0, 1024])
@pytest.mark.parametrize("spelling", ["1p", "2p", "2i", "pi", "2u", "2in", "pni", OWN_STRUCTURES["double negation"]])
@pytest.mark.parametrize("corruption", ["degree", "typed"])
def test_own_negatives_follow_the_law_among_what_is_no_answer(corruption: str, spelling: str, limit: int) -> None:
    entities, edges = SPARSE[0], directed(SPARSE[1])
    options = SamplerOptions(
        structures=spelling, batch_size=2000, negatives=9, corruption=corruption, expansion_limit=limit, seed=3
    )
    drawn: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    fallen_back: Counter[tuple[int, ...]] = Counter()
    laws: dict[tuple[int, ...], list[Fraction]] = {}
    structure = options.parsed[0]
    for batch in take(QuerySampler(sparse(), options), 6):
        for lane, (_, row) in enumerate(rows_of(batch)):
            query = tuple(row)
            if query not in laws:
                laws[query] = law(corruption, relations_of(structure, row), entities, edges)
            fallen_back[query] += not has_own_law(batch, lane, laws[query])
            drawn[query].update(batch.negatives[lane].tolist())
    tested = 0
    for query, counts in drawn.items():
        answers = {x for x in range(entities) if holds(structure.fill(query), x, edges)}
        assert not answers & set(counts)
        others = [p if x not in answers else Fraction(0) for x, p in enumerate(laws[query])]
        if sum(others) == 0:  # all that could be drawn are answers
            assert corruption == "typed"
            others = [Fraction(x not in answers) for x in range(entities)]
            assert fallen_back[query] == counts.total() // 9 or [x / sum(others) for x in others] == laws[query]
        elif sum(others) < Fraction(1, 4):
            continue  # some of its draws fell back, and others did not
        else:
            assert fallen_back[query] == 0
        assert set(counts) <= {x for x, p in enumerate(others) if p > 0}
        if counts.total() >= 150:
            cells = [x for x, p in enumerate(others) if p > 0]
            expected = [float(others[x] / sum(others)) * counts.total() for x in cells]
            tested += 1
            if len(cells) > 1:
                assert chisquare([counts[x] for x in cells], expected).pvalue > P / len(drawn), query
    assert tested >= 5


def test_shared_candidates_by_degree_are_the_ends_of_all_edges_once_an_epoch_and_have_their_weights() -> None:
    options = SamplerOptions(batch_size=4, mode="shared", negatives=9, corruption="degree", seed=2)
    edges = directed(SPARSE[1])
    probabilities = law("degree", [], SPARSE[0], edges)
    drawn = []
    for batch in take(QuerySampler(sparse(), options), len(edges)):  # nine epochs
        assert batch.negatives is not None and batch.log_weights is not None
        drawn += batch.negatives.tolist()
        expected = expected_log_weights(batch.negatives.tolist(), probabilities)
        np.testing.assert_allclose(batch.log_weights, expected, rtol=1e-6, atol=1e-7)
    assert (np.sort(np.reshape(drawn, (9, -1)), axis=1) == sorted(x for _, _, x in edges)).all()


@pytest.mark.parametrize("corruption", ["degree", "typed"])
def test_weighted_negatives_count_every_entity_that_can_be_drawn_alike(corruption: str) -> None:
    options = SamplerOptions(structures="2u", batch_size=2000, negatives=9, corruption=corruption, seed=8)
    graph, edges = sparse(), directed(SPARSE[1])
    sums: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for batch in take(QuerySampler(graph, options), 40):
        assert batch.log_weights is not None and batch.negatives is not None
        for (_, row), drawn, weights in zip(
            rows_of(batch), batch.negatives.tolist(), batch.log_weights.exp().tolist(), strict=True
        ):
            for x, weight in zip(drawn, weights, strict=True):
                sums[tuple(row)][x] += weight
    unequal = 0
    for query, weighed in sums.items():
        probabilities = law(corruption, relations_of(STRUCTURES["2u"], query), SPARSE[0], edges)
        answers = {x for x in range(SPARSE[0]) if holds(STRUCTURES["2u"].fill(query), x, edges)}
        others = {x for x, p in enumerate(probabilities) if p > 0} - answers
        if weighed.total() < 2000 or not others:
            continue
        assert set(weighed) == others
        unequal += len({probabilities[x] for x in others}) > 1
        for x in others:
            draws = weighed[x] * float(probabilities[x]) * SPARSE[0]
            assert weighed[x] / weighed.total() == pytest.approx(1 / len(others), rel=6 / math.sqrt(draws))
    assert unequal > 3


# ------------------------------------------------------------------------------------------- where nothing can be drawn


@pytest.mark.parametrize("limit", [0, None])
def test_where_all_that_a_relation_leads_to_are_answers_negatives_are_uniform(limit: int | None) -> None:
    # (6, 2, ?) is answered by 7, which is all that relation 2 leads to.
    graph = KnowledgeGraph.from_triples([(6, 0, 7), (5, 0, 7)], num_entities=9)
    options = SamplerOptions(structures="1p 2p", batch_size=400, negatives=9, corruption="typed", expansion_limit=limit)
    batch = next(QuerySampler(graph, options))
    assert batch.negatives is not None and batch.log_weights is not None
    assert_equals_twin(batch, reference.sample(graph, options, 0))
    alone = [lane for lane, (structure, row) in enumerate(rows_of(batch)) if structure.name == "1p" and row[1] == 0]
    assert len(alone) == 100
    assert (batch.log_weights[alone] == 0).all()
    counts = np.bincount(batch.negatives[alone].flatten(), minlength=9)
    assert counts[7] == 0
    assert chisquare(np.delete(counts, 7)).pvalue > P
    # (7, 2^-1, ?) is answered by 5 and 6 alone, and (6, 2, 2^-1, ?) by both of them.
    assert (batch.log_weights == 0).all()


def test_a_query_whose_answers_no_relation_leads_to_has_uniform_negatives() -> None:
    named = "('e', ('e', ('r', 'n')))"
    options = SamplerOptions(structures=named, batch_size=300, negatives=9, corruption="typed", seed=1)
    batch = next(QuerySampler(sparse(), options))
    assert_equals_twin(batch, reference.sample(sparse(), options, 0))
    assert batch.log_weights is not None
    assert (batch.log_weights == 0).all()
    assert len(batch.negatives.unique()) == 9


@pytest.mark.parametrize("corruption", ["degree", "typed"])
def test_where_everything_is_an_answer_nothing_is_a_negative(corruption: str) -> None:
    graph = KnowledgeGraph.from_triples([(0, 0, 0), (0, 0, 1)])
    options = SamplerOptions(batch_size=8, negatives=2, corruption=corruption)
    batch = next(QuerySampler(graph, options))
    full = [row == [0, 0] for _, row in rows_of(batch)]
    assert sum(full) == 4
    assert batch.mask.tolist() == [[not every] * 2 for every in full]
    assert_equals_twin(batch, reference.sample(graph, options, 0))


# --------------------------------------------------------------------------------------------------- threads, position


@pytest.mark.parametrize(("mode", "corruption"), [("own", "degree"), ("own", "typed"), ("shared", "degree")])
def test_threads_and_a_resume_leave_no_trace(mode: str, corruption: str) -> None:
    graph = random_graph(60, 4, 300)
    options = SamplerOptions(
        structures=" ".join(STRUCTURES),
        batch_size=100,
        mode=mode,
        negatives=16,
        corruption=corruption,
        expansion_limit=20,
    )
    expected = [content(batch) for batch in take(QuerySampler(graph, options), 8)]
    for threads in (2, 4):
        assert [content(batch) for batch in take(QuerySampler(graph, options, threads=threads), 8)] == expected
    resumed = QuerySampler(graph, options, threads=2)
    resumed.load_state_dict({"position": 5})
    assert [content(batch) for batch in take(resumed, 3)] == expected[5:]


def test_shortcuts_of_look_ups_leave_weights_as_they_are() -> None:
    options = SamplerOptions(structures="1p 3i 2u", batch_size=90, negatives=30, corruption="typed")
    graph, quick = random_graph(200, 5, 900), random_graph(200, 5, 900)
    quick.index.native.add_shortcuts()
    assert content(next(QuerySampler(quick, options))) == content(next(QuerySampler(graph, options)))
