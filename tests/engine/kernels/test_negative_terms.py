"""Terms of negatives equal their twins in float64, whatever is masked out, on every path and number of threads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels.negative_terms import (
    log_sum_terms,
    negative_terms,
    reference_log_sum_terms,
    reference_softplus_terms,
    softplus_terms,
)

Term = Callable[[Tensor, Tensor], Tensor]

#: Each operation with its twin.
PAIRS: dict[str, tuple[Term, Term]] = {
    "equal": (lambda x, m: softplus_terms(x, m, sharpness=0), lambda x, m: reference_softplus_terms(x, m, sharpness=0)),
    "sharp": (lambda x, m: softplus_terms(x, m, sharpness=2), lambda x, m: reference_softplus_terms(x, m, sharpness=2)),
    "log sum": (log_sum_terms, reference_log_sum_terms),
}
each = pytest.mark.parametrize("name", PAIRS)


pytestmark = pytest.mark.usefixtures("path")  # each instruction set


def with_gradient(term: Term, negative: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    leaf = negative.clone().requires_grad_()
    terms = term(leaf, mask)
    terms.backward(torch.linspace(-1, 2, len(terms), dtype=terms.dtype))
    assert leaf.grad is not None
    return terms.detach(), leaf.grad


@each
@given(queries=st.integers(1, 6), count=st.integers(1, 40), scale=st.sampled_from([0.1, 5.0, 60.0]), data=st.data())
def test_terms_and_gradients_equal_those_of_the_twin(
    name: str, queries: int, count: int, scale: float, data: st.DataObject
) -> None:
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    negative = scale * torch.randn(queries, count, generator=generator)
    mask = torch.rand(queries, count, generator=generator) < 0.7
    mask[:, 0] = True
    native, twin = PAIRS[name]
    found, expected = with_gradient(native, negative, mask), with_gradient(twin, negative.double(), mask)
    torch.testing.assert_close(found[0].double(), expected[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[1].double(), expected[1], rtol=2e-5, atol=1e-7)


@each
def test_what_is_masked_out_changes_nothing_and_has_no_gradient(name: str) -> None:
    negative, mask = torch.randn(3, 37, generator=torch.Generator().manual_seed(0)), torch.ones(3, 37).bool()
    mask[:, 5:20] = False
    terms, gradient = with_gradient(PAIRS[name][0], negative, mask)
    assert not gradient[:, 5:20].any()
    negative[:, 5:20] = 1e6
    changed, same = with_gradient(PAIRS[name][0], negative, mask)
    assert torch.equal(changed, terms)
    assert torch.equal(same, gradient)


@each
def test_where_all_is_masked_out_there_is_no_term_and_no_gradient(name: str) -> None:
    negative, mask = torch.randn(2, 20), torch.zeros(2, 20).bool()
    mask[1, 3] = True
    terms, gradient = with_gradient(PAIRS[name][0], negative, mask)
    assert terms[0] == (-torch.inf if name == "log sum" else 0)
    assert torch.isfinite(terms[1])
    assert not gradient[0].any()


@each
@pytest.mark.parametrize("count", [0, 5])
def test_no_queries_or_no_negatives_have_no_terms(name: str, count: int) -> None:
    native, _ = PAIRS[name]
    assert native(torch.zeros(0, count), torch.ones(0, count).bool()).shape == (0,)
    if count == 0 and name != "log sum":
        assert torch.equal(native(torch.zeros(3, 0), torch.ones(3, 0).bool()), torch.zeros(3))


@each
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_stays_with_its_query(name: str, value: float) -> None:
    negative = torch.randn(3, 33, generator=torch.Generator().manual_seed(1))
    negative[1, 30] = value
    terms = PAIRS[name][0](negative, torch.ones(3, 33).bool())
    assert torch.isfinite(terms).tolist() == [True, False, True]


def test_logits_far_from_zero_keep_their_digits() -> None:
    mask = torch.ones(1, 1).bool()
    for value in (-80.0, -30.0, -5.0, 0.0, 5.0, 30.0, 1e4):
        found = softplus_terms(torch.tensor([[value]]), mask, sharpness=1.0)
        expected = torch.nn.functional.softplus(torch.tensor([value], dtype=torch.float64))
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)


def test_no_bit_depends_on_the_number_of_threads(threads: Callable[[int], None]) -> None:
    negative, mask = torch.randn(900, 300), torch.rand(900, 300) < 0.9
    found = []
    for count in (1, 2, 4):
        threads(count)
        found.append([with_gradient(native, negative, mask) for native, _ in PAIRS.values()])
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            assert torch.equal(one[0], same[0])
            assert torch.equal(one[1], same[1])


@pytest.mark.parametrize("sharpness", [None, 0.5])
def test_the_custom_operation_passes_torch_s_own_checks(sharpness: float | None) -> None:
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    negative = torch.randn(4, 9, requires_grad=True)
    torch.library.opcheck(negative_terms, (negative, torch.ones(4, 9).bool(), sharpness), test_utils=tests)


@each
@pytest.mark.parametrize(
    ("logits", "mask", "said"),
    [
        ((4, 8), torch.ones(4, 1).bool(), "(4, 8) and their mask is torch.bool of shape (4, 1)"),
        ((8,), torch.ones(8).bool(), "(8,) and their mask is torch.bool of shape (8,)"),
        ((4, 8), torch.ones(4, 8), "(4, 8) and their mask is torch.float32 of shape (4, 8)"),
    ],
)
def test_a_mask_of_another_shape_is_refused(name: str, logits: tuple[int, ...], mask: Tensor, said: str) -> None:
    with pytest.raises(GraphkitError) as error:
        PAIRS[name][0](torch.zeros(logits), mask)
    assert str(error.value) == (
        f"logits of negatives have shape {said}; give both two dimensions, [B, K], and a mask of torch.bool"
    )


@each
@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_a_second_derivative_is_refused(name: str, weight: float) -> None:
    leaf, mask = torch.randn(4, 5).requires_grad_(), torch.ones(4, 5, dtype=torch.bool)
    terms = PAIRS[name][0](leaf, mask)
    [gradient] = torch.autograd.grad((terms**weight).sum(), leaf, create_graph=True)
    with pytest.raises(GraphkitError) as error:
        (gradient.sum() + leaf.sum()).backward()
    assert str(error.value) == "terms of negatives have no second derivative; take their gradient once"
