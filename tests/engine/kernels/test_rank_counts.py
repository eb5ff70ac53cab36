"""Counts above and level with answers equal the twin's, on every path, for any shape and any number of threads."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels import Answers, Kind, PairDistance, count_pairs, count_scores
from graphkit.engine.kernels.rank_counts import pair_counts, reference_counts, score_counts

DISTANCES: tuple[Kind, ...] = ("l1", "l2", "rotate", "box")


def answers_to(scores: Tensor, most: int, *, first: int, seed: int) -> Answers:
    """Up to `most` answers a query, with scores of candidates; known entities in, before and behind the range."""
    generator = torch.Generator().manual_seed(seed)
    own, sizes, known, known_sizes = [], [], [], []
    for row in scores:
        size = int(torch.randint(0, most + 1, (), generator=generator))
        own.append(row[torch.randint(0, len(row), (size,), generator=generator)].sort().values)
        sizes.append(size)
        some = torch.rand(first + len(row) + 5, generator=generator) < 0.3 * torch.rand((), generator=generator)
        known.append(some.nonzero().squeeze(1))
        known_sizes.append(len(known[-1]))
    offsets, known_offsets = (torch.tensor([0, *part]).cumsum(0) for part in (sizes, known_sizes))
    return Answers(torch.cat(own), offsets, torch.cat(known), known_offsets)


def expected(scores: Tensor, answers: Answers, first: int) -> tuple[Tensor, Tensor]:
    return reference_counts(scores, answers.scores, answers.offsets, answers.known, answers.known_offsets, first)


def assert_equal(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def quarters(*shape: int, seed: int) -> Tensor:
    """Few values, so that ties are everywhere."""
    return torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(seed)) / 4


def test_the_twin_counts_a_drawn_case() -> None:
    scores = torch.tensor([[0.5, 2.0, 1.0, 1.0, math.nan], [3.0, 0.0, 0.0, -math.inf, -0.0]])
    # Entities 10 to 14; query 0 knows entity 12, query 1 entity 10.
    answers = Answers(
        torch.tensor([1.0, -math.inf, 0.0]),
        torch.tensor([0, 1, 3]),
        torch.tensor([2, 12, 10, 99]),
        torch.tensor([0, 2, 4]),
    )
    counts, wrong = expected(scores, answers, 10)
    assert counts.tolist() == [[1, 3, 0], [1, 1, 3]]
    assert wrong.tolist() == [True, False]
    assert_equal(count_scores(scores, answers, first=10), (counts, wrong))


@pytest.mark.usefixtures("path")
@given(st.integers(0, 20), st.integers(1, 70), st.sampled_from([0, 1, 5, 64, 65, 200]), st.integers(0, 9), st.data())
def test_counts_of_scores_equal_the_twin(queries: int, width: int, most: int, first: int, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**16))
    special = torch.tensor([-math.inf, -0.0, 0.0, 0.25, 1.0, math.inf])
    chosen = torch.randint(0, 6, (queries + 1, width), generator=torch.Generator().manual_seed(seed))
    scores = special[chosen]
    answers = answers_to(scores, most, first=first, seed=seed)
    assert_equal(count_scores(scores, answers, first=first), expected(scores, answers, first))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("kind", DISTANCES)
@pytest.mark.parametrize("most", [3, 100])
@pytest.mark.parametrize(("queries", "rows", "width"), [(1, 1, 2), (3, 40, 6), (17, 300, 34), (70, 9, 32)])
def test_counts_of_pairs_equal_those_of_their_scores(
    kind: Kind, most: int, queries: int, rows: int, width: int
) -> None:
    vectors, table = quarters(queries, width * (2 if kind == "box" else 1), seed=0), quarters(rows, width, seed=1)
    # At 1e5 the constant takes most digits of the distance: what is compared is the score, as it is rounded.
    for offset in (9.3, 1e5):
        distance = PairDistance(kind, offset, inside=0.02)
        scores = distance.scores(vectors, table)
        answers = answers_to(scores, most, first=7, seed=2)
        assert_equal(count_pairs(distance, vectors, table, answers, first=7), expected(scores, answers, 7))


@pytest.mark.parametrize("kind", DISTANCES)
def test_counts_do_not_depend_on_the_number_of_threads(kind: Kind) -> None:
    vectors, table = torch.randn(130, 64 if kind == "box" else 32), torch.randn(500, 32)
    distance = PairDistance(kind, 2.5, inside=0.02)
    scores = distance.scores(vectors, table)
    answers = answers_to(scores, 80, first=0, seed=0)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            assert_equal(count_pairs(distance, vectors, table, answers, first=0), expected(scores, answers, 0))
            assert_equal(count_scores(scores, answers, first=0), expected(scores, answers, 0))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", DISTANCES)
def test_other_dtypes_and_memory_orders_are_counted_too(kind: Kind) -> None:
    distance = PairDistance(kind, 0.1, inside=0.02)
    vectors, table = quarters(12 if kind == "box" else 6, 5, seed=0).T, quarters(6, 30, seed=1).T
    for dtype in (torch.float32, torch.float64):
        scores = distance.scores(vectors.to(dtype), table.to(dtype))
        answers = answers_to(scores, 4, first=0, seed=0)
        wanted = expected(scores, answers, 0)
        assert_equal(count_pairs(distance, vectors.to(dtype), table.to(dtype), answers, first=0), wanted)
        assert_equal(count_scores(scores.T.contiguous().T, answers, first=0), wanted)


@pytest.mark.parametrize("most", [2, 70])
def test_the_operations_pass_the_checks_of_torch(most: int) -> None:
    vectors, table = quarters(3, 4, seed=0), quarters(5, 4, seed=1)
    scores = PairDistance("l1", 1.0).scores(vectors, table)
    answers = answers_to(scores, most, first=0, seed=0)
    parts = (answers.scores, answers.offsets, answers.known, answers.known_offsets, 0)
    torch.library.opcheck(score_counts, (scores, *parts))
    torch.library.opcheck(pair_counts, (vectors, table, *parts, "l1", 1.0, 0.0))


def test_an_entity_that_is_known_twice_is_left_out_once() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0, 0.0]])
    own, offsets = torch.tensor([1.0]), torch.tensor([0, 1])
    for known in ([0, 2], [0, 2, 2], [0, 0, 2, 2, 2]):
        answers = Answers(own, offsets, torch.tensor(known), torch.tensor([0, len(known)]))
        counts, _ = count_scores(scores, answers, first=0)
        assert counts.tolist() == [[1], [0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"offsets": torch.tensor([0, 3])},
            "offsets of answers are torch.int64 of shape (2,) for 2 queries; give int64 of shape (3,)",
        ),
        (
            {"offsets": torch.tensor([0, 1, 2, 3])},
            "offsets of answers are torch.int64 of shape (4,) for 2 queries; give int64 of shape (3,)",
        ),
        (
            {"offsets": torch.tensor([0, 1, 3], dtype=torch.int32)},
            "offsets of answers are torch.int32 of shape (3,) for 2 queries; give int64 of shape (3,)",
        ),
        (
            {"offsets": torch.tensor([0, 1, 4])},
            "offsets of answers go from 0 to 4, and there are 3; give offsets that ascend from 0 to 3",
        ),
        (
            {"offsets": torch.tensor([0, 9, 3])},
            "offsets of answers go from 0 to 3, and there are 3; give offsets that ascend from 0 to 3",
        ),
        (
            {"known_offsets": torch.tensor([-1, 0, 1])},
            "offsets of known entities go from -1 to 1, and there are 1; give offsets that ascend from 0 to 1",
        ),
        (
            {"known_offsets": torch.tensor([0])},
            "offsets of known entities are torch.int64 of shape (1,) for 2 queries; give int64 of shape (3,)",
        ),
        (
            {"known": torch.tensor([2.0])},
            "known entities are torch.float32 of shape (1,); give int64 of shape (F,)",
        ),
    ],
)
def test_answers_that_are_not_those_of_the_queries_are_refused(
    dtype: torch.dtype, change: dict[str, Tensor], message: str
) -> None:
    fitting = Answers(torch.zeros(3, dtype=dtype), torch.tensor([0, 1, 3]), torch.tensor([4]), torch.tensor([0, 1, 1]))
    answers = replace(fitting, **change)
    distance, vectors, rows = PairDistance("l1", 1.0), torch.zeros(2, 4, dtype=dtype), torch.zeros(5, 4, dtype=dtype)
    for refused in (
        lambda: count_scores(torch.zeros(2, 5, dtype=dtype), answers, first=0),
        lambda: count_pairs(distance, vectors, rows, answers, first=0),
    ):
        with pytest.raises(GraphkitError) as error:
            refused()
        assert str(error.value) == message


def test_candidates_that_are_no_pairs_of_queries_and_rows_are_refused() -> None:
    answers = Answers(torch.zeros(1), torch.tensor([0, 1]), torch.empty(0, dtype=torch.int64), torch.tensor([0, 0]))
    with pytest.raises(GraphkitError) as error:
        count_scores(torch.zeros(5), answers, first=0)
    assert str(error.value) == "candidates have shape (5,); they need two dimensions, [V, n]"
    with pytest.raises(GraphkitError) as error:
        count_scores(torch.zeros(1, 5, dtype=torch.float64), answers, first=0)
    assert str(error.value) == (
        "scores of answers are torch.float32 of shape (1,), and those of candidates are torch.float64; give "
        "torch.float64 of shape (A,)"
    )
    with pytest.raises(GraphkitError) as error:
        count_pairs(PairDistance("box", 1.0), torch.zeros(1, 4), torch.zeros(5, 4), answers, first=0)
    assert str(error.value) == ("queries have width 4 and rows 4, and scores of kind box need queries of width 8")
