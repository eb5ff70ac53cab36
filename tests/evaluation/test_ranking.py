"""Filtered ranks equal a loop over all entities, whatever is held at once."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from every_model import SETTINGS, class_of
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine import EmbeddingTable
from graphkit.evaluation import Candidates, Ranks, filtered_ranks, query_scorer, summarize
from graphkit.models import Model
from graphkit.queries import ONE_HOP, AnswerSets

ENTITIES = 50
at_once = pytest.mark.parametrize("scores_at_once", [1, 7, 64, 128 * 20, 10**6])


def sets(values: list[list[int]]) -> AnswerSets:
    flat = np.array([value for part in values for value in part], dtype=np.int64)
    return AnswerSets(flat, np.concatenate([[0], np.cumsum([len(part) for part in values])]).astype(np.int64))


def scorer_of(scores: Tensor):
    return lambda queries, start, stop: scores[queries, start:stop]


def brute_force(scores: Tensor, ranked: list[list[int]], known: list[list[int]]) -> list[tuple[float, int, int, int]]:
    """The definition: (mean, optimistic, pessimistic, query) of each answer."""
    found = []
    for query, answers in enumerate(ranked):
        row = scores[query].tolist()
        for answer in answers:
            others = [row[entity] for entity in range(len(row)) if entity not in known[query]]
            better, equal = sum(s > row[answer] for s in others), sum(s == row[answer] for s in others)
            found.append((1 + better + equal / 2, 1 + better, 1 + better + equal, query))
    return found


def rows_of(ranks: Ranks) -> list[tuple[float, int, int, int]]:
    columns = (ranks.mean, ranks.optimistic, ranks.pessimistic, ranks.query)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def drawn(seed: int, *, queries: int = 23, values: int = 6) -> tuple[Tensor, list[list[int]], list[list[int]]]:
    """Scores of few values, so that ties are everywhere; lists of ranked and known answers, some of them empty."""
    random = np.random.default_rng(seed)
    scores = torch.from_numpy(random.integers(-values // 2, values - values // 2, (queries, ENTITIES)) / 4).float()
    known = [sorted(random.choice(ENTITIES, random.integers(0, 12), replace=False).tolist()) for _ in range(queries)]
    known[queries // 2] = []
    ranked = [[entity for entity in answers if random.random() < 0.6] for answers in known]
    return scores, ranked, known


@at_once
@pytest.mark.parametrize("seed", range(4))
def test_ranks_equal_a_loop_over_all_entities_with_ties(scores_at_once: int, seed: int) -> None:
    scores, ranked, known = drawn(seed)
    assert [] in ranked
    found = filtered_ranks(scorer_of(scores), ENTITIES, sets(ranked), sets(known), scores_at_once=scores_at_once)
    assert rows_of(found) == brute_force(scores, ranked, known)


@given(
    st.lists(
        st.lists(st.sampled_from([-math.inf, -1.0, -0.0, 0.0, 0.5, math.inf]), min_size=6, max_size=6), max_size=4
    ),
    st.data(),
)
def test_ranks_equal_a_loop_for_any_sets_and_infinite_scores(rows: list[list[float]], data: st.DataObject) -> None:
    known = [sorted(data.draw(st.sets(st.integers(0, 5)))) for _ in rows]
    ranked = [sorted(data.draw(st.sets(st.sampled_from(answers)))) if answers else [] for answers in known]
    scores = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    for scores_at_once in (1, 3, 1000):
        found = filtered_ranks(scorer_of(scores), 6, sets(ranked), sets(known), scores_at_once=scores_at_once)
        assert rows_of(found) == brute_force(scores, ranked, known)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@at_once
def test_ranks_are_exact_in_every_precision(dtype: torch.dtype, scores_at_once: int) -> None:
    """In double precision 0.1 is not what it is in single precision: an answer must not differ from itself."""
    scores, ranked, known = drawn(0)
    scores = (scores.double() * 0.1).to(dtype)
    found = filtered_ranks(scorer_of(scores), ENTITIES, sets(ranked), sets(known), scores_at_once=scores_at_once)
    assert rows_of(found) == brute_force(scores, ranked, known)


@at_once
def test_constant_scores_give_the_mean_rank_of_the_candidates(scores_at_once: int) -> None:
    known = [[3], [0, 7, 9], list(range(ENTITIES))]
    found = filtered_ranks(
        scorer_of(torch.zeros(3, ENTITIES)),
        ENTITIES,
        sets([[3], [7], [5]]),
        sets(known),
        scores_at_once=scores_at_once,
    )
    candidates = [ENTITIES - len(answers) + 1 for answers in known]
    assert found.mean.tolist() == [(count + 1) / 2 for count in candidates]
    assert found.optimistic.tolist() == [1, 1, 1]
    assert found.pessimistic.tolist() == candidates


@pytest.mark.parametrize("seed", range(3))
def test_knowing_one_more_answer_never_worsens_a_rank(seed: int) -> None:
    scores, ranked, known = drawn(seed)
    before = filtered_ranks(scorer_of(scores), ENTITIES, sets(ranked), sets(known))
    more = [sorted({*answers, (7 * query) % ENTITIES}) for query, answers in enumerate(known)]
    after = filtered_ranks(scorer_of(scores), ENTITIES, sets(ranked), sets(more))
    for name in ("mean", "optimistic", "pessimistic"):
        assert (getattr(after, name) <= getattr(before, name)).all()


@pytest.mark.parametrize("seed", range(3))
def test_readings_of_ties_are_ordered_and_the_mean_lies_in_the_middle(seed: int) -> None:
    scores, ranked, known = drawn(seed)
    found = filtered_ranks(scorer_of(scores), ENTITIES, sets(ranked), sets(known))
    assert (found.optimistic >= 1).all()
    assert (found.optimistic <= found.pessimistic).all()
    assert torch.equal(found.mean, (found.optimistic + found.pessimistic).double() / 2)


def test_the_drawn_ranking_is_exact() -> None:
    #                        0    1    2    3    4    5
    scores = torch.tensor([[0.9, 0.5, 0.5, 0.1, 0.5, 0.7]])
    # 1 is ranked and 5 is known: of 0, 2, 3, 4 one is better and two are equal.
    found = filtered_ranks(scorer_of(scores), 6, sets([[1]]), sets([[1, 5]]))
    assert rows_of(found) == [(3.0, 2, 4, 0)]


@pytest.mark.parametrize("scores_at_once", [1, 7, 64, 128, 1000, 10**6])
def test_the_scorer_is_never_asked_for_more_than_may_be_held(scores_at_once: int) -> None:
    scores, ranked, known = drawn(0, queries=140)
    asked = []

    def scorer(queries: Tensor, start: int, stop: int) -> Tensor:
        assert 0 <= start < stop <= ENTITIES
        asked.append(len(queries) * (stop - start))
        return scores[queries, start:stop]

    filtered_ranks(scorer, ENTITIES, sets(ranked), sets(known), scores_at_once=scores_at_once)
    assert max(asked) <= scores_at_once
    # Two passes at most, each over every score once.
    assert sum(asked) in (140 * ENTITIES, 2 * 140 * ENTITIES)


@pytest.mark.parametrize("queries_at_once", [1, 16, 2048])
def test_more_queries_at_once_take_smaller_chunks(queries_at_once: int) -> None:
    scores, ranked, known = drawn(0)
    asked = []

    def scorer(queries: Tensor, start: int, stop: int) -> Tensor:
        asked.append(stop - start)
        return scores[queries, start:stop]

    found = filtered_ranks(
        scorer, ENTITIES, sets(ranked), sets(known), scores_at_once=160, queries_at_once=queries_at_once
    )
    assert rows_of(found) == brute_force(scores, ranked, known)
    assert max(asked) == min(ENTITIES, max(1, 160 // queries_at_once))


def test_scores_that_fit_at_once_are_asked_for_once() -> None:
    scores, ranked, known = drawn(0)
    calls = []

    def scorer(queries: Tensor, start: int, stop: int) -> Tensor:
        calls.append((queries.tolist(), start, stop))
        return scores[queries, start:stop]

    filtered_ranks(scorer, ENTITIES, sets(ranked), sets(known))
    assert calls == [(list(range(23)), 0, ENTITIES)]


@at_once
def test_a_score_that_is_not_a_number_is_refused_by_query(scores_at_once: int) -> None:
    scores, ranked, known = drawn(0)
    scores[17, 31] = math.nan
    with pytest.raises(GraphkitError) as error:
        filtered_ranks(scorer_of(scores), ENTITIES, sets(ranked), sets(known), scores_at_once=scores_at_once)
    expected = "the score of query 17 is not a number; the model has diverged: train again with a lower lr"
    assert str(error.value) == expected


def test_no_query_and_empty_sets_have_no_ranks() -> None:
    scores = torch.zeros(3, ENTITIES)
    for ranked in ([], [[], [], []]):
        found = filtered_ranks(scorer_of(scores), ENTITIES, sets(ranked), sets([[1, 2]] * len(ranked)))
        assert rows_of(found) == []
        assert (found.mean.dtype, found.optimistic.dtype) == (torch.float64, torch.int64)


def test_sets_of_different_lengths_are_refused() -> None:
    with pytest.raises(GraphkitError) as error:
        filtered_ranks(scorer_of(torch.zeros(2, 5)), 5, sets([[1], [2]]), sets([[1]]))
    assert str(error.value) == "2 sets of answers to rank were given, and 1 of known answers"


def test_metrics_of_ranks_are_exact() -> None:
    found = summarize(torch.tensor([1.0, 2.0, 3.5, 10.0, 10.5], dtype=torch.float64))
    assert found == {
        "mrr": pytest.approx((1 + 1 / 2 + 1 / 3.5 + 1 / 10 + 1 / 10.5) / 5),
        "mr": pytest.approx(5.4),
        "hits@1": pytest.approx(0.2),
        "hits@3": pytest.approx(0.4),
        "hits@10": pytest.approx(0.8),
    }


@at_once
@pytest.mark.parametrize("lowest", [-1.0, -math.inf])
def test_queries_of_many_answers_are_ranked_like_those_of_few(scores_at_once: int, lowest: float) -> None:
    random = np.random.default_rng(0)
    scores = torch.from_numpy(random.choice([lowest, -0.0, 0.0, 0.5, 1.0, math.inf], (6, ENTITIES))).float()
    known = [sorted(random.choice(ENTITIES, size, replace=False).tolist()) for size in (31, 32, 33, 40, 49, 50)]
    ranked = [answers[: len(answers) - i] for i, answers in enumerate(known)]
    found = filtered_ranks(scorer_of(scores), ENTITIES, sets(ranked), sets(known), scores_at_once=scores_at_once)
    assert rows_of(found) == brute_force(scores, ranked, known)


def test_an_answer_among_no_competitors_has_rank_one() -> None:
    found = filtered_ranks(scorer_of(torch.zeros(1, 4)), 4, sets([[1, 2]]), sets([[0, 1, 2, 3]]))
    assert rows_of(found) == [(1.0, 1, 1, 0), (1.0, 1, 1, 0)]


def test_the_query_of_an_error_can_be_named() -> None:
    scores = torch.tensor([[0.0, 1.0], [math.nan, 1.0]])
    with pytest.raises(GraphkitError) as error:
        filtered_ranks(scorer_of(scores), 2, sets([[0], [0]]), sets([[0], [0]]), describe=lambda i: f"row {i + 40}")
    expected = "the score of row 41 is not a number; the model has diverged: train again with a lower lr"
    assert str(error.value) == expected


# ----------------------------------------------------------------------------------------------- ties under every model


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("keep", [True, False], ids=["kept", "streamed"])
@pytest.mark.parametrize("queries", [1, 3, 200])
@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_equal_entities_tie_in_whatever_chunks_they_are(name: str, queries: int, keep: bool) -> None:
    """Each row of the table stands there twice, and more rows that are alone make every width ragged."""
    small = {key: value for key, value in {"dim": 200, "hidden": 64}.items() if key in SETTINGS[name]}
    model: Model = class_of(name)(4, **small)
    generator = torch.Generator().manual_seed(0)
    model.initialize(generator)
    fresh = model.initial_rows(500, generator) * 3
    table = EmbeddingTable(torch.cat([fresh, fresh, model.initial_rows(7, generator)]))
    rows = np.random.default_rng(0).integers(0, [500, 8], (queries, 2))
    candidates = Candidates(model, table, **({} if keep else {"kept_bytes": 0}))
    scorer = query_scorer(model, table, ONE_HOP, rows, candidates=candidates)
    answers = sets([[(7 * query) % 500, 500 + (11 * query) % 500] for query in range(queries)])
    found = []
    for chunk in (1007, 300, 301, 131):
        ranks = filtered_ranks(scorer, 1007, answers, answers, scores_at_once=128 * chunk)
        found.append(ranks.pessimistic - ranks.optimistic)
    # The twin of an answer ties with it, unless it is the other answer, which is filtered out.
    twins = [1 if (7 * query) % 500 != (11 * query) % 500 else 0 for query in range(queries) for _ in range(2)]
    assert all(ties.tolist() == twins for ties in found)
