"""Terms by `cuda/negative_terms.cu` and their gradients equal their twins in float64, whatever is masked out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from other_extents import OtherExtents, launched
from shim.launcher import ShimLauncher
from torch import Tensor

from graphkit.engine.cuda.launcher import Launcher
from graphkit.engine.cuda.negative_terms import negative_terms
from graphkit.engine.kernels.negative_terms import reference_log_sum_terms, reference_softplus_terms

#: By sharpness.
TWINS: dict[float | None, Callable[[Tensor, Tensor], Tensor]] = {
    0.0: lambda x, m: reference_softplus_terms(x, m, sharpness=0),
    2.0: lambda x, m: reference_softplus_terms(x, m, sharpness=2),
    None: reference_log_sum_terms,
}
each = pytest.mark.parametrize("sharpness", TWINS, ids=["equal", "sharp", "log sum"])


def logits_of(queries: int, count: int, *, scale: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits, and a mask that leaves something of each query."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(queries, count, generator=generator) < 0.7
    mask[:, :1] = True
    return scale * torch.randn(queries, count, generator=generator), mask


def assert_equals_twin(found: tuple[Tensor, Tensor], negative: Tensor, mask: Tensor, sharpness: float | None) -> None:
    """Terms are within 1e-5 of themselves, and gradients, which are slopes times that of the term, within 2e-5."""
    leaf = negative.double().requires_grad_()
    terms = TWINS[sharpness](leaf, mask)
    of_terms = torch.linspace(-1, 2, len(terms), dtype=torch.float64)
    terms.backward(of_terms)
    torch.testing.assert_close(found[0].double(), terms.detach(), rtol=1e-5, atol=1e-6)
    assert leaf.grad is not None
    torch.testing.assert_close(of_terms.unsqueeze(1) * found[1], leaf.grad, rtol=2e-5, atol=1e-7)


@each
@given(queries=st.integers(1, 6), count=st.integers(1, 200), scale=st.sampled_from([0.1, 5.0, 60.0]), data=st.data())
def test_terms_and_gradients_equal_those_of_the_twin(
    sharpness: float | None, queries: int, count: int, scale: float, data: st.DataObject
) -> None:
    negative, mask = logits_of(queries, count, scale=scale, seed=data.draw(st.integers(0, 99), "seed"))
    launcher = ShimLauncher(schedule_seed=data.draw(st.integers(0, 3), "schedule"))
    assert_equals_twin(negative_terms(launcher, negative, mask, sharpness), negative, mask, sharpness)


@each
@launched
@pytest.mark.parametrize("count", [1, 31, 600])
def test_any_extents_give_the_terms_of_the_twin(sharpness: float | None, launcher: Launcher, count: int) -> None:
    negative, mask = logits_of(5, count, scale=5)
    assert_equals_twin(negative_terms(launcher, negative, mask, sharpness), negative, mask, sharpness)


@each
def test_no_bit_depends_on_the_order_of_threads_or_on_the_grid(sharpness: float | None) -> None:
    negative, mask = logits_of(7, 300)
    expected = negative_terms(ShimLauncher(), negative, mask, sharpness)
    for launcher in (ShimLauncher(schedule_seed=1), ShimLauncher(schedule_seed=2), OtherExtents(2, 96, ShimLauncher())):
        found = negative_terms(launcher, negative, mask, sharpness)
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@each
def test_what_is_masked_out_changes_nothing_and_has_no_slope(sharpness: float | None) -> None:
    negative, mask = torch.randn(3, 150, generator=torch.Generator().manual_seed(0)), torch.ones(3, 150).bool()
    mask[:, 5:90] = False
    terms, slopes = negative_terms(ShimLauncher(), negative, mask, sharpness)
    assert not slopes[:, 5:90].any()
    for value in (1e6, torch.nan, torch.inf):
        negative[:, 5:90] = value
        changed, same = negative_terms(ShimLauncher(), negative, mask, sharpness)
        assert torch.equal(changed, terms)
        assert torch.equal(same, slopes)


@each
def test_where_all_is_masked_out_there_is_no_term_and_no_slope(sharpness: float | None) -> None:
    mask = torch.zeros(2, 40).bool()
    mask[1, 3] = True
    terms, slopes = negative_terms(ShimLauncher(), torch.randn(2, 40), mask, sharpness)
    assert terms[0] == (-torch.inf if sharpness is None else 0)
    assert torch.isfinite(terms[1])
    assert not slopes[0].any()


@pytest.mark.parametrize("sharpness", [2.0, None], ids=["sharp", "log sum"])
def test_logits_of_no_weight_have_no_term_and_no_slope(sharpness: float | None) -> None:
    terms, slopes = negative_terms(ShimLauncher(), torch.full((1, 40), -torch.inf), torch.ones(1, 40).bool(), sharpness)
    assert terms.item() == (-torch.inf if sharpness is None else 0)
    assert not slopes.any()


@each
@pytest.mark.parametrize("shape", [(0, 5), (0, 0), (3, 0)])
def test_no_queries_or_no_negatives_have_no_terms(sharpness: float | None, shape: tuple[int, int]) -> None:
    terms, slopes = negative_terms(ShimLauncher(), torch.zeros(shape), torch.ones(shape).bool(), sharpness)
    assert torch.equal(terms, torch.full((shape[0],), -torch.inf if sharpness is None else 0.0))
    assert slopes.shape == shape


@each
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_stays_with_its_query(sharpness: float | None, value: float) -> None:
    negative = torch.randn(3, 150, generator=torch.Generator().manual_seed(1))
    negative[1, 130] = value
    terms, _ = negative_terms(ShimLauncher(), negative, torch.ones(3, 150).bool(), sharpness)
    assert torch.isfinite(terms).tolist() == [True, False, True]


def test_logits_far_from_zero_keep_their_digits() -> None:
    mask = torch.ones(1, 1).bool()
    for value in (-80.0, -30.0, -5.0, 0.0, 5.0, 30.0, 1e4):
        found, _ = negative_terms(ShimLauncher(), torch.tensor([[value]]), mask, 1.0)
        expected = torch.nn.functional.softplus(torch.tensor([value], dtype=torch.float64))
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


@each
def test_logits_and_masks_of_any_layout_give_the_same_bits(sharpness: float | None) -> None:
    negative, mask = logits_of(6, 33)
    expected = negative_terms(ShimLauncher(), negative, mask, sharpness)
    turned = negative_terms(ShimLauncher(), negative.T.contiguous().T, mask.T.contiguous().T, sharpness)
    later = [torch.cat([x.flatten()[:1], x.flatten()])[1:].view(x.shape) for x in (negative, mask)]
    for found in (turned, negative_terms(ShimLauncher(), later[0], later[1], sharpness)):
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@each
def test_no_two_threads_meet(sharpness: float | None) -> None:
    negative, mask = logits_of(3, 150)
    for launcher in (ShimLauncher(races=True), OtherExtents(2, 72, ShimLauncher(races=True))):
        assert_equals_twin(negative_terms(launcher, negative, mask, sharpness), negative, mask, sharpness)
