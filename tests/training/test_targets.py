"""What a configuration may name, and factories of parts that need what is made later."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import Parameter
from torch.optim import SGD, Adam, Optimizer

from graphkit.engine import RowOptimizer
from graphkit.errors import GraphkitError
from graphkit.models import Model
from graphkit.training.targets import bind, build

ADAM: dict[str, Any] = {"optimizer": {"_target_": "torch.optim.Adam", "lr": 0.01, "weight_decay": 0.5}}


def refusal(**settings: Any) -> str:
    config = {"optimizer": {"_target_": "torch.optim.Adam", **settings}}
    with pytest.raises(GraphkitError) as error:
        bind(config, "optimizer", Optimizer, given=["params"])([Parameter(torch.ones(2))])
    return str(error.value)


def test_a_bound_factory_makes_afresh_what_its_group_says() -> None:
    make = bind(ADAM, "optimizer", Optimizer, given=["params"])
    first, second = (make([Parameter(torch.ones(2))]) for _ in range(2))
    assert type(first) is Adam and first is not second
    assert (first.defaults["lr"], first.defaults["weight_decay"]) == (0.01, 0.5)


@pytest.mark.parametrize("name", ["SGD", "AdamW", "Adagrad"])
def test_any_optimizer_of_torch_may_be_named(name: str) -> None:
    config = {"optimizer": {"_target_": f"torch.optim.{name}", "lr": 0.5}}
    made = bind(config, "optimizer", Optimizer, given=["params"])([Parameter(torch.ones(2))])
    assert type(made).__name__ == name and isinstance(made, Optimizer)
    assert made.defaults["lr"] == 0.5


def test_settings_of_an_optimizer_are_checked() -> None:
    assert refusal(lr="abc") == "optimizer.lr is 'abc', and a number is needed"
    assert refusal(amsgrad=3) == "optimizer.amsgrad is 3, and true or false is needed"
    assert refusal(learning=1).startswith("optimizer has no setting 'learning'; settings: lr, betas, eps")
    assert refusal(params=[]).startswith("optimizer has no setting 'params'")
    assert refusal(lr=-1.0) == (
        "optimizer cannot be made by torch.optim.Adam: Invalid learning rate: -1.0; choose another optimizer or "
        "_target_"
    )


def test_torch_lends_its_optimizers_and_nothing_else() -> None:
    for name in ("torch.optim.adam.Tensor", "torch.optim.Adamm"):
        with pytest.raises(GraphkitError) as error:
            bind({"optimizer": {"_target_": name}}, "optimizer", Optimizer, given=["params"])
        assert str(error.value) == (
            f"the target {name} does not exist; check its spelling and that its package is installed"
        )
    with pytest.raises(GraphkitError) as error:
        bind({"optimizer": {"_target_": "torch.load"}}, "optimizer", Optimizer, given=["params"])
    assert str(error.value) == (
        "the target torch.load is outside of graphkit., torch.optim.; a configuration can run any code it names, so "
        "say allow_targets=[torch.] if you trust it"
    )
    with pytest.raises(GraphkitError) as error:
        build({"model": {"_target_": "torch.optim.Adam"}}, "model", Model)  # type: ignore[type-abstract]
    assert str(error.value) == (
        "the target torch.optim.Adam is outside of graphkit.; a configuration can run any code it names, so say "
        "allow_targets=[torch.] if you trust it"
    )


def test_an_optimizer_of_torch_is_none_of_rows() -> None:
    with pytest.raises(GraphkitError) as error:
        build(ADAM, "optimizer", RowOptimizer)  # type: ignore[type-abstract]
    assert str(error.value) == (
        "optimizer._target_ is torch.optim.Adam, which makes no RowOptimizer; choose optimizer=NAME"
    )
    with pytest.raises(GraphkitError) as error:
        build(ADAM, "optimizer", SGD, advice="take another")
    assert str(error.value) == "optimizer._target_ is torch.optim.Adam, which makes no SGD; take another"
