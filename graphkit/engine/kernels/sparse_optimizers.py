"""Steps of sparse optimisers: rows of a table follow their gradients, in place.

For a row w with gradient g, and state of its own:

``sgd_``
    w -= lr g
``adagrad_``
    s += g², w -= lr g / (√s + eps), with a sum s for each coordinate (Duchi et al., JMLR 2011)
``row_adagrad_``
    s += mean(g²), w -= lr g / (√s + eps), with one sum for the row (as in FBGEMM's exact row-wise Adagrad)
``adam_``
    Adam (Kingma and Ba, ICLR 2015), whose bias correction counts the steps of the row.

Tables are float32, or bfloat16 with float32 state and gradient: the step is taken in float32 and the weight rounded
stochastically, up with the probability that makes its mean exact, since a step below the spacing of bfloat16 would
vanish otherwise. The random bits are a function of (seed, step of the row, row, coordinate).

Contiguous tables in host memory are updated natively, on as many threads as torch uses; no result depends on how many.
Everything else (float64, other devices) is updated by the twins in `reference`. Gradients of equal ids are added up
first, as `reduce_duplicates` does it, but natively none that is alone is copied. A step that is refused has changed
nothing. Native float32 differs from the twin in float64 by at most 1e-6 of the weight and of its step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit import _native
from graphkit.engine.kernels import reference_steps as reference
from graphkit.engine.kernels.duplicate_ids import MAX_PLACES, reduce_duplicates
from graphkit.errors import GraphkitError

#: Numbers of the rules in the native code.
_SGD, _ADAGRAD, _ROW_ADAGRAD, _ADAM = range(4)


@torch.library.custom_op("graphkit::sgd_", mutates_args=("weight", "steps"))
def sgd_(
    weight: Tensor,
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    seed: int = 0,
    checked: bool = False,
) -> None:
    """Takes a step of stochastic gradient descent.

    Args:
        weight: float32[N, D], or bfloat16.
        steps: int64[N], how often each row was updated; needed for bfloat16 alone, else None.
        ids: int64[U] rows, in any order; None = all rows.
        gradient: float32[U, D].
        lr: the learning rate.
        seed: of the rounding of bfloat16.
        checked: the caller found ids to be distinct rows and gradients to be finite, so that the host need not wait for
            a GPU to look again. On the CPU, where that costs little, they are looked at in any case.

    Raises:
        GraphkitError: shapes or dtypes do not go together, an id is no row, or a gradient is not finite.
    """
    native = _is_native(weight, steps)
    looks = _looks(weight, checked)
    ids, gradient = require_step(weight, {}, steps, ids, gradient, values=looks, native=native)
    if native:
        _step(_SGD, weight, None, None, steps, ids, gradient, lr=lr, seed=seed)
    else:
        reference.sgd_(weight, steps, ids, gradient, lr, seed)


@torch.library.custom_op("graphkit::adagrad_", mutates_args=("weight", "total", "steps"))
def adagrad_(
    weight: Tensor,
    total: Tensor,
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    eps: float,
    seed: int = 0,
    checked: bool = False,
) -> None:
    """Takes a step of Adagrad; `total` is float32[N, D] sums of squares, the rest as for `sgd_`."""
    native = _is_native(weight, total, steps)
    looks = _looks(weight, checked)
    ids, gradient = require_step(weight, {"total": total}, steps, ids, gradient, values=looks, native=native)
    if native:
        _step(_ADAGRAD, weight, total, None, steps, ids, gradient, lr=lr, eps=eps, seed=seed)
    else:
        reference.adagrad_(weight, total, steps, ids, gradient, lr, eps, seed)


@torch.library.custom_op("graphkit::row_adagrad_", mutates_args=("weight", "total", "steps"))
def row_adagrad_(
    weight: Tensor,
    total: Tensor,
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    eps: float,
    seed: int = 0,
    checked: bool = False,
) -> None:
    """Takes a step of row-wise Adagrad; `total` is float32[N] sums of mean squares, the rest as for `sgd_`."""
    native = _is_native(weight, total, steps)
    looks = _looks(weight, checked)
    ids, gradient = require_step(weight, {}, steps, ids, gradient, values=looks, native=native)
    require_state("total", total, weight, (len(weight),))
    if native:
        _step(_ROW_ADAGRAD, weight, total, None, steps, ids, gradient, lr=lr, eps=eps, seed=seed)
    else:
        reference.row_adagrad_(weight, total, steps, ids, gradient, lr, eps, seed)


@torch.library.custom_op("graphkit::adam_", mutates_args=("weight", "mean", "square", "steps"))
def adam_(
    weight: Tensor,
    mean: Tensor,
    square: Tensor,
    steps: Tensor,
    ids: Tensor | None,
    gradient: Tensor,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    seed: int = 0,
    checked: bool = False,
) -> None:
    """Takes a step of Adam; `mean` and `square` are float32[N, D], `steps` int64[N], the rest as for `sgd_`."""
    native, state = _is_native(weight, mean, square, steps), {"mean": mean, "square": square}
    looks = _looks(weight, checked)
    ids, gradient = require_step(weight, state, steps, ids, gradient, values=looks, native=native)
    if native:
        betas = {"beta1": beta1, "beta2": beta2}
        _step(_ADAM, weight, mean, square, steps, ids, gradient, lr=lr, **betas, eps=eps, seed=seed)
    else:
        reference.adam_(weight, mean, square, steps, ids, gradient, lr, beta1, beta2, eps, seed)


@sgd_.register_fake
@adagrad_.register_fake
@row_adagrad_.register_fake
@adam_.register_fake
def _(*arguments: object, **settings: object) -> None:
    pass


def _step(
    rule: int,
    weight: Tensor,
    first: Tensor | None,
    second: Tensor | None,
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    *,
    lr: float,
    beta1: float = 0.0,
    beta2: float = 0.0,
    eps: float = 0.0,
    seed: int,
) -> None:
    bits = weight.view(torch.int16) if weight.dtype == torch.bfloat16 else weight
    ids = None if ids is None else ids.contiguous()
    threads = torch.get_num_threads()
    if not _native.step_rows(rule, bits, first, second, steps, ids, gradient, lr, beta1, beta2, eps, seed, threads):
        assert ids is not None  # some of them are equal
        _require_finite(*reduce_duplicates(ids, gradient))


def _looks(weight: Tensor, checked: bool) -> bool:
    """Tells whether an operation looks at ids and gradients."""
    return not checked or weight.device.type == "cpu"


def _is_native(weight: Tensor, *state: Tensor | None) -> bool:
    """Tells whether the native code can update these in place; state is float32 or int64 where weights are not."""
    return weight.dtype in (torch.float32, torch.bfloat16) and all(
        tensor.is_contiguous() and tensor.device.type == "cpu" for tensor in (weight, *state) if tensor is not None
    )


def require_step(
    weight: Tensor,
    state: dict[str, Tensor],
    steps: Tensor | None,
    ids: Tensor | None,
    gradient: Tensor,
    *,
    values: bool = True,
    native: bool = False,
) -> tuple[Tensor | None, Tensor]:
    """Makes sure that all go together, before anything is written.

    Args:
        weight: the table.
        state: by name, each of the shape of the table.
        steps: see `sgd_`.
        ids: see `sgd_`.
        gradient: see `sgd_`.
        values: look at ids and gradients too, not at shapes and dtypes alone. On a GPU that waits for it.
        native: the code that takes the step adds up gradients of equal ids.

    Returns:
        Ids and gradient, contiguous; where values were looked at, ids are distinct unless native code is to add up.

    Raises:
        GraphkitError: see `sgd_`.
    """
    if weight.dim() != 2 or not weight.is_floating_point():
        raise GraphkitError(
            f"the table is {weight.dtype} of shape {tuple(weight.shape)}; rows of float32 or bfloat16, [N, D], are "
            "needed"
        )
    for name, tensor in state.items():
        require_state(name, tensor, weight, tuple(weight.shape))
    if steps is None and weight.dtype == torch.bfloat16:
        raise GraphkitError(
            "the table is torch.bfloat16 and steps are None; their rounding needs int64 counts of each row's updates"
        )
    if steps is not None and (steps.dtype != torch.int64 or tuple(steps.shape) != (len(weight),)):
        raise GraphkitError(
            f"steps are {steps.dtype} of shape {tuple(steps.shape)} for a table of {len(weight)} rows; give int64 of "
            f"shape ({len(weight)},)"
        )
    rows = _require_ids(ids, len(weight), values=values)
    wanted = (rows, weight.shape[1])
    if tuple(gradient.shape) != wanted or gradient.dtype != _reals(weight):
        raise GraphkitError(
            f"the gradient is {gradient.dtype} of shape {tuple(gradient.shape)} for {rows} rows of a {weight.dtype} "
            f"table; give {_reals(weight)} of shape {wanted}"
        )
    gradient = gradient.detach().contiguous()
    if values:
        _require_finite(ids, gradient)
    # What is more than a group of ids can hold is left to `reduce_duplicates` to refuse.
    added_up = native and max(rows, len(weight)) <= MAX_PLACES
    if values and ids is not None and not added_up and not bool((ids[1:] > ids[:-1]).all()):
        ids, gradient = reduce_duplicates(ids, gradient)
        _require_finite(ids, gradient)
    return ids, gradient


def _reals(weight: Tensor) -> torch.dtype:
    """Returns the dtype of state and gradients of a table."""
    return torch.float32 if weight.dtype == torch.bfloat16 else weight.dtype


def require_state(name: str, state: Tensor, weight: Tensor, shape: tuple[int, ...]) -> None:
    """Makes sure that state of a table has a shape and the dtype of the table's state."""
    if tuple(state.shape) != shape or state.dtype != _reals(weight):
        raise GraphkitError(
            f"the optimizer's state {name} is {state.dtype} of shape {tuple(state.shape)} for a {weight.dtype} table "
            f"of shape {tuple(weight.shape)}; give {_reals(weight)} of shape {shape}"
        )


def _require_ids(ids: Tensor | None, size: int, *, values: bool) -> int:
    """Makes sure that ids are rows of a table of `size`; returns how many are updated."""
    if ids is None:
        return size
    if ids.dim() != 1 or ids.dtype != torch.int64:
        raise GraphkitError(
            f"ids are {ids.dtype} of shape {tuple(ids.shape)}; give int64 of shape (U,), or None for all"
        )
    wrong = _native.first_bad_id(ids.cpu().contiguous(), size) if values else -1
    if wrong >= 0:
        raise GraphkitError(
            f"id {ids[wrong]} at place {wrong} is no row of a table of {size} rows, and nothing was updated; give ids "
            f"from 0 to {size - 1}"
        )
    return len(ids)


def _require_finite(ids: Tensor | None, gradient: Tensor) -> None:
    if gradient.dtype == torch.float32 and gradient.device.type == "cpu":
        wrong = _native.first_not_finite(gradient, torch.get_num_threads())
    else:
        bad = (~gradient.isfinite()).any(dim=1).nonzero()
        wrong = int(bad[0]) if len(bad) else -1
    if wrong >= 0:
        row = wrong if ids is None else int(ids[wrong])
        value = gradient[wrong][~gradient[wrong].isfinite()][0].item()
        raise GraphkitError(
            f"the gradient of row {row} has the value {value}, and nothing was updated; lower the learning rate, or "
            "look for what makes the loss of this row overflow"
        )
