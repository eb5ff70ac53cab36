"""Each operation has its kernels, once in a process, and what holds logits makes do with the memory there is."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import pytest
import torch
from cupy_stand_ins import broken

from graphkit.engine.cuda import registration
from graphkit.engine.kernels import dispatch, log_softmax

CHECKOUT = Path(__file__).parents[3]
KERNELS = sorted(path.stem for path in (CHECKOUT / "cuda").glob("*.cu"))


#: Launch code that no operation is computed by yet, though tests run it; `cuda/README.md` says so.
UNUSED = {("gather", "gather_rows")}


def test_every_kernel_file_has_launch_code_and_all_of_that_but_the_unused_is_registered() -> None:
    written = set()
    for name in KERNELS:
        module = import_module(f"graphkit.engine.cuda.{name}")
        for function, value in inspect.getmembers(module, inspect.isfunction):
            if (
                value.__module__ == module.__name__
                and next(iter(inspect.signature(value).parameters), "") == "launcher"
            ):
                written.add((name, function))
    registered = []
    for _, implementation in registration.implementations():
        function = getattr(implementation, "func", implementation)
        home = function.__module__.rpartition(".")[2]
        # Losses over all entities are registered behind what cuts them into smaller chunks.
        home = "log_softmax" if home == "registration" else home
        registered.append((home, function.__name__.removeprefix("_") if home == "log_softmax" else function.__name__))
    assert len(set(registered)) == len(registered)
    public = {part for part in written if not part[1].startswith("_")}
    assert {name for name, _ in public} == set(KERNELS)
    assert public == set(registered) | UNUSED


def test_implementations_take_the_arguments_of_their_operations() -> None:
    for operation, implementation in registration.implementations():
        wanted = [argument.name for argument in operation._opoverload._schema.arguments]
        parameters = inspect.signature(implementation).parameters.values()
        taken = [part.name for part in parameters if part.kind is not part.KEYWORD_ONLY]
        assert taken == ["launcher", *wanted], operation


def test_kernels_are_registered_once_however_often_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[None] = []
    monkeypatch.setattr(registration, "implementations", lambda: asked.append(None) or [])
    monkeypatch.setattr(registration, "current", lambda: object())
    monkeypatch.setattr(dispatch, "_served", {"cpu"})
    assert registration.register() and registration.register()
    assert dispatch.is_native(torch.empty(0)) and dispatch._is_served("cuda")
    assert asked == [None]


@pytest.fixture
def logits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_softmax, "LOGITS_AT_ONCE", 2**18)


@pytest.mark.usefixtures("logits")
def test_where_memory_is_short_chunks_are_halved_and_said_once() -> None:
    tried = []

    def run() -> int:
        tried.append(log_softmax.LOGITS_AT_ONCE)
        if log_softmax.LOGITS_AT_ONCE > 2**16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 3

    with pytest.warns(RuntimeWarning) as said:
        assert registration.in_smaller_chunks(run) == 3
        log_softmax.LOGITS_AT_ONCE = 2**18
        assert registration.in_smaller_chunks(run) == 3
    assert tried == 2 * [2**18, 2**17, 2**16]
    assert [str(warning.message) for warning in said] == [
        "the GPU's memory is short: losses over all entities are computed in chunks of 65536 logits; a smaller batch "
        "would be faster"
    ]


@pytest.mark.usefixtures("logits")
def test_memory_that_is_too_short_for_the_smallest_chunk_is_the_callers_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        registration.in_smaller_chunks(broken(torch.OutOfMemoryError, "CUDA out of memory"))
    assert log_softmax.LOGITS_AT_ONCE == registration.LEAST_LOGITS


def test_kept_logits_are_used_whole_after_chunks_have_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(3, 4, generator=generator, requires_grad=True)
    rows = torch.randn(7, 4, generator=generator, requires_grad=True)
    targets = torch.tensor([0, 6, 2])
    expected = torch.autograd.grad(log_softmax.cross_entropy(queries, rows, targets).sum(), [queries, rows])
    loss = log_softmax.cross_entropy(queries, rows, targets).sum()
    monkeypatch.setattr(log_softmax, "LOGITS_AT_ONCE", 6)
    for found, wanted in zip(torch.autograd.grad(loss, [queries, rows]), expected, strict=True):
        assert torch.equal(found, wanted)
