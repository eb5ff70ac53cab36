"""Bindings of the engine: no array is ever converted, and long operations leave the interpreter to other threads."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from graphkit import _native


def ids(size: int) -> Tensor:
    return torch.zeros(size, dtype=torch.int64)


def spread(tensor: Tensor) -> Tensor:
    """The same values, with a gap behind each."""
    return torch.stack([tensor, tensor], dim=-1)[..., 0]


#: Branches of a query and queries of two groups: 5 branches of 2 queries.
GROUPS = (torch.tensor([2, 3]), torch.tensor([1, 1]))

#: Arguments that each operation takes.
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "group_pairs": (ids(2), ids(2).int(), ids(4)),
    "own_scores": (
        0,
        torch.ones(2, 5),
        torch.ones(3, 5),
        ids(4).int(),
        torch.tensor([0, 4, 4, 4]),
        0.0,
        torch.ones(2, 2),
        1,
    ),
    "own_gradients": (
        *(0, torch.ones(2, 5), torch.ones(3, 5), ids(4).int(), torch.tensor([0, 4, 4, 4]), 0.0),
        *(torch.ones(2, 2), torch.ones(2, 5), torch.ones(3, 5), 1),
    ),
    "shared_scores": (0, torch.ones(2, 5), torch.ones(3, 5), 0.0, torch.ones(2, 3), 1),
    "shared_gradients": (
        0,
        torch.ones(2, 5),
        torch.ones(3, 5),
        0.0,
        torch.ones(2, 3),
        torch.ones(2, 5),
        torch.ones(3, 5),
        1,
    ),
    "count_scores": (
        *(torch.ones(2, 5), torch.ones(3), torch.tensor([0, 1, 3]), ids(2), torch.tensor([0, 1, 2]), 0),
        *(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, dtype=torch.bool), 1),
    ),
    "count_pairs": (
        *(1, torch.ones(2, 5), torch.ones(3, 5), 0.0, 1.0),
        *(torch.ones(3), torch.tensor([0, 1, 3]), ids(2), torch.tensor([0, 1, 2]), 0),
        *(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, dtype=torch.bool), 1),
    ),
    "softmax_sums": (torch.ones(2, 5), False, torch.ones(2), torch.ones(2), 1),
    "softmax_gradients": (torch.ones(2, 5), False, torch.ones(2), torch.ones(2), 1),
    "softplus_terms": (torch.ones(2, 5), torch.ones(2, 5, dtype=torch.bool), 0.5, torch.ones(2), torch.ones(2, 5), 1),
    "log_sum_terms": (torch.ones(2, 5), torch.ones(2, 5, dtype=torch.bool), torch.ones(2), torch.ones(2, 5), 1),
    "shared_losses": (
        *(1, torch.ones(2, 5), torch.ones(2, 5), torch.ones(3, 5), torch.ones(2, 3, dtype=torch.bool)),
        *(1, 0.0, 9.0, 1.0, torch.ones(2), torch.ones(2), torch.ones(2, 3), 1),
    ),
    "shared_loss_gradients": (
        *(1, torch.ones(2, 5), torch.ones(2, 5), torch.ones(3, 5), 1, 0.0, torch.ones(2), torch.ones(2)),
        *(torch.ones(2, 3), torch.ones(2, 5), torch.ones(2, 5), torch.ones(3, 5), 1),
    ),
    "attention_hidden": (*GROUPS, torch.ones(5, 4), torch.ones(4), torch.ones(3, 4), 1),
    "attention_means": (*GROUPS, torch.ones(5, 6), torch.ones(3, 3), torch.ones(2, 6), 1),
    "attention_gradients": (
        *(*GROUPS, torch.ones(5, 6), torch.ones(3, 3)),
        *(torch.ones(2, 6), torch.ones(5, 6), torch.ones(3, 3), 1),
    ),
    "attention_hidden_gradients": (*GROUPS, torch.ones(3, 4), torch.ones(5, 4), torch.ones(5, 4), 1),
    "translate": (torch.ones(2, 4), torch.ones(3, 4), ids(2), torch.ones(2, 4), 1),
    "translate_gradients": (torch.ones(2, 4), ids(2), torch.ones(3, 4), 1),
    "turn": (torch.ones(2, 4), torch.ones(3, 2), torch.ones(3, 2), ids(2), torch.ones(2, 4), 1),
    "turn_gradients": (
        *(torch.ones(2, 4), torch.ones(2, 4), torch.ones(3, 2), torch.ones(3, 2), ids(2)),
        *(torch.ones(2, 4), torch.ones(3, 2), torch.ones(3, 2), 1),
    ),
    "beta_moments": (torch.ones(2, 4), torch.ones(2, 5), torch.ones(2, dtype=torch.float64), 1),
    "beta_gradients": (
        *(torch.ones(2, 4), torch.ones(2, 5), torch.ones(2, 5)),
        *(torch.ones(2, dtype=torch.float64), torch.ones(2, 4), 1),
    ),
    "sum_rows": (torch.ones(3, 5), [ids(2)], [torch.ones(2, 5)], True, 1),
    "gather_rows": (torch.ones(3, 5), ids(2), ids(2), torch.ones(2, 5), 1),
    "add": (ids(2),),
    "write": (ids(2),),
    "locate": (ids(2), ids(2)),
    "contains": (ids(2), torch.zeros(2, dtype=torch.bool)),
}


def operation(name: str) -> Callable[..., object]:
    of_ids = name in ("add", "write", "locate", "contains")
    found: Callable[..., object] = getattr(_native.IdResolver(9) if of_ids else _native, name)
    return found


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_array_of_another_memory_order_or_dtype_is_refused(name: str) -> None:
    call, arguments = operation(name), ARGUMENTS[name]
    for place, argument in enumerate(arguments):
        if isinstance(argument, (Tensor, list)):
            [array] = argument if isinstance(argument, list) else [argument]
            for wrong in (spread(array), array.to(torch.int8)):
                other = [wrong] if isinstance(argument, list) else wrong
                with pytest.raises((TypeError, ValueError), match=r"incompatible function arguments|wrong dtype"):
                    call(*arguments[:place], other, *arguments[place + 1 :])


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if name not in ("write", "locate")])
def test_the_arrays_themselves_are_taken(name: str) -> None:
    operation(name)(*ARGUMENTS[name])


@pytest.fixture
def only_released() -> Iterator[None]:
    """The interpreter changes threads only where one waits or leaves it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("only_released")
@pytest.mark.parametrize("name", ["use_huge_pages", "clear"])
def test_other_threads_run_meanwhile(name: str) -> None:
    # NumPy's array: to hand over one of torch lets other threads run, whatever is done with it.
    memory, resolver = np.zeros(2**24, dtype=np.float32), _native.IdResolver(10**8)
    call = {"use_huge_pages": lambda: _native.use_huge_pages(memory), "clear": resolver.clear}[name]
    gate, ran = threading.Lock(), []
    gate.acquire()

    def wait() -> None:
        with gate:
            ran.append(True)

    other = threading.Thread(target=wait)
    other.start()
    gate.release()
    end = time.monotonic() + 5
    while not ran and time.monotonic() < end:
        call()
    assert ran
    other.join()
