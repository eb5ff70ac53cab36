"""Moments by `cuda/beta_moments.cu` equal their twin, and functions of arbitrary precision where that cancels."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from other_extents import OtherExtents, launched
from shim.launcher import ShimLauncher
from torch import Tensor

from graphkit.engine.cuda.beta_moments import gradients, moments
from graphkit.engine.cuda.launcher import Launcher
from graphkit.engine.kernels.beta_moments import reference


def parameters(rows: int, betas: int, *, least: float = 0.05, most: float = 20.0, seed: int = 0) -> Tensor:
    """Log-uniform parameters float32[rows, 2 betas]."""
    generator = torch.Generator().manual_seed(rows + betas + seed)
    uniform = torch.rand(rows, 2 * betas, dtype=torch.float64, generator=generator)
    return (math.log(least) + uniform * (math.log(most) - math.log(least))).exp().float()


def assert_moments(found: tuple[Tensor, Tensor], x: Tensor) -> None:
    """Errors are those of the last rounding, of the twin's own difference of digammas, and 1e-10 of its logarithm."""
    statistics, log_beta = found
    wide = x.double()
    a, b = wide.chunk(2, dim=1)
    exact = torch.digamma(wide) - torch.digamma(a + b).repeat(1, 2)
    torch.testing.assert_close(statistics[:, :-1].double(), exact, rtol=6.1e-8, atol=2e-12)
    torch.testing.assert_close(log_beta, reference(x)[1], rtol=1e-10, atol=1e-10)
    entropy = log_beta - ((wide - 1) * statistics[:, :-1].double()).sum(dim=1)
    torch.testing.assert_close(statistics[:, -1].double(), entropy, rtol=6.1e-8, atol=1e-9 * float(x.max()))


def given_gradients(rows: int, betas: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    of_statistics = torch.randn(rows, 2 * betas + 1, generator=generator)
    return of_statistics, torch.randn(rows, dtype=torch.float64, generator=generator)


def assert_gradients(launcher: Launcher, x: Tensor) -> None:
    """The error is at most 1e-5 of the value, or of 1."""
    of_results = given_gradients(len(x), x.shape[1] // 2)
    found = gradients(launcher, *of_results, x, moments(launcher, x)[0])
    leaf = x.double().requires_grad_()
    torch.autograd.backward(reference(leaf), [of_results[0].double(), of_results[1]])
    assert leaf.grad is not None
    torch.testing.assert_close(found.double(), leaf.grad, rtol=1e-5, atol=1e-5)


@given(
    rows=st.integers(1, 9),
    betas=st.integers(1, 70),
    bounds=st.sampled_from([(0.05, 20.0), (1e-3, 1e4)]),
    schedule=st.integers(0, 3),
)
def test_moments_equal_those_of_the_twin(rows: int, betas: int, bounds: tuple[float, float], schedule: int) -> None:
    x = parameters(rows, betas, least=bounds[0], most=bounds[1])
    assert_moments(moments(ShimLauncher(schedule_seed=schedule), x), x)


@given(rows=st.integers(1, 9), betas=st.integers(1, 70), schedule=st.integers(0, 3))
def test_gradients_equal_those_of_the_twin_in_float64(rows: int, betas: int, schedule: int) -> None:
    assert_gradients(ShimLauncher(schedule_seed=schedule), parameters(rows, betas))


@launched
@pytest.mark.parametrize("betas", [1, 7, 40])
def test_any_extents_give_the_moments_and_gradients_of_the_twin(launcher: Launcher, betas: int) -> None:
    x = parameters(11, betas)
    assert_moments(moments(launcher, x), x)
    assert_gradients(launcher, x)


def test_expectations_keep_their_digits_where_digammas_are_close() -> None:
    """Where b is far below a, ψ(a) and ψ(a + b) agree in most digits; float64 would keep 4 of those of 1e-7."""
    sizes = [1e-3, 0.02, 0.5, 1.0, 7.5, 300.0, 1e4]
    x = torch.tensor([[a, b] for a in sizes for b in sizes])
    statistics, log_beta = moments(ShimLauncher(), x)
    with mpmath.workdps(40):
        for (a, b), (u, v, _), logarithm in zip(x.tolist(), statistics.tolist(), log_beta.tolist(), strict=True):
            for found, expected in zip((u, v), expectations(a, b), strict=True):
                assert abs(found / expected - 1) < 2**-24 + 1e-10
            terms = [abs(mpmath.loggamma(z)) for z in (a, b, mpmath.mpf(a) + b)]
            assert abs(logarithm - mpmath.log(mpmath.beta(a, b))) < 1e-13 * max(1, *terms)


def test_expectations_are_rounded_right() -> None:
    """An error of 1e-10 takes one in 600 to the wrong side; without its last term the series would take some 20."""
    x = parameters(1000, 1, least=0.2, most=4.0)
    statistics, _ = moments(ShimLauncher(), x)
    with mpmath.workdps(30):
        exact = torch.tensor([[float(y) for y in expectations(a, b)] for a, b in x.tolist()], dtype=torch.float64)
    assert (statistics[:, :2] != exact.float()).sum() <= 3


def expectations(a: float, b: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    of_sum = mpmath.digamma(mpmath.mpf(a) + b)
    return mpmath.digamma(a) - of_sum, mpmath.digamma(b) - of_sum


@pytest.mark.parametrize("x", [(1e-3, 1e-3), (1e4, 1e4), (1e-3, 1e4), (1e4, 1e-3), (1.0, 0.5), (0.7, 3.0)])
def test_trigammas_keep_their_digits(x: tuple[float, float]) -> None:
    """With gradients that let their terms cancel, what is left shows digits that float32 would hide."""
    a, b = torch.tensor(x).tolist()
    with mpmath.workdps(40):
        of_a, of_s = mpmath.psi(1, a), mpmath.psi(1, mpmath.mpf(a) + b)
        of_u, of_v = torch.tensor([1.0, float(of_a / of_s) - 1]).tolist()
        terms = (of_u * of_a, -(mpmath.mpf(of_u) + of_v) * of_s)
        of_statistics = torch.tensor([[of_u, of_v, 0.0]])
        statistics = torch.zeros(1, 3)
        no_log = torch.zeros(1, dtype=torch.float64)
        found = gradients(ShimLauncher(), of_statistics, no_log, torch.tensor([x]), statistics)[0, 0].item()
        left = mpmath.fsum(terms)
        assert abs(left) < 1e-6 * terms[0]
        assert abs(found - left) < 2**-24 * abs(left) + 1e-10 * terms[0]


def test_beta_1_1_is_uniform() -> None:
    statistics, log_beta = moments(ShimLauncher(), torch.ones(2, 6))
    torch.testing.assert_close(statistics, torch.tensor([[-1.0] * 6 + [0.0]] * 2), rtol=0, atol=1e-12)
    torch.testing.assert_close(log_beta, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)


def test_no_bit_depends_on_the_order_of_threads_on_the_grid_or_on_other_rows() -> None:
    x = parameters(9, 20)
    of_results, expected = given_gradients(9, 20), moments(ShimLauncher(), x)
    of_x = gradients(ShimLauncher(), *of_results, x, expected[0])
    for launcher in (ShimLauncher(schedule_seed=1), ShimLauncher(schedule_seed=2), OtherExtents(2, 96, ShimLauncher())):
        found = moments(launcher, x)
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
        assert torch.equal(gradients(launcher, *of_results, x, found[0]), of_x)
    some = moments(ShimLauncher(), x[7:9])
    assert all(torch.equal(one, other[7:9]) for one, other in zip(some, expected, strict=True))


def test_arguments_of_any_layout_give_the_same_bits() -> None:
    x = parameters(6, 5)
    expected = moments(ShimLauncher(), x)
    of_results = given_gradients(6, 5)
    of_x = gradients(ShimLauncher(), *of_results, x, expected[0])

    def turned(tensor: Tensor) -> Tensor:
        return torch.stack([tensor, tensor], dim=-1)[..., 0]

    found = moments(ShimLauncher(), turned(x))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    spread = [turned(tensor) for tensor in (*of_results, x, expected[0])]
    assert torch.equal(gradients(ShimLauncher(), *spread), of_x)


@pytest.mark.parametrize(("rows", "betas"), [(0, 3), (0, 0), (4, 0)])
def test_no_rows_or_no_betas_have_no_moments(rows: int, betas: int) -> None:
    x = torch.ones(rows, 2 * betas)
    statistics, log_beta = moments(ShimLauncher(), x)
    assert torch.equal(statistics, torch.zeros(rows, 2 * betas + 1))
    assert torch.equal(log_beta, torch.zeros(rows, dtype=torch.float64))
    assert gradients(ShimLauncher(), statistics, log_beta, x, statistics).shape == x.shape


def test_no_two_threads_meet() -> None:
    x = parameters(7, 9)
    for launcher in (ShimLauncher(races=True), OtherExtents(2, 40, ShimLauncher(races=True))):
        assert_moments(moments(launcher, x), x)
        assert_gradients(launcher, x)
