"""What is drawn follows the declared distribution: draws are compared with all walks of small graphs."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable
from functools import cache

import numpy as np
import pytest
from batches import ANSWERS, OWN_STRUCTURES, few_attempts, rows_of, take
from hypothesis import event, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from strategies import RawGraph, Triple, directed, raw_graphs
from walks import Walk, Walks

from graphkit import GraphkitError, KnowledgeGraph
from graphkit.queries import ONE_HOP, STRUCTURES, structures
from graphkit.samplers import QuerySampler, SamplerOptions, SamplingStatistics

GRAPHS: dict[str, tuple[int, list[Triple]]] = {
    # A hub (0), a self-loop (2), parallel edges (0 to 1), an entity with one edge (5) and one with none (6).
    "sparse": (
        7,
        [(0, 0, 1), (0, 1, 1), (0, 0, 2), (2, 1, 2), (3, 0, 0), (3, 1, 4), (4, 0, 0), (1, 0, 4), (5, 1, 0)],
    ),
    # One relation leads from 0 to everything.
    "dense": (3, [(0, 0, 0), (0, 0, 1), (0, 0, 2), (1, 1, 2), (2, 1, 0)]),
}
BATCH, BATCHES = 2000, 10
DRAWS = BATCH * BATCHES
#: No test may reject what is right: the seeds are fixed, and chance would do so once in ten thousand.
P = 1e-4


@cache
def walks_of(name: str, spelling: str, answers: str) -> tuple[Walk, ...]:
    return tuple(Walks(*GRAPHS[name], answers).of(structures(spelling)[0]))


class Sample:
    """Some ten thousand draws of a structure."""

    def __init__(self, name: str, spelling: str, answers: str, backtracking: bool) -> None:
        graph = KnowledgeGraph.from_triples(GRAPHS[name][1], num_entities=GRAPHS[name][0])
        options = SamplerOptions(
            structures=spelling,
            batch_size=BATCH,
            mode="none",
            negatives=0,
            answers=answers,
            backtracking=backtracking,
            seed=6,
        )
        sampler = QuerySampler(graph, options, threads=2)
        batches = take(sampler, BATCHES)
        queries = [
            (tuple(row), positive)
            for batch in batches
            for (_, row), positive in zip(rows_of(batch), batch.positives.tolist(), strict=True)
        ]
        log_probs = [value for batch in batches for value in batch.log_probs.tolist()]
        self.draws = list(zip(queries, log_probs, strict=True))
        self.statistics = sampler.statistics[options.parsed[0].name]


def agrees(observed: Counter[Hashable], expected: dict[Hashable, float]) -> bool:
    """Whether counts are likely under probabilities; neighbouring cells are merged until 5 draws are expected."""
    total = sum(observed.values())
    if not set(observed) <= set(expected) or not math.isclose(sum(expected.values()), 1, rel_tol=1e-9):
        return False
    counts, means = [0.0], [0.0]
    for cell in sorted(expected):  # type: ignore[type-var]
        counts[-1] += observed[cell]
        means[-1] += expected[cell] * total
        if means[-1] >= 5:
            counts.append(0.0)
            means.append(0.0)
    if len(means) > 1:  # what is left joins the cell before
        counts[-2:], means[-2:] = [sum(counts[-2:])], [sum(means[-2:])]
    return len(means) == 1 or bool(chisquare(counts, means).pvalue > P)


SETTINGS = [
    *(("sparse", named, answers, backs) for named in STRUCTURES for answers in ANSWERS for backs in (True, False)),
    *(("dense", named, answers, True) for named in ("3p", "pi", "2u", "up", "inp") for answers in ANSWERS),
    # Unions of three, with two relations after one of them, have more walks than it is worth while to enumerate.
    *(("dense", own, "degree", False) for name, own in OWN_STRUCTURES.items() if name != "union of three, followed"),
]


@pytest.mark.parametrize(("name", "spelling", "answers", "backtracking"), SETTINGS)
def test_draws_follow_the_enumerated_walks(name: str, spelling: str, answers: str, backtracking: bool) -> None:
    if structures(spelling)[0] == ONE_HOP:
        edges = directed(GRAPHS[name][1])
        accepted = [Walk((h, r), t, 1 / len(edges), "drawn", False) for h, r, t in edges]
        outcomes: dict[Hashable, float] = {"drawn": 1.0}
    else:
        walks = walks_of(name, spelling, answers)
        outcomes = outcome_masses(walks, backtracking)
        accepted = [walk for walk in walks if walk.outcome == "drawn" and (backtracking or not walk.turns_back)]
    sample = Sample(name, spelling, answers, backtracking)

    # What became of the attempts, and how many gave a query.
    counted = sample.statistics
    met = Counter({name: getattr(counted, name) for name in SamplingStatistics.__dataclass_fields__})
    assert counted.drawn == DRAWS
    rate = min(outcomes["drawn"], 1.0)
    assert abs(counted.accept_rate - rate) <= 5 * math.sqrt(rate * (1 - rate) / counted.attempts)
    assert agrees(+met, outcomes)

    # log_probs: each draw has the probability of one of the walks to its query and positive.
    probabilities = defaultdict(set)
    for walk in accepted:
        probabilities[walk.row, walk.positive].add(walk.probability)
    cells = Counter((query, nearest(probabilities[query], math.exp(log))) for query, log in sample.draws)

    # The draws, walks of equal probability to the same query together; then their columns, which have more power.
    expected: dict[Hashable, float] = defaultdict(float)
    for walk in accepted:
        same = nearest(probabilities[walk.row, walk.positive], walk.probability)
        expected[(walk.row, walk.positive), same] += walk.probability / rate
    assert agrees(cells, expected)
    for column in range(len(accepted[0].row) + 1):
        ids = Counter((*row, positive)[column] for (row, positive), _ in sample.draws)
        masses: dict[Hashable, float] = defaultdict(float)
        for walk in accepted:
            masses[(*walk.row, walk.positive)[column]] += walk.probability / rate
        assert agrees(ids, masses)

    # Weighting by 1 / P makes all accepted walks count alike: the mean is their number over the accept rate.
    weights = np.exp([-log for _, log in sample.draws])
    mean = len(accepted) / rate
    variance = sum(1 / (walk.probability * rate) for walk in accepted) - mean**2
    assert abs(weights.mean() - mean) <= 5 * math.sqrt(max(variance, 0) / DRAWS) + 1e-9 * mean


def outcome_masses(walks: tuple[Walk, ...], backtracking: bool) -> dict[Hashable, float]:
    """The share of attempts that meets each end."""
    masses: dict[Hashable, float] = defaultdict(float)
    for walk in walks:
        turned = walk.turns_back and not backtracking and walk.outcome != "repeated"
        masses["backtracked" if turned else walk.outcome] += walk.probability
    masses["dead_ends"] = 1 - sum(masses.values())
    return {name: mass for name, mass in masses.items() if mass > 1e-12}


def nearest(probabilities: set[float], value: float) -> float:
    """The smallest of the probabilities that equals `value` but for rounding."""
    return min(p for p in probabilities if math.isclose(p, value, rel_tol=1e-11))


def test_the_graphs_have_walks_of_every_outcome() -> None:
    met = {
        outcome
        for name, spelling, answers, backtracking in SETTINGS
        if spelling != "1p"
        for outcome, mass in outcome_masses(walks_of(name, spelling, answers), backtracking).items()
        if mass * DRAWS > 20
    }
    assert met == set(SamplingStatistics.__dataclass_fields__) - {"out_of_bounds"}  # which no setting here asks for


@settings(max_examples=60)
@given(raw_graphs(max_triples=8), st.sampled_from([*STRUCTURES][1:]), st.sampled_from(ANSWERS), st.booleans())
def test_a_structure_is_drawn_if_and_only_if_a_walk_is_accepted(
    raw: RawGraph, name: str, answers: str, backtracking: bool
) -> None:
    walks = tuple(Walks(raw.entities, raw.train, answers).of(STRUCTURES[name]))
    rate = outcome_masses(walks, backtracking).get("drawn", 0.0)
    event(f"accepted: {rate > 0}")
    options = SamplerOptions(
        structures=name, batch_size=1, mode="none", negatives=0, answers=answers, backtracking=backtracking
    )
    with few_attempts(200 if rate == 0 else math.ceil(50 / rate)):
        sampler = QuerySampler(raw.build(), options, ahead=1)
        if rate == 0:
            with pytest.raises(GraphkitError, match="cannot be drawn from this graph: 0 of 200 attempts gave one"):
                next(sampler)
        else:
            assert next(sampler).size == 1
