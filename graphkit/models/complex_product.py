"""Products of complex rows, whose first half are real parts and second half imaginary ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def complex_product(x: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
    """Multiplies rows coordinate by coordinate.

    Args:
        x: float32[B, D].
        real: float32[B, D/2], the real parts of the factors.
        imaginary: float32[B, D/2].

    Returns:
        float32[B, D].
    """
    found: Tensor = _ComplexProduct.apply(x, real, imaginary)  # type: ignore[no-untyped-call]  # torch has no types
    return found


class _ComplexProduct(torch.autograd.Function):
    """Forward and backward write halves of rows where they belong: of halves, autograd would copy each twice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
        ctx.save_for_backward(x, real, imaginary)
        return _multiply(x, real, imaginary)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, real, imaginary = ctx.saved_tensors
        (x_re, x_im), (g_re, g_im) = x.chunk(2, dim=1), gradient.chunk(2, dim=1)
        of_real = (g_re * x_re).addcmul_(g_im, x_im)
        of_imaginary = (g_im * x_re).addcmul_(g_re, x_im, value=-1)
        return _multiply(gradient, real, -imaginary), of_real, of_imaginary


def _multiply(x: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
    (x_re, x_im), product = x.chunk(2, dim=1), torch.empty_like(x, memory_format=torch.contiguous_format)
    re, im = product.chunk(2, dim=1)
    torch.mul(x_re, real, out=re).addcmul_(x_im, imaginary, value=-1)
    torch.mul(x_re, imaginary, out=im).addcmul_(x_im, real)
    return product
