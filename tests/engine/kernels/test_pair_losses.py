"""The loss of shared negatives equals its twin in float64, on every path and number of threads, with its gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels import Kind, PairDistance, PlacedRows, log_sigmoid_gradients, log_sigmoid_losses
from graphkit.engine.kernels.pair_losses import reference, shared_loss_gradients, shared_losses
from graphkit.samplers.batch import chunk_lanes

#: Kinds of distances, and the constants that leave logits on both sides of 0.
DISTANCES = [
    PairDistance("l1", 9.0),
    PairDistance("l2", 3.0),
    PairDistance("rotate", 7.0),
    PairDistance("box", 6.0, inside=0.3),
]
each = pytest.mark.parametrize("distance", DISTANCES, ids=lambda distance: distance.kind)
each_sharpness = pytest.mark.parametrize("sharpness", [0.0, 1.0])


pytestmark = pytest.mark.usefixtures("path")  # each instruction set


def batch(kind: Kind, queries: int, negatives: int, dim: int, *, seed: int = 0) -> list[Tensor]:
    """Queries, answers, negatives and a mask, in which the last query has no negatives."""
    generator = torch.Generator().manual_seed(seed)
    width = dim * (2 if kind == "box" else 1)
    made = [torch.randn(*shape, generator=generator) for shape in ((queries, width), (queries, dim), (negatives, dim))]
    mask = torch.rand(queries, negatives, generator=generator) < 0.8
    mask[queries - 1 :] = False
    return [*made, mask]


def with_gradients(loss: object, distance: PairDistance, given: list[Tensor], sharpness: float) -> list[Tensor]:
    """The losses, and the gradients for gradients of losses that differ."""
    leaves = [x.clone().requires_grad_() for x in given[:3]]
    losses = loss(distance, *leaves, given[3], sharpness=sharpness)  # type: ignore[operator]
    losses.backward(torch.linspace(-1, 2, len(losses), dtype=losses.dtype))
    return [losses.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def assert_equal_to_the_twin(distance: PairDistance, given: list[Tensor], sharpness: float) -> None:
    found = with_gradients(log_sigmoid_losses, distance, given, sharpness)
    expected = with_gradients(reference, distance, [*(x.double() for x in given[:3]), given[3]], sharpness)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2e-5, atol=2e-5)


@each
@each_sharpness
@given(queries=st.integers(1, 70), negatives=st.integers(0, 40), dim=st.integers(1, 20), seed=st.integers(0, 99))
def test_losses_and_gradients_equal_those_of_the_twin(
    distance: PairDistance, sharpness: float, queries: int, negatives: int, dim: int, seed: int
) -> None:
    dim += dim % 2 if distance.kind == "rotate" else 0
    assert_equal_to_the_twin(distance, batch(distance.kind, queries, negatives, dim, seed=seed), sharpness)


@each
@each_sharpness
def test_long_rows_and_many_negatives_equal_the_twin(distance: PairDistance, sharpness: float) -> None:
    queries, answers, negatives, mask = batch(distance.kind, 130, 300, 402)
    given = [queries / 8, answers / 8, negatives / 8, mask]  # logits as of models: most losses are 0 otherwise
    assert_equal_to_the_twin(distance, given, sharpness)


@each
def test_no_bit_depends_on_the_number_of_threads(distance: PairDistance, threads: Callable[[int], None]) -> None:
    given = batch(distance.kind, 200, 150, 90)
    found = []
    for count in (1, 2, 5):
        threads(count)
        found.append(with_gradients(log_sigmoid_losses, distance, given, 1.0))
    for other in found[1:]:
        assert all(torch.equal(one, same) for one, same in zip(found[0], other, strict=True))


@each
def test_negatives_that_are_masked_out_change_nothing_and_have_no_gradient(distance: PairDistance) -> None:
    given = batch(distance.kind, 20, 12, 8)
    given[3][:, 4:9] = False
    before = with_gradients(log_sigmoid_losses, distance, given, 1.0)
    assert not before[3][4:9].any()
    given[2][4:9] = 1e3
    for one, same in zip(before, with_gradients(log_sigmoid_losses, distance, given, 1.0), strict=True):
        assert torch.equal(one, same)


@each
def test_where_a_query_is_its_answer_and_its_negatives_it_has_no_gradient(distance: PairDistance) -> None:
    width = 8 * (2 if distance.kind == "box" else 1)
    row = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
    query = torch.cat([row, torch.ones(1, 8)], dim=1) if width == 16 else row
    found = with_gradients(log_sigmoid_losses, distance, [query, row, row, torch.ones(1, 1).bool()], 1.0)
    assert not any(part.any() for part in (found[1][:, :8], *found[2:]))


@each
def test_other_precisions_are_the_twin_s(distance: PairDistance) -> None:
    given = batch(distance.kind, 5, 4, 6)
    given = [*(x.double() for x in given[:3]), given[3]]
    found = log_sigmoid_losses(distance, *given, sharpness=1.0)
    assert torch.equal(found, reference(distance, *given, sharpness=1.0))


def test_an_answer_that_is_infinitely_far_has_an_infinite_loss_and_a_gradient_of_its_own() -> None:
    distance, given = DISTANCES[0], batch("l1", 5, 4, 6)
    given[1][2, 3] = torch.inf
    found = with_gradients(log_sigmoid_losses, distance, given, 1.0)
    expected = with_gradients(reference, distance, [*(x.double() for x in given[:3]), given[3]], 1.0)
    assert found[0].isinf().tolist() == [False, False, True, False, False]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2e-5, atol=2e-5)


@each
@given(queries=st.integers(1, 150), negatives=st.integers(0, 9), chunks=st.integers(1, 7), seed=st.integers(0, 99))
def test_each_chunk_has_the_losses_and_gradients_that_it_has_alone(
    distance: PairDistance, queries: int, negatives: int, chunks: int, seed: int
) -> None:
    """Bit for bit; chunks may have no queries at all, and then their rows have no gradient."""
    *given, mask = batch(distance.kind, queries, chunks * negatives, 18, seed=seed)
    mask = mask[:, :negatives]
    loss = partial(log_sigmoid_losses, chunks=chunks)
    whole = with_gradients(loss, distance, [*given, mask], 1.0)
    slopes = torch.linspace(-1, 2, queries)
    for lanes, rows in zip(
        chunk_lanes(queries, chunks), torch.arange(chunks * negatives).split([negatives] * chunks), strict=True
    ):
        own = [given[0][lanes], given[1][lanes], given[2][rows]]
        leaves = [x.clone().requires_grad_() for x in own]
        losses = log_sigmoid_losses(distance, *leaves, mask[lanes], sharpness=1.0)
        losses.backward(slopes[lanes])
        assert torch.equal(whole[0][lanes], losses)
        for found, leaf, places in zip(whole[1:], leaves, (lanes, lanes, rows), strict=True):
            assert torch.equal(found[places], leaf.grad)


@each
def test_chunks_equal_their_twin(distance: PairDistance) -> None:
    *given, mask = batch(distance.kind, 11, 4 * 5, 6)
    given.append(mask[:, :5])
    found = with_gradients(partial(log_sigmoid_losses, chunks=4), distance, given, 1.0)
    twin = partial(reference, chunks=4)
    expected = with_gradients(twin, distance, [*(x.double() for x in given[:3]), given[3]], 1.0)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("chunks", [0, 2])
def test_rows_that_chunks_cannot_share_are_refused(chunks: int) -> None:
    given = batch("l1", 4, 3, 6)
    with pytest.raises(GraphkitError) as error:
        log_sigmoid_losses(DISTANCES[0], *given, sharpness=1.0, chunks=chunks)
    assert str(error.value) == f"there are 3 rows for {chunks} chunks of queries; give each chunk as many"


@each
def test_a_second_derivative_is_refused(distance: PairDistance) -> None:
    *given, mask = batch(distance.kind, 5, 4, 6)
    leaves = [x.requires_grad_() for x in given]
    losses = log_sigmoid_losses(distance, *leaves, mask, sharpness=1.0)
    gradients = torch.autograd.grad(losses.sum(), leaves, create_graph=True)
    for gradient in gradients:
        with pytest.raises(RuntimeError, match="no autograd formula was registered"):
            gradient.sum().backward(retain_graph=True)


@each
def test_the_custom_operations_pass_torch_s_own_checks(distance: PairDistance) -> None:
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    given = batch(distance.kind, 3, 5, 6)
    leaves = [x.requires_grad_() for x in given[:3]]
    settings = (distance.kind, distance.inside)
    torch.library.opcheck(shared_losses, (*leaves, given[3], 1, *settings, distance.offset, 1.0), test_utils=tests)
    plain = [x.detach() for x in given[:3]]
    torch.library.opcheck(
        shared_losses,
        (*leaves[:2], leaves[2][:4], given[3][:, :2].contiguous(), 2, *settings, distance.offset, 1.0),
        test_utils=tests,
    )
    torch.library.opcheck(
        shared_loss_gradients, (torch.ones(3), torch.ones(3), torch.ones(3, 5), *plain, 1, *settings), test_utils=tests
    )


def test_tensors_that_are_not_contiguous_score_as_their_copies() -> None:
    given = batch("l1", 9, 7, 6)
    spread = [torch.stack([x, x], dim=-1)[..., 0] for x in given]
    for one, same in zip(
        with_gradients(log_sigmoid_losses, DISTANCES[0], given, 1.0),
        with_gradients(log_sigmoid_losses, DISTANCES[0], spread, 1.0),
        strict=True,
    ):
        assert torch.equal(one, same)


def test_answers_of_another_shape_are_refused() -> None:
    queries, answers, negatives, mask = batch("l1", 4, 3, 6)
    with pytest.raises(GraphkitError) as error:
        log_sigmoid_losses(DISTANCES[0], queries, answers[:3], negatives, mask, sharpness=1.0)
    assert str(error.value) == (
        "answers have shape (3, 6) for 4 queries and rows of width 6; give one answer of each query, (4, 6)"
    )


def test_a_mask_of_another_shape_is_refused() -> None:
    queries, answers, negatives, mask = batch("l1", 4, 3, 6)
    with pytest.raises(GraphkitError) as error:
        log_sigmoid_losses(DISTANCES[0], queries, answers, negatives, mask[:, :1], sharpness=1.0)
    assert str(error.value) == (
        "logits of negatives have shape (4, 3) and their mask is torch.bool of shape (4, 1); give both two dimensions, "
        "[B, K], and a mask of torch.bool"
    )


@each
@each_sharpness
@given(queries=st.integers(1, 70), negatives=st.integers(1, 40), half=st.integers(1, 20), seed=st.integers(0, 99))
def test_gradients_without_autograd_are_the_same_bits_wherever_answers_stand(
    distance: PairDistance, sharpness: float, queries: int, negatives: int, half: int, seed: int
) -> None:
    given = batch(distance.kind, queries, negatives, 2 * half, seed=seed)
    expected = with_gradients(log_sigmoid_losses, distance, given, sharpness)
    weights, places = torch.linspace(-1, 2, queries), torch.arange(queries).flip(0)
    for answers in (PlacedRows(given[1], None), PlacedRows(given[1].flip(0), places)):
        found = log_sigmoid_gradients(distance, given[0], answers, *given[2:], weights, sharpness=sharpness)
        for one, other in zip(found, expected, strict=True):
            assert torch.equal(one, other)


def test_gradients_without_autograd_want_an_answer_of_each_query() -> None:
    queries, answers, negatives, mask = batch("l1", 4, 3, 2)
    with pytest.raises(GraphkitError) as refused:
        log_sigmoid_gradients(
            DISTANCES[0], queries, PlacedRows(answers, torch.arange(3)), negatives, mask, torch.ones(4), sharpness=1.0
        )
    assert str(refused.value) == (
        "answers have shape (3, 2) for 4 queries and rows of width 2; give one answer of each query, (4, 2)"
    )


@pytest.mark.parametrize("weights", [torch.ones(2), torch.ones(4, dtype=torch.float64)])
def test_weights_of_another_shape_or_type_are_refused(weights: Tensor) -> None:
    queries, answers, negatives, mask = batch("l1", 4, 3, 6)
    with pytest.raises(GraphkitError) as error:
        log_sigmoid_gradients(DISTANCES[0], queries, PlacedRows(answers, None), negatives, mask, weights, sharpness=1.0)
    assert str(error.value) == (
        f"weights are {weights.dtype} of shape ({len(weights)},) for 4 queries; give float32 of shape (4,)"
    )


def test_masks_and_weights_that_are_not_contiguous_do_as_their_copies() -> None:
    queries, answers, negatives, mask = batch("l1", 4, 3, 6)
    given, weights = (queries, PlacedRows(answers, None), negatives), torch.tensor(0.25)
    found = log_sigmoid_gradients(DISTANCES[0], *given, mask.T.contiguous().T, weights.expand(4), sharpness=1.0)
    for one, same in zip(
        found, log_sigmoid_gradients(DISTANCES[0], *given, mask, weights.repeat(4), sharpness=1.0), strict=True
    ):
        assert torch.equal(one, same)
