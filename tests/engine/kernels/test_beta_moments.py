"""Moments of Betas equal their twin, and torch's own functions in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels.beta_moments import beta_moments, gradients, moments, reference

pytestmark = pytest.mark.usefixtures("path")  # each instruction set


def parameters(rows: int, betas: int, *, least: float = 0.05, most: float = 20.0) -> Tensor:
    """Log-uniform parameters float32[rows, 2 betas]."""
    generator = torch.Generator().manual_seed(rows + betas)
    uniform = torch.rand(rows, 2 * betas, dtype=torch.float64, generator=generator)
    return (math.log(least) + uniform * (math.log(most) - math.log(least))).exp().float()


@pytest.mark.parametrize("betas", [1, 2, 7, 8, 9, 33])
@pytest.mark.parametrize(("least", "most"), [(0.05, 20.0), (1e-3, 1e4)])
def test_moments_equal_those_of_the_twin(betas: int, least: float, most: float) -> None:
    x = parameters(40, betas, least=least, most=most)
    statistics, log_beta = beta_moments(x)
    expected, expected_log_beta = reference(x)
    # Digammas of large arguments are close: their difference has an error of 1e-14 of them.
    wide = x.double()
    a, b = wide.chunk(2, dim=1)
    exact = torch.digamma(wide) - torch.digamma(a + b).repeat(1, 2)
    torch.testing.assert_close(statistics[:, :-1].double(), exact, rtol=6.1e-8, atol=2e-12)
    torch.testing.assert_close(log_beta, expected_log_beta, rtol=1e-10, atol=1e-10)
    entropy = log_beta - ((wide - 1) * statistics[:, :-1].double()).sum(dim=1)
    torch.testing.assert_close(statistics[:, -1].double(), entropy, rtol=6.1e-8, atol=1e-9 * most)
    assert statistics.shape == expected.shape


@pytest.mark.parametrize("betas", [1, 5, 8, 17])
def test_gradients_equal_those_of_the_twin_in_float64(betas: int) -> None:
    x = parameters(30, betas)
    one, other = x.clone().requires_grad_(), x.double().requires_grad_()
    generator = torch.Generator().manual_seed(1)
    of_statistics = torch.randn(30, 2 * betas + 1, generator=generator)
    of_log_beta = torch.randn(30, dtype=torch.float64, generator=generator)
    torch.autograd.backward(beta_moments(one), [of_statistics, of_log_beta])
    torch.autograd.backward(reference(other), [of_statistics.double(), of_log_beta])
    assert one.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-5, atol=1e-5)


def test_gradients_of_the_twin_equal_finite_differences() -> None:
    assert torch.autograd.gradcheck(reference, parameters(3, 2).double().requires_grad_())


def test_beta_1_1_is_uniform() -> None:
    statistics, log_beta = beta_moments(torch.ones(2, 6))
    expected = torch.tensor([[-1.0] * 6 + [0.0]] * 2)
    torch.testing.assert_close(statistics, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_beta, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)


def test_no_bit_depends_on_threads_or_on_other_rows(threads: Callable[[int], None]) -> None:
    x = parameters(50, 20)
    whole = beta_moments(x)
    for count in (1, 2, 4):
        threads(count)
        assert all(torch.equal(one, other) for one, other in zip(beta_moments(x), whole, strict=True))
    some = beta_moments(x[7:9])
    assert all(torch.equal(one, other[7:9]) for one, other in zip(some, whole, strict=True))


def test_no_rows_have_no_moments() -> None:
    statistics, log_beta = beta_moments(torch.ones(0, 6))
    assert (statistics.shape, log_beta.shape) == ((0, 7), (0,))


def test_the_custom_operations_pass_torch_s_own_checks() -> None:
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    x = parameters(4, 3)
    torch.library.opcheck(moments, (x.clone().requires_grad_(),), test_utils=tests)
    statistics, log_beta = moments(x)
    torch.library.opcheck(gradients, (statistics, log_beta, x, statistics), test_utils=tests)


@pytest.mark.parametrize("shape", [(3, 5), (4,), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parameters_that_are_no_rows_of_pairs_are_refused(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    with pytest.raises(GraphkitError) as error:
        beta_moments(torch.ones(shape, dtype=dtype))
    assert str(error.value) == f"parameters of Betas have shape {shape}; give [U, 2B], all a of a row, then all b"
