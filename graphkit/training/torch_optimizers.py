"""Optimisers of torch: which of them take a step by the gradients of one batch, and what they say if they do not."""

from __future__ import annotations

import inspect
from typing import Any

from torch.optim import Optimizer

from graphkit.errors import GraphkitError
from graphkit.training.targets import Config, find_target, made_kind


def check_optimizer(config: Config, *, advice: str) -> None:
    """Checks that an optimiser takes a step by the gradients of one batch.

    Raises:
        GraphkitError: it is none, or evaluates the loss anew.
    """
    made: Any = made_kind(find_target(config, "optimizer", Optimizer, advice=advice))
    name = config["optimizer"]["_target_"]
    if made is Optimizer:
        raise GraphkitError(
            f"optimizer._target_ is {name}, the base of the optimisers of torch and none itself; choose "
            "optimizer=torch_adam"
        )
    closure = inspect.signature(made.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise GraphkitError(
            f"optimizer._target_ is {name}, which computes the loss several times a step, and each batch is trained on "
            "once; choose optimizer=torch_adam"
        )


def take_step(optimizer: Optimizer) -> None:
    """Lets an optimiser update its parameters.

    Raises:
        GraphkitError: it refuses them or their gradients, or a value is too large for them.
    """
    try:
        optimizer.step()
    except (RuntimeError, TypeError) as error:  # how those of torch say so
        raise GraphkitError(
            f"the optimizer {type(optimizer).__name__} cannot take a step: {str(error).splitlines()[0].rstrip('.')}; "
            "choose optimizer=torch_adam, or a lower optimizer.lr"
        ) from error
