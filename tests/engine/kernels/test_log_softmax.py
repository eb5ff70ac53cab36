"""Cross entropy over all rows equals its twin in float64, whatever the chunks, the path and the number of threads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError, _native
from graphkit.engine.kernels import cross_entropy, log_softmax
from graphkit.engine.kernels.log_softmax import cross_entropies, cross_entropy_gradients, reference

pytestmark = pytest.mark.usefixtures("path")  # each instruction set


def inputs(queries: int, rows: int, dim: int, *, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, rows, targets, and gradients of the losses."""
    generator = torch.Generator().manual_seed(queries + rows + dim)
    q, e = (scale * torch.randn(n, dim, generator=generator) for n in (queries, rows))
    return q, e, torch.randint(rows, (queries,), generator=generator), torch.linspace(-1, 2, queries)


def with_gradients(given: tuple[Tensor, ...], *, rounded: bool = False) -> list[Tensor]:
    q, e, targets, gradient = given
    leaves = [x.clone().requires_grad_() for x in (q, e)]
    losses = cross_entropy(*leaves, targets, rounded=rounded)
    losses.backward(gradient)
    return [losses.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


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
        patch.setattr(log_softmax, "LOGITS_AT_ONCE", at_once)
        assert_close(with_gradients(given), twin(given), 2e-5)


@pytest.mark.parametrize("at_once", [2**26, 40])
def test_losses_and_gradients_of_rounded_products_are_close(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(log_softmax, "LOGITS_AT_ONCE", at_once)
    given = inputs(8, 133, 64, scale=0.3)
    found, expected = with_gradients(given, rounded=True), twin(given)
    assert_close(found, expected, 0.05)
    assert any((one.double() - other).abs().max() > 1e-4 for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("rounded", [False, True])
def test_chunks_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch, rounded: bool) -> None:
    given = inputs(5, 100, 16)
    whole = with_gradients(given, rounded=rounded)
    monkeypatch.setattr(log_softmax, "LOGITS_AT_ONCE", 5 * 33)
    found = with_gradients(given, rounded=rounded)
    assert_close(found, [x.double() for x in whole], 0.02 if rounded else 1e-5)


def test_logits_of_any_size_are_finite() -> None:
    q = torch.tensor([[1e4], [-1e4], [0.0]])
    e = torch.tensor([[1.0], [-1.0], [0.5]])
    given = (q, e, torch.tensor([0, 0, 1]), torch.ones(3))
    losses, of_queries, of_rows = with_gradients(given)
    torch.testing.assert_close(losses, torch.tensor([0.0, 2e4, 3.0]).log1p().new_tensor([0.0, 2e4, 1.0986123]))
    assert torch.isfinite(of_queries).all()
    assert torch.isfinite(of_rows).all()


def test_gradients_of_queries_vanish_where_all_rows_are_equal() -> None:
    q, e, targets, gradient = inputs(4, 30, 8)
    _, of_queries, of_rows = with_gradients((q, e[:1].expand(30, -1).contiguous(), targets, gradient))
    assert of_queries.abs().max() < 1e-5
    torch.testing.assert_close(of_rows.sum(dim=0), torch.zeros(8), rtol=0, atol=1e-5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_no_number_is_a_loss_that_is_none(value: float) -> None:
    q, e, targets, _ = inputs(3, 40, 8)
    q[1, 2] = value
    assert cross_entropy(q, e, targets).isfinite().tolist() == [True, False, True]
    e[17, 3] = value
    expected = reference(q.double(), e.double(), targets).isfinite()
    assert cross_entropy(q, e, targets).isfinite().tolist() == expected.tolist()
    assert not expected.all()


def test_no_bit_depends_on_the_number_of_threads() -> None:
    given, before = inputs(64, 500, 32), torch.get_num_threads()
    most, found = torch.full((64,), -torch.inf), []
    logits = given[0] @ given[1].T
    for threads in (1, 2, 4):
        largest, totals, weights = most.clone(), torch.zeros(64), logits.clone()
        _native.softmax_sums(logits, False, largest, totals, threads)
        _native.softmax_gradients(weights, False, largest + totals.log(), torch.ones(64), threads)
        found.append((largest, totals, weights))
    assert all(torch.equal(one, other) for other in found[1:] for one, other in zip(found[0], other, strict=True))
    torch.testing.assert_close(found[0][2].sum(dim=1), torch.ones(64))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("at_once", [2**26, 40])
def test_the_custom_operations_pass_torch_s_own_checks(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(log_softmax, "LOGITS_AT_ONCE", at_once)
    q, e, targets, gradient = inputs(4, 30, 8)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(cross_entropies, (q.requires_grad_(), e, targets, False), test_utils=tests)
    plain = q.detach()
    _, normalisers, kept = cross_entropies(plain, e, targets, False)
    torch.library.opcheck(
        cross_entropy_gradients, (gradient, plain, e, targets, normalisers, kept, False), test_utils=tests
    )


def test_gradients_are_taken_once() -> None:
    q, e, targets, _ = inputs(4, 30, 8)
    loss = cross_entropy(q.requires_grad_(), e, targets).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize(
    ("queries", "rows", "targets", "message"),
    [
        (
            torch.zeros(2, 3),
            torch.zeros(4, 3, dtype=torch.float64),
            torch.tensor([0, 1]),
            "queries are torch.float32 of shape (2, 3) and rows torch.float64 of shape (4, 3); give [B, D] and [N, D] "
            "of the same dtype",
        ),
        (
            torch.zeros(2, 3),
            torch.zeros(4, 3),
            torch.tensor([0, 1, 2]),
            "targets are torch.int64 of shape (3,) for 2 queries; give int64 of shape (2,)",
        ),
        (
            torch.zeros(2, 3),
            torch.zeros(4, 3),
            torch.tensor([0, -1]),
            "a target is row -1, outside 0 to 3; give places of rows",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(queries: Tensor, rows: Tensor, targets: Tensor, message: str) -> None:
    with pytest.raises(GraphkitError) as error:
        cross_entropy(queries, rows, targets)
    assert str(error.value) == message
