"""Tables that optimisers step, for tests of every implementation of the steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from graphkit.engine.kernels import adagrad_, adam_, row_adagrad_, sgd_
from graphkit.engine.kernels import reference_steps as reference


@dataclass
class Table:
    """A table with state that some steps could have left."""

    weight: Tensor
    state: dict[str, Tensor]

    def copy(self, dtype: torch.dtype | None = None) -> Table:
        def cast(tensor: Tensor) -> Tensor:
            return tensor.to(dtype, copy=True) if dtype and tensor.is_floating_point() else tensor.clone()

        return Table(cast(self.weight), {name: cast(value) for name, value in self.state.items()})

    def tensors(self) -> list[Tensor]:
        return [self.weight, *self.state.values()]


@dataclass(frozen=True)
class Rule:
    """An op, its twin, and the settings that both are called with."""

    op: Callable[..., None]
    twin: Callable[..., None]
    state: tuple[str, ...]
    settings: tuple[float, ...]
    by_rows: bool = False  # state has one number a row
    counts: bool = False  # steps are needed for float32 too

    def table(self, rows: int, width: int, dtype: torch.dtype = torch.float32) -> Table:
        generator = torch.Generator().manual_seed(rows * 1000 + width)
        weight = torch.randn(rows, width, generator=generator).to(dtype)
        state: dict[str, Tensor] = {
            name: torch.rand(rows, *(() if self.by_rows else (width,)), generator=generator) for name in self.state
        }
        if self.counts or dtype == torch.bfloat16:
            state["steps"] = torch.randint(0, 40, (rows,), generator=generator)
        return Table(weight, state)

    def step(self, table: Table, ids: Tensor | None, gradient: Tensor, *, twin: bool = False) -> None:
        states = [table.state[name] for name in self.state]
        call = self.twin if twin else self.op
        call(table.weight, *states, table.state.get("steps"), ids, gradient, *self.settings)


RULES = {
    "sgd": Rule(sgd_, reference.sgd_, (), (0.3,)),
    "adagrad": Rule(adagrad_, reference.adagrad_, ("total",), (0.3, 1e-7)),
    "row_adagrad": Rule(row_adagrad_, reference.row_adagrad_, ("total",), (0.3, 1e-7), by_rows=True),
    "adam": Rule(adam_, reference.adam_, ("mean", "square"), (0.02, 0.8, 0.95, 1e-6), counts=True),
}


def draw(rows: int, chosen: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Returns distinct ids int64[chosen] of a table of `rows`, in no order, and their gradients."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(rows, generator=generator)[:chosen], torch.randn(chosen, width, generator=generator)


def assert_close(found: Table, expected: Table, before: Table) -> None:
    """The error is at most 1e-6 of the value and of what it moved by."""
    for one, exact, start in zip(found.tensors(), expected.tensors(), before.tensors(), strict=True):
        error = (one.double() - exact.double()).abs()
        assert (error <= 1e-6 * (exact.abs() + (exact - start).abs())).all(), error.max()
