"""Cross entropy with the pieces of `cuda/log_softmax.cu` equals its twin in float64, whatever the chunks and parts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from other_extents import OtherExtents, launched
from shim.launcher import ShimLauncher
from torch import Tensor

from graphkit.engine.cuda import log_softmax
from graphkit.engine.cuda.launcher import Launcher
from graphkit.engine.cuda.log_softmax import CudaPieces, cross_entropies, cross_entropy_gradients
from graphkit.engine.kernels.log_softmax import reference

CHUNKS = "graphkit.engine.kernels.log_softmax.LOGITS_AT_ONCE"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
dtypes = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)


@pytest.fixture(autouse=True)
def short_parts() -> Iterator[None]:
    """Cuts rows of some logits already, as long ones are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_softmax, "_LEAST_OF_PIECE", 16)
        patch.setattr(log_softmax, "_PIECES", 40)
        yield


def logits_of(rows: int, columns: int, dtype: torch.dtype = torch.float32, *, off: int = 0, seed: int = 0) -> Tensor:
    """Contiguous logits, whose memory begins `off` elements after an aligned address."""
    generator = torch.Generator().manual_seed(seed + rows + columns)
    values = torch.empty(rows * columns + off, dtype=dtype)[off:].view(rows, columns)
    return values.copy_(4 * torch.randn(rows, columns, generator=generator))


def sums(launcher: Launcher, *chunks: Tensor) -> tuple[Tensor, Tensor]:
    most, totals = torch.full((len(chunks[0]),), -torch.inf), torch.zeros(len(chunks[0]))
    for chunk in chunks:
        CudaPieces(launcher).add_sums(chunk, most, totals)
    return most, totals


def assert_sums(found: tuple[Tensor, Tensor], logits: Tensor) -> None:
    """The largest is exact, and the error of the sum is at most 2e-6 of it."""
    most, totals = found
    assert torch.equal(most, logits.float().amax(dim=1))
    expected = (logits.double() - most.double().unsqueeze(1)).exp().sum(dim=1)
    torch.testing.assert_close(totals.double(), expected, rtol=2e-6, atol=0)


def assert_weights(found: Tensor, logits: Tensor, normalisers: Tensor, weights: Tensor) -> None:
    """The error is at most 2e-6 of the value, and that of rounding to bfloat16."""
    expected = weights.double().unsqueeze(1) * (logits.double() - normalisers.double().unsqueeze(1)).exp()
    torch.testing.assert_close(found.double(), expected, rtol=2e-6 if found.dtype == torch.float32 else 2**-8, atol=0)


@dtypes
@given(rows=st.integers(1, 7), columns=st.integers(1, 150), off=st.integers(0, 8), data=st.data())
def test_sums_and_weights_equal_those_of_float64(
    dtype: torch.dtype, rows: int, columns: int, off: int, data: st.DataObject
) -> None:
    launcher = ShimLauncher(schedule_seed=data.draw(st.integers(0, 3), "schedule"))
    logits = logits_of(rows, columns, dtype, off=off)
    cut = data.draw(st.integers(0, columns), "cut")
    found = sums(launcher, logits[:, :cut].contiguous(), logits[:, cut:].contiguous())
    assert_sums(found, logits)
    assert_sums(sums(launcher, logits), logits)
    normalisers, weights = found[0] + found[1].log(), torch.linspace(-1, 2, rows)
    replaced = logits_of(rows, columns, dtype, off=off)
    CudaPieces(launcher).weigh(replaced, normalisers, weights)
    assert_weights(replaced, logits, normalisers, weights)


@dtypes
@launched
@pytest.mark.parametrize(("rows", "columns"), [(1, 700), (3, 65), (50, 1)])
def test_any_extents_give_the_sums_and_weights_of_float64(
    dtype: torch.dtype, launcher: Launcher, rows: int, columns: int
) -> None:
    logits = logits_of(rows, columns, dtype, off=3)
    most, totals = sums(launcher, logits)
    assert_sums((most, totals), logits)
    replaced, weights = logits_of(rows, columns, dtype, off=3), torch.linspace(-1, 2, rows)
    CudaPieces(launcher).weigh(replaced, most + totals.log(), weights)
    assert_weights(replaced, logits, most + totals.log(), weights)


@pytest.mark.parametrize(("rows", "columns", "parts"), [(1, 10**6, 244), (512, 131_072, 2), (4096, 100, 1), (9, 1, 1)])
def test_few_long_rows_are_cut_into_parts(monkeypatch: pytest.MonkeyPatch, rows: int, columns: int, parts: int) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(log_softmax, "_LEAST_OF_PIECE", 4096)
    monkeypatch.setattr(log_softmax, "_PIECES", 1024)
    assert log_softmax._parts(rows, columns) == parts


@dtypes
def test_no_bit_depends_on_the_order_of_threads_or_on_the_grid(dtype: torch.dtype) -> None:
    logits = logits_of(5, 333, dtype)
    expected = sums(ShimLauncher(), logits)
    for launcher in (ShimLauncher(schedule_seed=1), ShimLauncher(schedule_seed=2), OtherExtents(3, 32, ShimLauncher())):
        assert all(torch.equal(one, other) for one, other in zip(sums(launcher, logits), expected, strict=True))


@dtypes
@pytest.mark.parametrize("place", [0, 40, 99])
def test_what_is_no_number_is_a_sum_that_is_none(dtype: torch.dtype, place: int) -> None:
    logits = logits_of(5, 100, dtype)
    logits[1, place], logits[2, place], logits[3], logits[4, :-1] = torch.nan, torch.inf, -torch.inf, -torch.inf
    most, totals = sums(ShimLauncher(), logits)
    assert totals.isfinite().tolist() == [True, False, False, False, True]
    assert (most[4], totals[4]) == (logits[4, -1], 1)
    CudaPieces(ShimLauncher()).weigh(logits, most + totals.log(), torch.ones(5))
    assert logits[[1, 2, 3]].isnan().all()
    torch.testing.assert_close(logits[[0, 4]].float().sum(dim=1), torch.ones(2), rtol=2**-7, atol=0)


@pytest.mark.parametrize("columns", [1, 8], ids=["one by one", "at once"])
def test_weights_are_rounded_to_the_nearest_bfloat16_ties_to_even(columns: int) -> None:
    weights = torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -1 - 2**-8, 2.0**-130, 3.4e38])
    logits = torch.zeros(6, columns, dtype=torch.bfloat16)
    CudaPieces(ShimLauncher()).weigh(logits, torch.zeros(6), weights)
    expected = torch.tensor([1.0, 1 + 2**-6, 1 + 2**-7, -1.0, 2.0**-130, torch.inf]).bfloat16()
    assert torch.equal(logits, expected.unsqueeze(1).expand(-1, columns))


def test_no_number_is_rounded_to_one() -> None:
    """A GPU makes NaNs whose bits are all ones: counted up, they would be those of a zero."""
    logits, all_ones = torch.zeros(1, 9, dtype=torch.bfloat16), torch.tensor([2**31 - 1], dtype=torch.int32)
    CudaPieces(ShimLauncher()).weigh(logits, all_ones.view(torch.float32), torch.ones(1))
    assert logits.isnan().all()


@dtypes
@pytest.mark.parametrize("shape", [(0, 5), (0, 0), (3, 0)])
def test_chunks_without_logits_change_nothing(dtype: torch.dtype, shape: tuple[int, int]) -> None:
    most, totals = sums(ShimLauncher(), torch.zeros(shape, dtype=dtype))
    assert torch.equal(most, torch.full(shape[:1], -torch.inf))
    assert not totals.any()
    CudaPieces(ShimLauncher()).weigh(torch.zeros(shape, dtype=dtype), most, totals)


@dtypes
def test_no_two_threads_meet(dtype: torch.dtype) -> None:
    logits = logits_of(3, 101, dtype, off=1)
    for launcher in (ShimLauncher(races=True), OtherExtents(2, 40, ShimLauncher(races=True))):
        most, totals = sums(launcher, logits[:, :50].contiguous(), logits[:, 50:].contiguous())
        assert_sums((most, totals), logits)
        replaced = logits_of(3, 101, dtype, off=1)
        CudaPieces(launcher).weigh(replaced, most + totals.log(), torch.ones(3))
        assert_weights(replaced, logits, most + totals.log(), torch.ones(3))


# ---- with the products


def inputs(queries: int, rows: int, dim: int, *, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, rows, targets, and gradients of the losses."""
    generator = torch.Generator().manual_seed(queries + rows + dim)
    q, e = (scale * torch.randn(n, dim, generator=generator) for n in (queries, rows))
    return q, e, torch.randint(rows, (queries,), generator=generator), torch.linspace(-1, 2, queries)


def with_gradients(given: tuple[Tensor, ...], *, rounded: bool) -> list[Tensor]:
    *factors, targets, gradient = given
    losses, normalisers, kept = cross_entropies(ShimLauncher(), *factors, targets, rounded)
    found = cross_entropy_gradients(ShimLauncher(), gradient, *factors, targets, normalisers, kept, rounded)
    return [losses, *found]


def twin(given: tuple[Tensor, ...]) -> list[Tensor]:
    q, e, targets, gradient = given
    leaves = [x.double().requires_grad_() for x in (q, e)]
    losses = reference(*leaves, targets)
    losses.backward(gradient.double())
    return [losses.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def assert_close(found: list[Tensor], expected: list[Tensor], error: float) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=error, atol=error * max(1.0, float(other.abs().max())))


@given(queries=st.integers(1, 9), rows=st.integers(1, 80), dim=st.integers(1, 20), at_once=st.integers(1, 400))
def test_losses_and_gradients_equal_those_of_the_twin(queries: int, rows: int, dim: int, at_once: int) -> None:
    given = inputs(queries, rows, dim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CHUNKS, at_once)
        assert_close(with_gradients(given, rounded=False), twin(given), 2e-5)


@pytest.mark.parametrize("at_once", [2**26, 40])
def test_losses_and_gradients_of_rounded_products_are_close(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(CHUNKS, at_once)
    given = inputs(8, 133, 64, scale=0.3)
    found, expected = with_gradients(given, rounded=True), twin(given)
    assert_close(found, expected, 0.05)
    assert any((one.double() - other).abs().max() > 1e-4 for one, other in zip(found, expected, strict=True))
