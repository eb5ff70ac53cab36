"""Pair scores by the kernels of `cuda/pair_scores.cu` equal the twin, with the same bits however they are launched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from other_extents import OtherExtents
from scored_pairs import INSIDE, KINDS, LAUNCHERS, RandomPairs
from shim.launcher import ShimLauncher
from tensor_layouts import misaligned
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.cuda import pair_scores as gpu
from graphkit.engine.cuda.launcher import Launcher
from graphkit.engine.kernels import Kind
from graphkit.engine.kernels.pair_scores import own_scores, reference

#: What float32 may lose of a score, relative to the sum of the sizes of its terms, and of a gradient.
ERROR = 1e-5

#: What tests with accesses checked run on: any order of threads and blocks.
CHECKED = ShimLauncher(schedule_seed=5, races=True)

each_kind = pytest.mark.parametrize("kind", KINDS)
#: Shared dot products are torch's matrix product.
each_shared_kind = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dot"])


def weights_of(scores: Tensor) -> Tensor:
    return torch.linspace(-1, 2, scores.numel()).reshape(scores.shape)


def by_distance(kind: Kind, weights: Tensor, scores: Tensor) -> Tensor:
    """Returns what gradients take: that of l2 is divided by the distance."""
    return torch.where(scores > 0, weights / scores, 0) if kind == "l2" else weights


def own(launcher: Launcher, pairs: RandomPairs) -> list[Tensor]:
    """Scores of own candidates, and gradients of queries and rows."""
    kind, queries, rows = pairs.kind, pairs.queries, pairs.rows
    scores, order, offsets = gpu.own_scores(launcher, queries, rows, pairs.places, kind, INSIDE)
    weights = by_distance(kind, weights_of(scores), scores)
    return [scores, *gpu.own_gradients(launcher, weights, queries, rows, order, offsets, kind, INSIDE)]


def shared(launcher: Launcher, pairs: RandomPairs) -> list[Tensor]:
    """Scores of all pairs, and gradients of queries and rows."""
    kind, queries, rows = pairs.kind, pairs.queries, pairs.rows
    scores = gpu.shared_scores(launcher, queries, rows, kind, INSIDE)
    weights = by_distance(kind, weights_of(scores), scores)
    return [scores, *gpu.shared_gradients(launcher, weights, queries, rows, kind, INSIDE)]


def assert_equal_to_the_twin(found: list[Tensor], pairs: RandomPairs, places: Tensor | None) -> None:
    leaves = [pairs.queries.double().requires_grad_(), pairs.rows.double().requires_grad_()]
    scores = reference(pairs.kind, *leaves, places, inside=INSIDE)
    scores.backward(weights_of(scores.detach()).double())
    gradients = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    terms = 1.0
    if scores.numel() and pairs.rows.numel():
        q, e = pairs.queries, pairs.rows
        terms += float(q.norm(dim=1).max() * e.norm(dim=1).max() + q.abs().sum(1).max() + e.abs().sum(1).max())
    for one, other in zip(found, [scores.detach(), *gradients], strict=True):
        torch.testing.assert_close(one.double(), other, rtol=ERROR, atol=ERROR * terms)


def assert_same_bits(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


@st.composite
def shapes(draw: st.DrawFn, kind: Kind) -> RandomPairs:
    half = draw(st.integers(1, 40))
    dim = 2 * half if kind == "rotate" else draw(st.sampled_from([half, 2 * half, 4 * half]))
    queries, rows, candidates = draw(st.integers(0, 14)), draw(st.integers(1, 14)), draw(st.integers(0, 40))
    return RandomPairs.draw(kind, queries, rows, dim, candidates, seed=draw(st.integers(0, 99)))


@each_kind
@given(data=st.data())
def test_own_scores_and_gradients_of_any_shape_equal_those_of_the_twin(kind: Kind, data: st.DataObject) -> None:
    pairs = data.draw(shapes(kind), "pairs")
    launcher = ShimLauncher(schedule_seed=data.draw(st.integers(0, 3), "schedule"))
    assert_equal_to_the_twin(own(launcher, pairs), pairs, pairs.places)


@each_shared_kind
@given(data=st.data())
def test_shared_scores_and_gradients_of_any_shape_equal_those_of_the_twin(kind: Kind, data: st.DataObject) -> None:
    pairs = data.draw(shapes(kind), "pairs")
    launcher = ShimLauncher(schedule_seed=data.draw(st.integers(0, 3), "schedule"))
    assert_equal_to_the_twin(shared(launcher, pairs), pairs, None)


@each_kind
@pytest.mark.parametrize("dim", [2, 64, 400, 402, 512])
def test_long_rows_many_candidates_and_many_queries_equal_the_twin(kind: Kind, dim: int) -> None:
    pairs = RandomPairs.draw(kind, 67, 131, dim, 150)
    assert_equal_to_the_twin(own(ShimLauncher(), pairs), pairs, pairs.places)
    if kind != "dot":
        assert_equal_to_the_twin(shared(ShimLauncher(), pairs), pairs, None)


@each_kind
@pytest.mark.parametrize("launcher", LAUNCHERS.values(), ids=LAUNCHERS)
@pytest.mark.parametrize("dim", [22, 40])
def test_no_bit_depends_on_extents_or_on_the_order_of_threads(kind: Kind, launcher: Launcher, dim: int) -> None:
    pairs = RandomPairs.draw(kind, 70, 150, dim, 45)
    assert_same_bits(own(launcher, pairs), own(ShimLauncher(), pairs))
    if kind != "dot":
        assert_same_bits(shared(launcher, pairs), shared(ShimLauncher(), pairs))


@each_kind
@pytest.mark.parametrize("dim", [6, 40])
def test_threads_do_not_race_and_stay_within_what_they_are_given(kind: Kind, dim: int) -> None:
    pairs = RandomPairs.draw(kind, 21, 45, dim, 9)
    halves = replace(pairs, rows=pairs.rows.bfloat16())
    for some in (pairs, halves, replace(pairs, queries=misaligned(pairs.queries))):
        # As many blocks as chosen, and one that has tile after tile.
        for launcher in (CHECKED, OtherExtents(1, 32, CHECKED, (8, 4))):
            assert_same_bits(own(launcher, some), own(ShimLauncher(), some))
            if kind != "dot":
                assert_same_bits(shared(launcher, some), shared(ShimLauncher(), some))


@each_shared_kind
@pytest.mark.parametrize("dim", [6, 17, 50, 64])
def test_a_pair_has_the_same_score_bit_for_bit_wherever_it_stands(kind: Kind, dim: int) -> None:
    dim += dim % 2 if kind == "rotate" else 0
    pairs = RandomPairs.draw(kind, 11, 73, dim)
    whole = shared(ShimLauncher(), pairs)[0]
    for places in (torch.arange(73).expand(11, -1), torch.full((11, 1), 7)):
        found = own(ShimLauncher(), replace(pairs, places=places))[0]
        assert torch.equal(found, whole.gather(1, places))
    for queries, rows in ((slice(3, 4), slice(0, 73)), (slice(0, 11), slice(65, 70))):
        part = replace(pairs, queries=pairs.queries[queries], rows=pairs.rows[rows])
        assert torch.equal(shared(ShimLauncher(), part)[0], whole[queries, rows])


@each_kind
@pytest.mark.parametrize("dim", [8, 36])
def test_misaligned_and_strided_tensors_give_the_bits_of_their_copies(kind: Kind, dim: int) -> None:
    pairs = RandomPairs.draw(kind, 9, 20, dim, 5)
    across = replace(pairs, **{name: getattr(pairs, name).T.contiguous().T for name in ("queries", "rows", "places")})
    assert not across.rows.is_contiguous()
    for other in (
        across,
        replace(pairs, queries=misaligned(pairs.queries)),
        replace(pairs, rows=misaligned(pairs.rows), places=misaligned(pairs.places)),
    ):
        assert_same_bits(own(ShimLauncher(), other), own(ShimLauncher(), pairs))
        if kind != "dot":
            assert_same_bits(shared(ShimLauncher(), other), shared(ShimLauncher(), pairs))


@each_kind
@pytest.mark.parametrize("dim", [6, 7, 64])
@pytest.mark.parametrize("aligned", [True, False])
def test_rows_in_bfloat16_give_the_bits_of_the_same_rows_in_float32(kind: Kind, dim: int, aligned: bool) -> None:
    dim += dim % 2 if kind == "rotate" else 0
    pairs = RandomPairs.draw(kind, 9, 20, dim, 5)
    halves = replace(pairs, rows=pairs.rows.bfloat16() if aligned else misaligned(pairs.rows.bfloat16()))
    same = replace(pairs, rows=halves.rows.float())
    assert_same_bits(own(ShimLauncher(), halves), own(ShimLauncher(), same))
    if kind != "dot":
        assert_same_bits(shared(ShimLauncher(), halves), shared(ShimLauncher(), same))


@each_shared_kind
@pytest.mark.parametrize("others", [127, 128, 1000])
def test_a_gradient_that_is_divided_among_blocks_equals_the_twin(kind: Kind, others: int) -> None:
    for pairs in (RandomPairs.draw(kind, 3, others, 6), RandomPairs.draw(kind, others, 3, 6)):
        assert_equal_to_the_twin(shared(ShimLauncher(), pairs), pairs, None)


def test_others_are_divided_until_blocks_keep_a_gpu_busy_but_not_into_crumbs() -> None:
    assert [gpu.parts_of(others, tiles=1) for others in (1, 127, 128, 10**6)] == [1, 1, 2, gpu.ENOUGH_BLOCKS]
    assert [gpu.parts_of(10**6, tiles) for tiles in (gpu.ENOUGH_BLOCKS // 3, gpu.ENOUGH_BLOCKS, 10**6)] == [3, 1, 1]


@pytest.mark.parametrize(
    ("n", "block"), [(1, (1, 128, 1)), (4, (1, 128, 1)), (5, (2, 64, 1)), (400, (128, 1, 1)), (4000, (128, 1, 1))]
)
def test_blocks_of_own_gradients_have_four_coordinates_a_thread(n: int, block: tuple[int, int, int]) -> None:
    assert gpu.gradient_block(n) == block


def test_tiles_are_large_where_there_are_enough_of_them() -> None:
    assert gpu.tile_block(512, 1024) == (8, 8, 1)
    assert gpu.tile_block(512, 64 * gpu.ENOUGH_BLOCKS // 8) == (16, 16, 1)


@given(st.integers(0, 6), st.integers(1, 5), st.integers(0, 9), st.integers(0, 99))
def test_pairs_are_grouped_as_on_the_cpu(queries: int, rows: int, candidates: int, seed: int) -> None:
    pairs = RandomPairs.draw("l1", queries, rows, 3, candidates, seed=seed)
    arguments = (pairs.queries, pairs.rows, pairs.places, "l1", INSIDE)
    found, expected = gpu.own_scores(ShimLauncher(), *arguments), own_scores(*arguments)
    assert [part.dtype for part in found] == [part.dtype for part in expected]
    assert_same_bits(list(found[1:]), list(expected[1:]))


@each_kind
def test_where_query_and_row_are_equal_distances_and_their_gradients_are_zero(kind: Kind) -> None:
    if kind in ("dot", "centred"):
        pytest.skip("a similarity, not a distance")
    rows = torch.full((3, 8), 0.5)
    queries = torch.cat([rows, torch.zeros_like(rows)], dim=1) if kind == "box" else rows
    pairs = RandomPairs(kind, queries, rows, torch.tensor([[0, 2]] * 3))
    for found in (own(ShimLauncher(), pairs), shared(ShimLauncher(), pairs)):
        assert not any(part.any() for part in found)


@pytest.mark.parametrize("score", [own, shared])
def test_the_border_of_a_box_and_half_widths_below_zero(score: object) -> None:
    """By hand, one dimension, inside 0.25: distance = half width is inside, half width 0 outside; then below zero."""
    pairs = RandomPairs("box", torch.tensor([[0.0, 2.0]]), torch.tensor([[2.0]]), torch.tensor([[0]]))
    for box, row, wanted in (
        ([0.0, 2.0], 2.0, (0.5, 0.25, [-0.25, 0.0])),
        ([0.0, 0.0], 2.0, (2.0, 1.0, [-1.0, -1.0])),
        ([0.0, -1.0], -2.0, (3.25, -1.0, [1.0, -1.25])),
    ):
        queries, rows = torch.tensor([box]), torch.tensor([[row]])
        if score is own:
            scores, order, offsets = gpu.own_scores(ShimLauncher(), queries, rows, pairs.places, "box", 0.25)
            of = gpu.own_gradients(ShimLauncher(), torch.ones(1, 1), queries, rows, order, offsets, "box", 0.25)
        else:
            scores = gpu.shared_scores(ShimLauncher(), queries, rows, "box", 0.25)
            of = gpu.shared_gradients(ShimLauncher(), torch.ones(1, 1), queries, rows, "box", 0.25)
        assert (scores.item(), of[1].item(), of[0].squeeze(0).tolist()) == wanted


@each_kind
def test_a_row_that_is_a_candidate_twice_gets_the_gradient_twice(kind: Kind) -> None:
    pairs = RandomPairs.draw(kind, 1, 2, 6)
    queries, rows, found = pairs.queries, pairs.rows, []
    for places in (torch.tensor([[0]]), torch.tensor([[0, 0, 1]])):
        _, order, offsets = gpu.own_scores(ShimLauncher(), queries, rows, places, kind, INSIDE)
        weights = torch.tensor([[1.0, 1.0, 0.0]])[:, : places.shape[1]]
        found.append(gpu.own_gradients(ShimLauncher(), weights, queries, rows, order, offsets, kind, INSIDE)[1])
    assert torch.equal(2 * found[0], found[1])
    assert not found[1][1].any()


@each_kind
def test_a_value_that_is_not_a_number_stays_with_its_pairs(kind: Kind) -> None:
    pairs = RandomPairs.draw(kind, 5, 6, 40)
    pairs.rows[2, 3] = torch.nan
    pairs = replace(pairs, places=torch.arange(6).expand(5, -1))
    results = [own(ShimLauncher(), pairs)] + ([shared(ShimLauncher(), pairs)] if kind != "dot" else [])
    for scores, *_ in results:
        assert scores.isnan().nonzero()[:, 1].unique().tolist() == [2]


@each_kind
@pytest.mark.parametrize(
    ("queries", "rows", "candidates", "dim"), [(0, 4, 3, 6), (4, 0, 0, 6), (3, 4, 0, 6), (3, 4, 2, 0)]
)
def test_no_pairs_or_no_coordinates_have_zero_scores_and_gradients(
    kind: Kind, queries: int, rows: int, candidates: int, dim: int
) -> None:
    pairs = RandomPairs.draw(kind, queries, rows, dim, candidates)
    scores, *gradients = own(ShimLauncher(), pairs)
    assert scores.shape == (queries, candidates)
    assert not any(part.any() for part in (scores, *gradients))
    if kind != "dot" and (rows == 0 or queries == 0 or dim == 0):
        scores, *gradients = shared(ShimLauncher(), pairs)
        assert scores.shape == (queries, rows)
        assert not any(part.any() for part in (scores, *gradients))


@pytest.mark.parametrize(("wrong", "query", "candidate"), [(3, 1, 1), (-1, 0, 1), (2**40, 1, 0)])
def test_a_place_that_is_no_row_is_refused_before_anything_is_launched(wrong: int, query: int, candidate: int) -> None:
    places = torch.tensor([[0, 1], [2, 0]])
    places[query, candidate] = wrong
    with pytest.raises(GraphkitError) as error:
        gpu.own_scores(ShimLauncher(), torch.zeros(2, 4), torch.zeros(3, 4), places, "l1", 0.0)
    assert str(error.value) == (
        f"candidate {candidate} of query {query} is row {wrong}, and the 3 rows have places 0 to 2; give places of rows"
    )


def test_more_pairs_than_an_order_in_int32_can_name_are_refused() -> None:
    places = torch.zeros(1, 1, dtype=torch.int64).expand(2**16, 2**15)
    with pytest.raises(GraphkitError) as error:
        gpu.own_scores(ShimLauncher(), torch.zeros(1, 1).expand(2**16, 1), torch.zeros(1, 1), places, "l1", 0.0)
    assert str(error.value) == (
        "65536 queries have 32768 candidates each, 2147483648 pairs, and at most 2147483647 are scored at once; give "
        "fewer queries"
    )
