"""What is registered for GPUs takes the very arguments of the operations, and returns what they return."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from shim.launcher import ShimLauncher
from torch import Tensor

from graphkit.engine import SGD, Adagrad, Adam, RowAdagrad, RowOptimizer, optimizers
from graphkit.engine.cuda.registration import implementations
from graphkit.errors import GraphkitError


def _randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _ids(*values: int) -> Tensor:
    return torch.tensor(values)


QUERIES, ROWS, PLACES = _randn(3, 8), _randn(5, 8, seed=1), torch.tensor([[0, 4], [4, 2], [1, 1]])
BETAS = _randn(4, 6).abs() + 0.1
ORDER = PLACES.reshape(-1).sort(stable=True)
OFFSETS = torch.searchsorted(ORDER.values, torch.arange(6))
LOGITS = QUERIES @ ROWS.T
NORMALISERS = LOGITS.logsumexp(dim=1)
ANSWERS = (_randn(3, seed=5), _ids(0, 1, 2, 3), _ids(0, 3), _ids(0, 1, 1, 2), 0)
STEP = (_ids(0, 3), _randn(2, 8, seed=3))
#: arguments by the name of an operation; what is written is copied
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "beta_moments": (BETAS,),
    "beta_gradients": (_randn(4, 7), torch.ones(4, dtype=torch.float64), BETAS, _randn(4, 7, seed=2)),
    "reduce_duplicates": (_ids(3, 1, 3), _randn(3, 8)),
    "add_rows_": (ROWS, _ids(2, 0, 2), QUERIES),
    "cross_entropies": (QUERIES, ROWS, _ids(0, 4, 2), False),
    "cross_entropy_gradients": (torch.ones(3), QUERIES, ROWS, _ids(0, 4, 2), NORMALISERS, LOGITS, False),
    "negative_terms": (_randn(3, 5), torch.tensor([[True, False, True, True, True]] * 3), 0.5),
    "own_scores": (QUERIES, ROWS, PLACES, "rotate", 0.0),
    "own_gradients": (_randn(3, 2), QUERIES, ROWS, ORDER.indices.int(), OFFSETS, "l1", 0.0),
    "shared_scores": (_randn(3, 16), ROWS, "box", 0.25),
    "shared_gradients": (_randn(3, 5), QUERIES, ROWS, "l2", 0.0),
    "score_counts": (LOGITS, *ANSWERS),
    "pair_counts": (QUERIES, ROWS, *ANSWERS, "l1", 6.0, 0.0),
    "sgd_": (ROWS, None, *STEP, 0.1),
    "adagrad_": (ROWS, torch.ones(5, 8), None, *STEP, 0.1, 1e-10),
    "row_adagrad_": (ROWS, torch.ones(5), None, *STEP, 0.1, 1e-10),
    "adam_": (ROWS, torch.zeros(5, 8), torch.zeros(5, 8), _ids(0, 0, 0, 4, 0), *STEP, 0.1, 0.9, 0.999, 1e-8),
}


@pytest.mark.parametrize(
    ("operation", "implementation"), implementations(), ids=lambda part: getattr(part, "_name", "")
)
def test_an_operation_and_its_kernels_agree(operation: Any, implementation: Any) -> None:
    given = ARGUMENTS[operation._opoverload._schema.name.removeprefix("graphkit::")]
    sides = []
    for run in (operation, lambda *arguments: implementation(ShimLauncher(), *arguments)):
        arguments = [part.clone() if isinstance(part, Tensor) else part for part in given]
        found = run(*arguments)
        found = list(found) if isinstance(found, tuple) else [found]
        sides.append([part for part in (*found, *arguments) if isinstance(part, Tensor)])
    assert len(sides[0]) == len(sides[1])
    for left, right in zip(*sides, strict=True):
        assert left.dtype == right.dtype
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", [SGD(), Adagrad(), RowAdagrad(), Adam()], ids=lambda made: type(made).__name__)
def test_a_step_trusts_the_caller_who_has_looked_and_no_other(
    optimizer: RowOptimizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for operation, implementation in implementations():
        name = operation._opoverload._schema.name.removeprefix("graphkit::")
        if hasattr(optimizers, name):
            monkeypatch.setattr(optimizers, name, partial(implementation, ShimLauncher()))
    weight, gradient = torch.zeros(4, 8), torch.full((1, 8), torch.nan)
    state = optimizer.new_state(weight)
    with pytest.raises(GraphkitError, match="the gradient of row 2 has the value nan"):
        optimizer.step(weight, state, _ids(2), gradient)
    assert weight.eq(0).all()
    optimizer.step(weight, state, _ids(2), gradient, checked=True)
    assert weight[2].isnan().all()
