"""Queries that follow a relation: each names a row of a table, and takes it as it is or, backwards, turned round.

Neither the rows that queries name nor their gradients are ever held one a query. float32 on the CPU is computed
natively; everything else by the twins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit import _native
from graphkit.engine import buffers
from graphkit.engine.kernels.dispatch import on_cpu
from graphkit.engine.kernels.placed_rows import PlacedRows
from graphkit.errors import GraphkitError

#: Makes of the gradient of what an operation returned those of what it was given.
ByHand = Callable[[Tensor], tuple[Tensor, Tensor]]


def translate(x: Tensor, vectors: Tensor, directed: Tensor) -> Tensor:
    """Adds to each row the vector that it names, or subtracts it.

    Args:
        x: float32[B, D].
        vectors: float32[R, D].
        directed: int64[B], 2 r for vector r, and 2 r + 1 for its negative.

    Returns:
        float32[B, D].

    Raises:
        GraphkitError: shapes do not go together, or a row names a vector that there is not. On devices the caller makes
            sure of the latter.
    """
    _require(x, vectors, vectors.shape[-1])
    require_directed(directed, len(x), len(vectors))
    if not on_cpu(x, vectors):
        return reference_translate(x, vectors, directed)
    moved: Tensor = translated(x.contiguous(), vectors.contiguous(), directed.contiguous())
    return moved


def turn(x: Tensor, real: Tensor, imaginary: Tensor, directed: Tensor) -> Tensor:
    """Multiplies the complex coordinates of each row by those of the table's row that it names, or their conjugates.

    Args:
        x: float32[B, D], real parts, then imaginary ones.
        real: float32[R, D/2].
        imaginary: float32[R, D/2].
        directed: int64[B], 2 r for row r, and 2 r + 1 for its conjugate.

    Returns:
        float32[B, D].

    Raises:
        GraphkitError: shapes do not go together, or a row names one that there is not. On devices the caller makes sure
            of the latter.
    """
    _require(x, real, 2 * real.shape[-1])
    if imaginary.shape != real.shape:
        raise GraphkitError(
            f"relations have real parts of shape {tuple(real.shape)} and imaginary ones of {tuple(imaginary.shape)}; "
            "give both the same shape, [R, D/2]"
        )
    require_directed(directed, len(x), len(real))
    if not on_cpu(x, real, imaginary):
        return reference_turn(x, real, imaginary, directed)
    turned_: Tensor = turned(x.contiguous(), real.contiguous(), imaginary.contiguous(), directed.contiguous())
    return turned_


def translate_by_hand(x: PlacedRows, vectors: Tensor, directed: Tensor) -> tuple[Tensor, ByHand]:
    """Does what `translate` does, without autograd.

    Args:
        x: B rows, contiguous, in host memory, as is all else.
        vectors: see `translate`.
        directed: see there.

    Returns:
        float32[B, D], and what makes of its gradient those of `x` and of `vectors`, bit for bit those of autograd.

    Raises:
        GraphkitError: as there.
    """
    require_directed(directed, _require(x, vectors, vectors.shape[-1]), len(vectors))
    moved = _translated(x, vectors, directed)
    return moved, lambda gradient: (gradient, _translated_gradient(gradient, directed, len(vectors)))


def turn_by_hand(x: PlacedRows, phases: Tensor, directed: Tensor) -> tuple[Tensor, ByHand]:
    """Does what `turn` does by cosines and sines of phases, without autograd.

    Args:
        x: B rows, contiguous, in host memory, as is all else.
        phases: float32[R, D/2].
        directed: see `turn`.

    Returns:
        float32[B, D], and what makes of its gradient those of `x` and of `phases`, bit for bit those of autograd.

    Raises:
        GraphkitError: as there.
    """
    require_directed(directed, _require(x, phases, 2 * phases.shape[-1]), len(phases))
    real, imaginary = phases.cos(), phases.sin()

    def back(gradient: Tensor) -> tuple[Tensor, Tensor]:
        of_x, of_real, of_imaginary = _turned_gradients(gradient, x, real, imaginary, directed)
        return of_x, of_imaginary * real - of_real * imaginary

    return _turned(x, real, imaginary, directed), back


def reference_translate(x: Tensor, vectors: Tensor, directed: Tensor) -> Tensor:
    """The plain twin of `translate`."""
    return x + _signs(directed, x) * F.embedding(directed // 2, vectors)


def reference_turn(x: Tensor, real: Tensor, imaginary: Tensor, directed: Tensor) -> Tensor:
    """The plain twin of `turn`."""
    c, s = F.embedding(directed // 2, real), _signs(directed, x) * F.embedding(directed // 2, imaginary)
    re, im = x.chunk(2, dim=1)
    return torch.cat([re * c - im * s, re * s + im * c], dim=1)


def _signs(directed: Tensor, x: Tensor) -> Tensor:
    return (1 - 2 * (directed % 2)).unsqueeze(1).to(x.dtype)


def _translated(x: PlacedRows, vectors: Tensor, directed: Tensor) -> Tensor:
    to = buffers.empty(*x.shape)
    _native.translate(x.rows, x.places, vectors, directed, to, torch.get_num_threads())
    return to


@torch.library.custom_op("graphkit::translated", mutates_args=())
def translated(x: Tensor, vectors: Tensor, directed: Tensor) -> Tensor:
    """See `translate`."""
    return _translated(PlacedRows(x, None), vectors, directed)


@translated.register_fake
def _(x: Tensor, vectors: Tensor, directed: Tensor) -> Tensor:
    return torch.empty_like(x)


def _translated_gradient(gradient: Tensor, directed: Tensor, rows: int) -> Tensor:
    """The gradient of the vectors of `translated`, float32[rows, D]."""
    of_vectors = buffers.empty(rows, gradient.shape[1])
    _native.translate_gradients(gradient, directed, of_vectors, torch.get_num_threads())
    return of_vectors


translated_gradient = torch.library.custom_op("graphkit::translated_gradient", _translated_gradient, mutates_args=())


@translated_gradient.register_fake
def _(gradient: Tensor, directed: Tensor, rows: int) -> Tensor:
    return gradient.new_empty(rows, gradient.shape[1])


def _turned(x: PlacedRows, real: Tensor, imaginary: Tensor, directed: Tensor) -> Tensor:
    to = buffers.empty(*x.shape)
    _native.turn(x.rows, x.places, real, imaginary, directed, to, torch.get_num_threads())
    return to


@torch.library.custom_op("graphkit::turned", mutates_args=())
def turned(x: Tensor, real: Tensor, imaginary: Tensor, directed: Tensor) -> Tensor:
    """See `turn`."""
    return _turned(PlacedRows(x, None), real, imaginary, directed)


@turned.register_fake
def _(x: Tensor, real: Tensor, imaginary: Tensor, directed: Tensor) -> Tensor:
    return torch.empty_like(x)


def _turned_gradients(
    gradient: Tensor, x: PlacedRows, real: Tensor, imaginary: Tensor, directed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    of_x, of_real, of_imaginary = (buffers.empty(*part.shape) for part in (gradient, real, imaginary))
    _native.turn_gradients(
        gradient, x.rows, x.places, real, imaginary, directed, of_x, of_real, of_imaginary, torch.get_num_threads()
    )
    return of_x, of_real, of_imaginary


@torch.library.custom_op("graphkit::turned_gradients", mutates_args=())
def turned_gradients(
    gradient: Tensor, x: Tensor, real: Tensor, imaginary: Tensor, directed: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of rows and tables of `turned`."""
    return _turned_gradients(gradient, PlacedRows(x, None), real, imaginary, directed)


@turned_gradients.register_fake
def _(gradient: Tensor, x: Tensor, real: Tensor, imaginary: Tensor, directed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(real), torch.empty_like(imaginary)


def _keep_translated(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    _, vectors, directed = inputs
    ctx.rows = len(vectors)
    ctx.save_for_backward(directed)


def _translated_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
    (directed,) = ctx.saved_tensors
    return gradient, translated_gradient(gradient.contiguous(), directed, ctx.rows), None


def _keep_turned(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _turned_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    return *turned_gradients(gradient.contiguous(), *ctx.saved_tensors), None


translated.register_autograd(_translated_backward, setup_context=_keep_translated)
turned.register_autograd(_turned_backward, setup_context=_keep_turned)


def require_directed(directed: Tensor, queries: int, rows: int) -> None:
    """Makes sure that each query follows a row of a table, where its id can be read without waiting for a device.

    Args:
        directed: int64[B]; see `translate`.
        queries: B.
        rows: R, of the table.

    Raises:
        GraphkitError: the shape or dtype is another, or a query follows a row that there is not.
    """
    if directed.shape != (queries,) or directed.dtype != torch.int64:
        raise GraphkitError(
            f"directed relations are {directed.dtype} of shape {tuple(directed.shape)} for {queries} queries; give "
            f"int64 of shape ({queries},)"
        )
    wrong = _native.first_bad_id(directed.contiguous(), 2 * rows) if buffers.on_host(directed) else -1
    if wrong >= 0:
        raise GraphkitError(
            f"query {wrong} follows directed relation {directed[wrong]}, and {rows} relations have 0 to "
            f"{2 * rows - 1}; give one of these"
        )


def _require(x: Tensor | PlacedRows, table: Tensor, width: int) -> int:
    """Makes sure that shapes go together, and returns B."""
    if len(x.shape) != 2 or table.dim() != 2 or x.shape[1] != width:
        raise GraphkitError(
            f"queries have shape {tuple(x.shape)} and relations {tuple(table.shape)}; queries [B, D] need relations of "
            "their width, or of half of it for complex coordinates"
        )
    return x.shape[0]
