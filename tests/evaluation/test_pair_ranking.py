"""Ranks by distances that are counted as they arise equal those of the same scores held, and those of a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_graph
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine import EmbeddingTable
from graphkit.engine.kernels import Kind, PairDistance
from graphkit.evaluation import PairScorer, Precision, evaluate_links, evaluate_queries, filtered_ranks, query_scorer
from graphkit.evaluation.ranking import Ranks
from graphkit.models import GQE, BetaE, ComplEx, Model, Query2box, RotatE, TransE
from graphkit.queries import ONE_HOP, AnswerSets, EasyAndHard, QueryTable, structure

ENTITIES, RELATIONS, WIDTH = 70, 3, 6
GRAPH = random_graph(ENTITIES, RELATIONS, 300, seed=5, held_out=60)
DISTANCES: tuple[Kind, ...] = ("l1", "l2", "rotate", "box")


def sets(values: list[list[int]]) -> AnswerSets:
    flat = np.array([value for part in values for value in part], dtype=np.int64)
    return AnswerSets(flat, np.concatenate([[0], np.cumsum([len(part) for part in values])]).astype(np.int64))


class Held(PairScorer):
    """Vectors and rows in tensors, and what was asked of them."""

    def __init__(self, distance: PairDistance, vectors: Tensor, table: Tensor) -> None:
        self.distance, self.table, self.all_vectors = distance, table, vectors
        self.asked: list[tuple[int, int]] = []
        self.queries = 0

    def vectors(self, queries: Tensor) -> Tensor:
        self.queries = len(queries)
        return self.all_vectors[queries]

    def rows(self, start: int, stop: int) -> Tensor:
        self.asked.append((self.queries, stop - start))
        return self.table[start:stop]

    def gather(self, entities: Tensor) -> Tensor:
        return self.table[entities]

    def __call__(self, queries: Tensor, start: int, stop: int) -> Tensor:
        raise AssertionError("scores are held")


def drawn(kind: Kind, *, queries: int = 30, seed: int = 0) -> tuple[Held, AnswerSets, AnswerSets]:
    """Few values, so that ties are everywhere; sets of no answer, of few and of almost all."""
    random = np.random.default_rng(seed)
    vectors = torch.from_numpy(random.integers(-2, 3, (queries, WIDTH * (2 if kind == "box" else 1)))).float() / 4
    table = torch.from_numpy(random.integers(-2, 3, (ENTITIES, WIDTH))).float() / 4
    sizes = random.choice([0, 1, 3, 60], queries)
    known = [sorted(random.choice(ENTITIES, size, replace=False).tolist()) for size in sizes]
    ranked = [[entity for entity in answers if random.random() < 0.6] for answers in known]
    # An answer that is not known must not compete with itself.
    ranked[-1] = [5]
    known[-1] = [7]
    return Held(PairDistance(kind, 9.3, inside=0.02), vectors, table), sets(ranked), sets(known)


def by_loop(scores: Tensor, ranked: AnswerSets, known: AnswerSets) -> list[tuple[float, int, int, int]]:
    found = []
    for query in range(len(ranked)):
        row = scores[query].tolist()
        for answer in ranked[query].tolist():
            others = [row[e] for e in range(len(row)) if e != answer and e not in known[query]]
            better, equal = sum(s > row[answer] for s in others), sum(s == row[answer] for s in others)
            found.append((1 + better + equal / 2, 1 + better, 1 + better + equal, query))
    return found


def rows_of(ranks: Ranks) -> list[tuple[float, int, int, int]]:
    columns = (ranks.mean, ranks.optimistic, ranks.pessimistic, ranks.query)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize("scores_at_once", [1, 7, 64, 1000, 10**6])
@pytest.mark.parametrize("kind", DISTANCES)
def test_ranks_equal_a_loop_and_nothing_larger_is_asked_for(kind: Kind, scores_at_once: int) -> None:
    scorer, ranked, known = drawn(kind)
    found = filtered_ranks(scorer, ENTITIES, ranked, known, scores_at_once=scores_at_once)
    assert rows_of(found) == by_loop(scorer.distance.scores(scorer.all_vectors, scorer.table), ranked, known)
    assert max(queries * entities for queries, entities in scorer.asked) <= scores_at_once
    # Every pair once: there is no pass for the answers' own scores.
    assert sum(queries * entities for queries, entities in scorer.asked) == 30 * ENTITIES


@given(st.integers(0, 2**16), st.integers(1, 80), st.sampled_from(DISTANCES))
def test_ranks_equal_a_loop_for_any_sets(seed: int, queries: int, kind: Kind) -> None:
    scorer, ranked, known = drawn(kind, queries=queries, seed=seed)
    found = filtered_ranks(scorer, ENTITIES, ranked, known, scores_at_once=500)
    assert rows_of(found) == by_loop(scorer.distance.scores(scorer.all_vectors, scorer.table), ranked, known)


def test_entities_at_infinity_tie_with_each_other_below_all_others() -> None:
    scorer, ranked, known = drawn("l1")
    scorer.table[::3] = math.inf
    found = filtered_ranks(scorer, ENTITIES, ranked, known)
    scores = scorer.distance.scores(scorer.all_vectors, scorer.table)
    assert scores.isneginf().any()
    assert rows_of(found) == by_loop(scores, ranked, known)


@pytest.mark.parametrize("kind", DISTANCES)
def test_a_query_whose_vector_is_not_a_number_is_named(kind: Kind) -> None:
    scorer, ranked, known = drawn(kind)
    scorer.all_vectors[17, -1] = math.nan
    with pytest.raises(GraphkitError) as error:
        filtered_ranks(scorer, ENTITIES, ranked, known, scores_at_once=64, describe=lambda i: f"row {i + 40}")
    expected = "the score of row 57 is not a number; the model has diverged: train again with a lower lr"
    assert str(error.value) == expected


# --------------------------------------------------------------------------------------------------------- under models


def trained(make: type[Model], **settings: float) -> tuple[Model, EmbeddingTable]:
    generator = torch.Generator().manual_seed(0)
    model = make(RELATIONS, dim=40, **settings)  # type: ignore[call-arg]
    model.initialize(generator)
    fresh = model.initial_rows(ENTITIES // 2, generator)
    # Each row stands there twice: twins tie.
    return model, EmbeddingTable(torch.cat([fresh, fresh]))


@pytest.mark.parametrize("margin", [0.1, 9.0, 1e5])
@pytest.mark.parametrize(
    ("make", "settings"),
    [(TransE, {"norm": 1}), (TransE, {"norm": 2}), (GQE, {"norm": 1}), (RotatE, {}), (Query2box, {})],
)
def test_ranks_are_those_of_the_scores_that_the_model_returns(
    make: type[Model], settings: dict[str, float], margin: float
) -> None:
    """At a margin of 1e5 most distances are rounded to the same score, and tie."""
    model, table = trained(make, margin=9.0, **settings)
    model.margin = margin
    rows = np.random.default_rng(0).integers(0, [ENTITIES, 2 * RELATIONS], (50, 2))
    scorer = query_scorer(model, table, ONE_HOP, rows)
    assert isinstance(scorer, PairScorer)
    answers = sets([[q % ENTITIES] for q in range(50)])
    with torch.no_grad():
        vectors = model.project(model.start(table.weight[rows[:, 0]]), torch.from_numpy(rows[:, 1]))
        scores = model.score(vectors, table.weight)
    assert rows_of(filtered_ranks(scorer, ENTITIES, answers, answers)) == by_loop(scores, answers, answers)
    assert torch.equal(scorer(torch.arange(50), 3, 60), scores[:, 3:60])


def test_unions_and_products_are_scored_before_they_are_counted() -> None:
    rows = np.zeros((1, 4), dtype=np.int64)
    assert not isinstance(query_scorer(*trained(TransE), structure("2u"), rows), PairScorer)
    assert not isinstance(query_scorer(*trained(GQE, norm=2), ONE_HOP, rows[:, :2]), PairScorer)
    assert not isinstance(query_scorer(*trained(ComplEx), ONE_HOP, rows[:, :2]), PairScorer)


def test_tables_of_double_precision_are_ranked_too() -> None:
    model, table = trained(TransE)
    single = evaluate_links(GRAPH, model, table)
    double = evaluate_links(GRAPH, model.double(), EmbeddingTable(table.weight.double()))
    assert double.mean["mrr"] == pytest.approx(single.mean["mrr"], abs=1e-3)


# ------------------------------------------------------------------------------------------------------------ precision


def test_bf16_ranks_the_scores_of_rounded_factors_and_is_named() -> None:
    model, table = trained(ComplEx, init_scale=1.0)
    rows = np.random.default_rng(0).integers(0, [ENTITIES, 2 * RELATIONS], (50, 2))
    answers = sets([[q % ENTITIES] for q in range(50)])
    scorer = query_scorer(model, table, ONE_HOP, rows, precision="bf16")
    with torch.no_grad():
        vectors = model.project(table.weight[rows[:, 0]], torch.from_numpy(rows[:, 1]))
    exact = vectors.bfloat16().double() @ table.weight.bfloat16().double().T
    scores = scorer(torch.arange(50), 0, ENTITIES)
    assert scores.dtype == torch.bfloat16
    # Half a unit in the last place of eight bits, and float32's error of the sum.
    torch.testing.assert_close(scores.double(), exact, rtol=2**-8, atol=1e-4)
    found = filtered_ranks(scorer, ENTITIES, answers, answers)
    assert rows_of(found) == by_loop(scores.float(), answers, answers)
    measured = evaluate_links(GRAPH, model, table, precision="bf16")
    assert measured.protocol["precision"] == "bf16"
    assert measured.mean["mrr"] == pytest.approx(evaluate_links(GRAPH, model, table).mean["mrr"], rel=0.1)
    asked = QueryTable(ONE_HOP, rows, EasyAndHard(sets([[]] * 50), answers))
    assert evaluate_queries(model, table, {"1p": asked}, precision="bf16").protocol["precision"] == "bf16"


@pytest.mark.parametrize(("make", "settings"), [(TransE, {}), (GQE, {"norm": 1}), (GQE, {"norm": 2}), (BetaE, {})])
def test_scores_that_are_no_plain_product_have_no_bf16(make: type[Model], settings: dict[str, float]) -> None:
    with pytest.raises(GraphkitError) as error:
        evaluate_links(GRAPH, *trained(make, **settings), precision="bf16")
    assert str(error.value) == (
        f"the scores of {make.__name__} are no plain matrix product, which alone is computed in bf16; leave precision "
        "at fp32"
    )


def test_an_unknown_precision_is_refused() -> None:
    precision: Precision = "fp16"  # type: ignore[assignment]
    with pytest.raises(GraphkitError) as error:
        evaluate_links(GRAPH, *trained(ComplEx), precision=precision)
    assert str(error.value) == "the precision is 'fp16', and fp32 or bf16 is needed"
