"""Optimisers for embedding tables: they touch only the rows that a step names, and update them in place.

Each class holds the hyperparameters alone; the state belongs to the table (`EmbeddingTable`). `dense` gives torch's
optimiser with the same settings, but for a learning rate of their own, for the parameters of a model that are no table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor

from graphkit.engine.kernels import adagrad_, adam_, row_adagrad_, sgd_
from graphkit.engine.memory import in_huge_pages
from graphkit.errors import GraphkitError


class RowOptimizer(ABC):
    """The update rule of table rows.

    Args:
        lr: learning rate of the rows.
        dense_lr: that of the model's own parameters; None = a share of `lr` that the model names. Networks want a
            smaller one than rows, each of which few batches touch.
        eps: added to the divisor of a step.

    Raises:
        GraphkitError: a value is out of range.
    """

    def __init__(self, *, lr: float, eps: float = 0.0, dense_lr: float | None = None) -> None:
        if not (lr > 0 and eps >= 0):
            raise GraphkitError(f"the optimizer has lr={lr} and eps={eps}; lr must be above 0 and eps not below 0")
        if dense_lr is not None and not dense_lr > 0:
            raise GraphkitError(
                f"optimizer.dense_lr is {dense_lr}, and a number above 0, or null for a share of lr, is needed"
            )
        self.lr = lr
        self.dense_lr = dense_lr
        self.eps = eps

    def _dense_lr(self, share: float) -> float:
        return share * self.lr if self.dense_lr is None else self.dense_lr

    @abstractmethod
    def new_state(self, weight: Tensor) -> dict[str, Tensor]:
        """Returns the state of a fresh table: tensors whose first axis is the rows of `weight` [N, D]."""

    @abstractmethod
    def step(
        self,
        weight: Tensor,
        state: dict[str, Tensor],
        ids: Tensor | None,
        gradient: Tensor,
        *,
        checked: bool = False,
    ) -> None:
        """Updates rows in place.

        Args:
            weight: float32[N, D], or bfloat16, which is rounded stochastically.
            state: what `new_state` made.
            ids: int64[U] rows, or None for all. Gradients of equal ids are added up.
            gradient: float32[U, D], or [N, D] without ids.
            checked: the caller found ids to be distinct rows and the gradient to be finite, so that the host need not
                wait for a GPU to look again.

        Raises:
            GraphkitError: shapes or dtypes do not go together, an id is no row, or a gradient is not finite; nothing
                has changed then.
        """

    @abstractmethod
    def dense(self, parameters: Iterable[Tensor], *, share: float = 1.0) -> torch.optim.Optimizer:
        """Returns torch's optimiser with the same settings, for the model's own parameters.

        Args:
            parameters: float32, any shapes.
            share: of `lr`, where no `dense_lr` is set.
        """


class SGD(RowOptimizer):
    """Stochastic gradient descent, without momentum: the only rule without state."""

    def __init__(self, *, lr: float = 0.1, dense_lr: float | None = None) -> None:
        super().__init__(lr=lr, dense_lr=dense_lr)

    def new_state(self, weight: Tensor) -> dict[str, Tensor]:  # noqa: D102  # as in the base class
        return _rounding_steps(weight)

    def step(  # noqa: D102
        self,
        weight: Tensor,
        state: dict[str, Tensor],
        ids: Tensor | None,
        gradient: Tensor,
        *,
        checked: bool = False,
    ) -> None:
        sgd_(weight, state.get("steps"), ids, gradient, self.lr, checked=checked)

    def dense(self, parameters: Iterable[Tensor], *, share: float = 1.0) -> torch.optim.Optimizer:  # noqa: D102
        return torch.optim.SGD(parameters, lr=self._dense_lr(share))


class Adagrad(RowOptimizer):
    """Adagrad (Duchi et al., JMLR 2011): steps divided by the root of the summed squares of each coordinate."""

    def __init__(self, *, lr: float = 0.1, dense_lr: float | None = None, eps: float = 1e-10) -> None:
        super().__init__(lr=lr, dense_lr=dense_lr, eps=eps)

    def new_state(self, weight: Tensor) -> dict[str, Tensor]:  # noqa: D102
        return {"sum": _zeros(weight), **_rounding_steps(weight)}

    def step(  # noqa: D102
        self,
        weight: Tensor,
        state: dict[str, Tensor],
        ids: Tensor | None,
        gradient: Tensor,
        *,
        checked: bool = False,
    ) -> None:
        adagrad_(weight, state["sum"], state.get("steps"), ids, gradient, self.lr, self.eps, checked=checked)

    def dense(self, parameters: Iterable[Tensor], *, share: float = 1.0) -> torch.optim.Optimizer:  # noqa: D102
        return _dense_adagrad(parameters, self._dense_lr(share), self.eps)


class RowAdagrad(RowOptimizer):
    """Adagrad with one accumulator a row, of the mean of the squared gradient: state as small as that of SGD.

    The exact row-wise Adagrad of FBGEMM. The model's own parameters, which are few, follow plain Adagrad.
    """

    def __init__(self, *, lr: float = 0.1, dense_lr: float | None = None, eps: float = 1e-10) -> None:
        super().__init__(lr=lr, dense_lr=dense_lr, eps=eps)

    def new_state(self, weight: Tensor) -> dict[str, Tensor]:  # noqa: D102
        return {"sum": _zeros(weight[:, 0]), **_rounding_steps(weight)}

    def step(  # noqa: D102
        self,
        weight: Tensor,
        state: dict[str, Tensor],
        ids: Tensor | None,
        gradient: Tensor,
        *,
        checked: bool = False,
    ) -> None:
        row_adagrad_(weight, state["sum"], state.get("steps"), ids, gradient, self.lr, self.eps, checked=checked)

    def dense(self, parameters: Iterable[Tensor], *, share: float = 1.0) -> torch.optim.Optimizer:  # noqa: D102
        return _dense_adagrad(parameters, self._dense_lr(share), self.eps)


class Adam(RowOptimizer):
    """Adam (Kingma and Ba, ICLR 2015) with a step count of its own for each row.

    The bias correction of a row uses the number of its own updates: with a global count, a row first touched late in
    training would take a first step of about three times the learning rate.
    """

    def __init__(
        self,
        *,
        lr: float = 1e-3,
        dense_lr: float | None = None,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(lr=lr, dense_lr=dense_lr, eps=eps)
        if not (0 <= beta1 < 1 and 0 <= beta2 < 1):
            raise GraphkitError(f"Adam has beta1={beta1} and beta2={beta2}; both must be at least 0 and below 1")
        self.beta1 = beta1
        self.beta2 = beta2

    def new_state(self, weight: Tensor) -> dict[str, Tensor]:  # noqa: D102
        return {"mean": _zeros(weight), "square": _zeros(weight), "steps": _steps(weight)}

    def step(  # noqa: D102
        self,
        weight: Tensor,
        state: dict[str, Tensor],
        ids: Tensor | None,
        gradient: Tensor,
        *,
        checked: bool = False,
    ) -> None:
        mean, square, steps = state["mean"], state["square"], state["steps"]
        adam_(weight, mean, square, steps, ids, gradient, self.lr, self.beta1, self.beta2, self.eps, checked=checked)

    def dense(self, parameters: Iterable[Tensor], *, share: float = 1.0) -> torch.optim.Optimizer:  # noqa: D102
        # Fused, counts of steps lie where the parameters do, and torch moves those of a checkpoint there; otherwise it
        # refuses counts on a GPU.
        kept = list(parameters)
        betas, fused = (self.beta1, self.beta2), _fused(kept, "cpu", "cuda")
        return torch.optim.Adam(kept, lr=self._dense_lr(share), betas=betas, eps=self.eps, fused=fused)


def _dense_adagrad(parameters: Iterable[Tensor], lr: float, eps: float) -> torch.optim.Adagrad:
    # On a GPU it is left to torch: whether the oldest torch that graphkit takes has a fused Adagrad there was not seen.
    kept = list(parameters)
    return torch.optim.Adagrad(kept, lr=lr, eps=eps, fused=_fused(kept, "cpu"))


def _fused(parameters: list[Tensor], *devices: str) -> bool | None:
    """Returns whether torch's one pass over all parameters is asked for; elsewhere than on `devices`, torch chooses."""
    return True if all(parameter.device.type in devices for parameter in parameters) else None


def _zeros(weight: Tensor) -> Tensor:
    """Returns state of the shape of `weight`: float32 for tables of bfloat16, else of their dtype."""
    dtype = torch.float32 if weight.dtype == torch.bfloat16 else weight.dtype
    return in_huge_pages(torch.empty(weight.shape, dtype=dtype, device=weight.device)).zero_()


def _steps(weight: Tensor) -> Tensor:
    return in_huge_pages(torch.empty(len(weight), dtype=torch.int64, device=weight.device)).zero_()


def _rounding_steps(weight: Tensor) -> dict[str, Tensor]:
    """Returns counts of each row's updates for tables that are rounded, whose random bits depend on them."""
    return {"steps": _steps(weight)} if weight.dtype == torch.bfloat16 else {}
