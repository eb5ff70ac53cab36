"""Tensors of devices go to the kernels that there are for them, and to the twins where there are none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from graphkit.engine.kernels import (
    PairDistance,
    attended_means,
    branch_attention,
    dispatch,
    log_sigmoid_losses,
    pair_losses,
    relation_steps,
    translate,
    turn,
)

#: Operations that have no kernels for devices, where their twins are, and what they take.
OPERATIONS: dict[str, tuple[Callable[..., Tensor], object, str, Callable[[], tuple[object, ...]]]] = {
    "attended_means": (
        attended_means,
        branch_attention,
        "reference",
        lambda: (floats(6, 4), [floats(3, 4), floats(3), floats(2, 3), floats(2)], [(2, 3)]),
    ),
    "log_sigmoid_losses": (
        lambda *given: log_sigmoid_losses(*given, sharpness=1.0),
        pair_losses,
        "reference",
        lambda: (PairDistance("l1", 9.0), floats(2, 4), floats(2, 4), floats(3, 4), floats(2, 3).bool()),
    ),
    "translate": (
        translate,
        relation_steps,
        "reference_translate",
        lambda: (floats(2, 4), floats(3, 4), floats(2).long()),
    ),
    "turn": (
        turn,
        relation_steps,
        "reference_turn",
        lambda: (floats(2, 4), floats(3, 2), floats(3, 2), floats(2).long()),
    ),
}


def floats(*shape: int) -> Tensor:
    """Tensors on a device whose kernels are said to be there, and which holds nothing."""
    return torch.empty(shape, device="meta")


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_without_kernels_for_a_device_are_their_twins_there(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_served", {"cpu"})
    dispatch.serve("meta")
    operation, module, twin, given = OPERATIONS[name]
    called = []
    monkeypatch.setattr(module, twin, lambda *_, **__: called.append(twin))
    operation(*given())
    assert called == [twin]


def test_tensors_are_native_where_there_are_kernels_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_served", {"cpu"})
    host, device = torch.zeros(2), floats(2)
    assert dispatch.is_native(host)
    assert not dispatch.is_native(host, device)
    assert not dispatch.is_native(host.double())
    dispatch.serve("meta")
    assert dispatch.is_native(host, device)
    assert dispatch.on_cpu(host)
    assert not dispatch.on_cpu(host, device)
    assert not dispatch.on_cpu(host.double())
