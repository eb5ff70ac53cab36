"""Products of rows with real and imaginary halves are those of complex numbers, and so are their gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphkit.models.complex_product import complex_product


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (0, 4)])
def test_it_is_the_product_of_complex_numbers(shape: tuple[int, int]) -> None:
    x, factor = (torch.complex(drawn(*shape, seed=seed), drawn(*shape, seed=seed + 1)) for seed in (0, 2))
    expected = x * factor
    found = complex_product(torch.cat([x.real, x.imag], dim=1), factor.real, factor.imag)
    torch.testing.assert_close(found, torch.cat([expected.real, expected.imag], dim=1))


def test_gradients_are_those_of_finite_differences() -> None:
    arguments = (drawn(3, 8, seed=1), drawn(3, 4, seed=2), drawn(3, 4, seed=3))
    assert torch.autograd.gradcheck(complex_product, [argument.requires_grad_() for argument in arguments])


def test_rows_need_not_be_contiguous() -> None:
    x, real, imaginary = drawn(8, 3, seed=1).T, drawn(4, 3, seed=2).T, drawn(4, 3, seed=3).T
    expected = complex_product(x.contiguous(), real.contiguous(), imaginary.contiguous())
    assert torch.equal(complex_product(x, real, imaginary), expected)
