"""Feeds that end, engines that close and threads that fail: no update and no error is lost on the way."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from device_tasks import CACHES, assert_same, run_steps, task, tensors
from torch import nn

from graphkit.engine import CPU, Engine, Simulated
from graphkit.engine.device.cache import RowCache
from graphkit.engine.device.pipeline import DeviceFeed
from graphkit.errors import GraphkitError

each_cache = pytest.mark.parametrize(
    "options", CACHES, ids=lambda options: "-".join(map(str, options.values())) or "plain"
)


# ---- feeds that end


@each_cache
def test_batches_that_are_asked_for_again_find_all_updates(options: dict[str, Any]) -> None:
    here, there = task(), task(Simulated(delay=1e-4, **options))
    for trained in (here, there):
        for _ in range(2):
            batches = trained.batches()
            for _ in range(3):
                trained.step(next(batches))
        trained.close()
    assert_same(tensors(here.state_dict()), tensors(there.state_dict()))


@pytest.mark.parametrize("engine", [CPU, Simulated])
def test_batches_that_have_ended_are_said_to_have(engine: type[Engine]) -> None:
    trained = task(engine())
    first = trained.batches()
    trained.batches()
    with pytest.raises(GraphkitError) as error:
        next(first)
    assert str(error.value) == "these batches have ended with their feed; call batches() for others"
    trained.close()


@each_cache
def test_a_state_that_is_loaded_in_the_middle_stays(options: dict[str, Any]) -> None:
    here, there = task(), task(Simulated(delay=1e-4, **options))
    whole = task()
    run_steps(whole, 2)
    state = whole.state_dict()
    for trained in (here, there):
        batches = trained.batches()
        for _ in range(5):
            trained.step(next(batches))
        trained.load_state_dict(copy.deepcopy(state))
        assert_same(tensors(whole.state_dict()), tensors(trained.state_dict()))
        run_steps(trained, 3)
    run_steps(whole, 3)
    assert_same(tensors(whole.state_dict()), tensors(here.state_dict()))
    assert_same(tensors(here.state_dict()), tensors(there.state_dict()))


def test_a_cache_is_not_written_back_to_a_table_that_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = task(Simulated(delay=0.0, cache_rows=7))
    trained.step(next(trained.batches()))
    state = copy.deepcopy(trained.state_dict())
    monkeypatch.setattr(RowCache, "write_back", lambda *_: pytest.fail("it was"))
    trained.load_state_dict(state)
    trained.close()


@each_cache
def test_an_error_in_mid_step_leaves_what_the_steps_before_it_have_made(options: dict[str, Any]) -> None:
    here, there = task(), task(Simulated(delay=1e-4, **options))
    run_steps(here, 3)
    original, calls = there._backward, iter(range(4))

    def failing(batch: Any) -> Any:
        found = original(batch)
        if next(calls) == 3:
            raise ArithmeticError("in the middle")
        return found

    there._backward = failing  # type: ignore[method-assign]
    with pytest.raises(ArithmeticError, match="in the middle"):
        run_steps(there, 4)
    there.dense.zero_grad()
    assert_same(tensors(here.state_dict()), tensors(there.state_dict()))


# ---- closing


@pytest.mark.parametrize("failing", ["write_back", "close"])
def test_whatever_fails_as_a_task_closes_threads_are_let_go(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    closed = []
    engine = Simulated(delay=0.0, cache_rows=7)
    trained = task(engine)
    trained.step(next(trained.batches()))
    end, finish = engine.device.close, trained.sampler.close
    monkeypatch.setattr(engine.device, "close", lambda: (closed.append("device"), end()))
    monkeypatch.setattr(trained.sampler, "close", lambda: (closed.append("sampler"), finish()))

    def fail(*_: Any, **__: Any) -> None:
        closed.append("feed")
        raise GraphkitError("it could not be brought back")

    with monkeypatch.context() as patched:
        patched.setattr(DeviceFeed, failing, fail)
        with pytest.raises(GraphkitError, match="it could not be brought back"):
            trained.close()
    assert closed == ["feed", "device", "sampler"]  # each once


def test_an_error_on_the_thread_of_a_feed_is_raised_as_it_closes() -> None:
    trained = task(Simulated(delay=0.0, cache_rows=7))
    batches = trained.batches()
    assert isinstance(batches, DeviceFeed)
    original, calls = batches._resolver.resolve, []

    def failing(batch: Any) -> Any:
        calls.append(batch)
        if len(calls) == 2:
            raise GraphkitError("on the thread")
        return original(batch)

    batches._next.result()
    batches._resolver.resolve = failing  # type: ignore[method-assign]
    trained.step(next(batches))
    trained.step(next(batches))  # whose next fails
    with pytest.raises(GraphkitError, match="on the thread"):
        trained.close()
    trained.close()  # it was told


def test_an_error_on_the_thread_of_a_feed_is_raised_once() -> None:
    trained = task(Simulated(delay=0.0))
    batches = trained.batches()
    assert isinstance(batches, DeviceFeed)
    batches._next.result()
    batches._batches = iter(())
    trained.step(next(batches))
    with pytest.raises(StopIteration):
        next(batches)
    trained.close()


def test_the_end_of_batches_is_no_error_as_a_feed_closes() -> None:
    trained = task(Simulated(delay=0.0))
    batches = trained.batches()
    assert isinstance(batches, DeviceFeed)
    batches._next.result()
    batches._batches = iter(())
    trained.step(next(batches))
    trained.close()


# ---- models


class Tied(nn.Module):
    """Two layers and a buffer, each of which goes by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("ones", torch.ones(2))
        self.register_buffer("also", self.ones)


def test_parameters_that_modules_share_are_shared_on_the_device() -> None:
    engine, model = Simulated(), Tied()
    twin = engine.place(model)
    assert isinstance(twin, Tied)
    assert twin.second.weight is twin.first.weight and twin.also is twin.ones
    assert twin.first.weight is not model.first.weight
    with torch.no_grad():
        twin.first.weight.mul_(2)
    before = model.first.weight.clone()
    engine.write_back()
    assert torch.equal(model.second.weight, 2 * before) and model.second.weight is model.first.weight


def test_an_engine_serves_one_task() -> None:
    engine = Simulated()
    task(engine)
    with pytest.raises(GraphkitError) as error:
        task(engine)
    assert str(error.value) == ("this engine serves a task already, and an engine serves one; make one for each task")
