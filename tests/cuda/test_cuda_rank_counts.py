"""Counts by the kernels of `cuda/rank_counts.cu` equal the twin's, of the very scores that pairs have elsewhere."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from other_extents import OtherExtents
from scored_pairs import INSIDE, KINDS, LAUNCHERS
from shim.launcher import ShimLauncher
from tensor_layouts import misaligned
from torch import Tensor

from graphkit.engine.cuda import pair_scores, rank_counts
from graphkit.engine.cuda.launcher import Launcher
from graphkit.engine.kernels import Answers, Kind
from graphkit.engine.kernels.rank_counts import reference_counts

CHECKED = ShimLauncher(schedule_seed=5, races=True)

each_kind = pytest.mark.parametrize("kind", KINDS)
#: Answers of a query: few enough to be compared with every score, one more than these, many.
each_most = pytest.mark.parametrize("most", [3, 33, 100])


def answers_to(scores: Tensor, most: int, *, first: int, seed: int) -> Answers:
    """Up to `most` answers a query, with scores of candidates; known entities in, before and behind the range."""
    generator = torch.Generator().manual_seed(seed)
    own, known = [scores.new_empty(0)], [torch.empty(0, dtype=torch.int64)]
    for row in scores:
        size = int(torch.randint(0, most + 1, (), generator=generator)) if len(row) else 0
        own.append(row[torch.randint(0, max(1, len(row)), (size,), generator=generator)].sort().values)
        share = 0.3 * torch.rand((), generator=generator)
        known.append((torch.rand(first + len(row) + 5, generator=generator) < share).nonzero().squeeze(1))
    offsets, known_offsets = (torch.tensor([len(part) for part in parts]).cumsum(0) for parts in (own, known))
    return Answers(torch.cat(own), offsets, torch.cat(known), known_offsets)


def parts_of(answers: Answers) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return answers.scores, answers.offsets, answers.known, answers.known_offsets


def assert_counts_of_scores(launcher: Launcher, scores: Tensor, answers: Answers, first: int) -> None:
    wanted = reference_counts(scores, *parts_of(answers), first)
    assert_equal(rank_counts.score_counts(launcher, scores, *parts_of(answers), first), wanted)


def assert_equal(found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def scores_of_pairs(kind: Kind, queries: Tensor, rows: Tensor, offset: float) -> Tensor:
    """Scores as own candidates have them."""
    places = torch.arange(len(rows)).expand(len(queries), -1)
    return offset - pair_scores.own_scores(ShimLauncher(), queries, rows, places, kind, INSIDE)[0]


def drawn(kind: Kind, queries: int, rows: int, dim: int, *, quarters: bool = False) -> tuple[Tensor, Tensor]:
    """Queries and rows, of few values if they are quarters, so that ties are everywhere."""
    generator = torch.Generator().manual_seed(queries + rows)
    sizes = ((queries, dim * (2 if kind in ("box", "centred") else 1)), (rows, dim))
    if quarters:
        q, e = (torch.randint(-3, 4, size, generator=generator) / 4 for size in sizes)
    else:
        q, e = (torch.randn(size, generator=generator) for size in sizes)
    return q, e


@given(st.integers(0, 20), st.integers(0, 150), st.sampled_from([0, 1, 5, 32, 33, 200]), st.integers(0, 9), st.data())
def test_counts_of_scores_equal_the_twin(queries: int, width: int, most: int, first: int, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**16))
    special = torch.tensor([-math.inf, -0.0, 0.0, 0.25, 1.0, math.inf])
    chosen = torch.randint(0, 6, (queries, width), generator=torch.Generator().manual_seed(seed))
    scores = special[chosen]
    launcher = ShimLauncher(schedule_seed=data.draw(st.integers(0, 3)))
    assert_counts_of_scores(launcher, scores, answers_to(scores, most, first=first, seed=seed), first)


@each_kind
@each_most
@pytest.mark.parametrize("quarters", [True, False])
@pytest.mark.parametrize(("queries", "rows", "dim"), [(1, 1, 2), (3, 40, 6), (17, 300, 34), (70, 9, 32)])
def test_counts_of_pairs_are_those_of_the_scores_of_own_candidates(
    kind: Kind, most: int, quarters: bool, queries: int, rows: int, dim: int
) -> None:
    q, e = drawn(kind, queries, rows, dim, quarters=quarters)
    # At 1e5 the constant takes most digits of the distance: what is compared is the score, as it is rounded.
    for offset in (9.3, 1e5):
        scores = scores_of_pairs(kind, q, e, offset)
        parts = parts_of(answers_to(scores, most, first=7, seed=2))
        found = rank_counts.pair_counts(ShimLauncher(), q, e, *parts, 7, kind, offset, INSIDE)
        assert_equal(found, reference_counts(scores, *parts, 7))


@each_kind
@each_most
@pytest.mark.parametrize("launcher", LAUNCHERS.values(), ids=LAUNCHERS)
def test_counts_do_not_depend_on_extents_or_on_the_order_of_threads(kind: Kind, most: int, launcher: Launcher) -> None:
    q, e = drawn(kind, 70, 150, 10)
    scores = scores_of_pairs(kind, q, e, 2.5)
    answers = answers_to(scores, most, first=0, seed=0)
    found = rank_counts.pair_counts(launcher, q, e, *parts_of(answers), 0, kind, 2.5, INSIDE)
    assert_equal(found, reference_counts(scores, *parts_of(answers), 0))
    assert_counts_of_scores(launcher, scores, answers, 0)


@each_kind
@each_most
@pytest.mark.parametrize("dim", [0, 6])
def test_threads_do_not_race_and_stay_within_what_they_are_given(kind: Kind, most: int, dim: int) -> None:
    q, e = drawn(kind, 9, 70, dim)
    scores = scores_of_pairs(kind, q, e, 2.5)
    answers = answers_to(scores, most, first=3, seed=0)
    # As many blocks as chosen, and one that has tile after tile.
    for launcher in (CHECKED, OtherExtents(1, 32, CHECKED, (8, 4))):
        found = rank_counts.pair_counts(launcher, q, e, *parts_of(answers), 3, kind, 2.5, INSIDE)
        assert_equal(found, reference_counts(scores, *parts_of(answers), 3))
        assert_counts_of_scores(launcher, scores, answers, 3)


@each_kind
def test_misaligned_strided_and_bfloat16_tensors_are_counted_as_their_copies(kind: Kind) -> None:
    q, e = drawn(kind, 5, 30, 8)
    halves = e.bfloat16()
    scores = scores_of_pairs(kind, q, halves.float(), 0.1)
    answers = answers_to(scores, 4, first=0, seed=0)
    wanted = reference_counts(scores, *parts_of(answers), 0)
    for rows in (halves, halves.float(), misaligned(halves), misaligned(halves.float()), halves.T.contiguous().T):
        found = rank_counts.pair_counts(ShimLauncher(), q, rows, *parts_of(answers), 0, kind, 0.1, INSIDE)
        assert_equal(found, wanted)
    assert_counts_of_scores(ShimLauncher(), scores.T.contiguous().T, answers, 0)


@pytest.mark.parametrize("most", [2, 70])
def test_a_query_with_a_score_that_is_not_a_number_is_named(most: int) -> None:
    q, e = drawn("l1", 5, 130, 8)
    answers = answers_to(scores_of_pairs("l1", q, e, 1.0), most, first=0, seed=0)
    q[1, 3] = math.nan
    scores = scores_of_pairs("l1", q, e, 1.0)
    scores[3, 129] = math.nan
    counts, wrong = rank_counts.score_counts(ShimLauncher(), scores, *parts_of(answers), 0)
    assert_equal((counts, wrong), reference_counts(scores, *parts_of(answers), 0))
    assert wrong.tolist() == [False, True, False, True, False]
    _, wrong = rank_counts.pair_counts(ShimLauncher(), q, e, *parts_of(answers), 0, "l1", 1.0, INSIDE)
    assert wrong.tolist() == [False, True, False, False, False]


def test_an_entity_that_is_known_twice_is_left_out_once() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0, 0.0]])
    own, offsets = torch.tensor([1.0]), torch.tensor([0, 1])
    for known in ([0, 2], [0, 2, 2], [0, 0, 2, 2, 2]):
        parts = (own, offsets, torch.tensor(known), torch.tensor([0, len(known)]))
        counts, _ = rank_counts.score_counts(ShimLauncher(), scores, *parts, 0)
        assert counts.tolist() == [[1], [0]]


@each_kind
@pytest.mark.parametrize(("queries", "rows"), [(0, 4), (4, 0), (0, 0)])
def test_no_candidates_have_no_counts(kind: Kind, queries: int, rows: int) -> None:
    q, e = drawn(kind, queries, rows, 6)
    answers = Answers(torch.zeros(queries), torch.arange(queries + 1), torch.arange(queries), torch.arange(queries + 1))
    counts, wrong = rank_counts.pair_counts(ShimLauncher(), q, e, *parts_of(answers), 0, kind, 1.0, INSIDE)
    assert counts.tolist() == [[0] * queries] * 2
    assert wrong.tolist() == [False] * queries
    assert_counts_of_scores(ShimLauncher(), torch.zeros(queries, rows), answers, 0)
