"""The device pipeline: trained weights equal those of the CPU bit for bit, and planted mistakes are found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from device_tasks import CACHES, GRAPH, MODELS, OPTIMIZERS, assert_same, run_steps, task, tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit.checkpoint import load_checkpoint, save_checkpoint
from graphkit.engine import SGD, Adam, EmbeddingTable, Engine, Simulated
from graphkit.engine.device.cache import RowCache
from graphkit.engine.device.pipeline import DeviceFeed
from graphkit.engine.device.protocol import Stream
from graphkit.engine.device.simulated import SimulatedDevice
from graphkit.engine.device.simulated_tensor import DeviceFault
from graphkit.engine.device.staging import StagingRing
from graphkit.errors import GraphkitError
from graphkit.losses import LogSigmoid
from graphkit.models import ComplEx
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training import LinkTask

# ---- equal to the CPU


@pytest.mark.parametrize("options", CACHES, ids=lambda options: "-".join(map(str, options.values())) or "plain")
@pytest.mark.parametrize("mode", ["none", "own", "shared"])
def test_weights_equal_those_of_the_cpu_wherever_rows_are_kept(mode: str, options: dict[str, Any]) -> None:
    here = task(mode=mode)
    there = task(Simulated(delay=2e-4, **options), mode=mode)
    assert run_steps(here, 12) == run_steps(there, 12)
    assert_same(tensors(here.state_dict()), tensors(there.state_dict()))


@pytest.mark.parametrize("sampling", [{"chunks": 3}, {"chunks": 3, "corruption": "degree"}], ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_chunks_and_corrupted_negatives_train_as_on_the_cpu(model: str, sampling: dict[str, Any]) -> None:
    chosen: dict[str, Any] = {"model": model, "loss": LogSigmoid(), **sampling}
    here, there = task(**chosen), task(Simulated(delay=1e-4, cache_rows=9, cache="lru"), **chosen)
    assert run_steps(here, 4) == run_steps(there, 4)
    assert_same(tensors(here.state_dict()), tensors(there.state_dict()))


@pytest.mark.parametrize("mode", ["own", "shared"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_and_optimizer_trains_as_on_the_cpu(model: str, optimizer: str, mode: str) -> None:
    structures = "1p 2p 2i 2in" if model == "betae" else "1p 2p 2i" if model in ("gqe", "query2box") else "1p 2p"
    chosen: dict[str, Any] = {"model": model, "optimizer": optimizer, "mode": mode, "structures": structures}
    chosen["loss"] = LogSigmoid(adversarial_temperature=0.5)
    here, there = task(**chosen), task(Simulated(delay=1e-4, cache_rows=9, cache="lru"), **chosen)
    assert run_steps(here, 4) == run_steps(there, 4)
    assert_same(tensors(here.state_dict()), tensors(there.state_dict()))


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), delay=st.sampled_from([0.0, 1e-4, 3e-3]), options=st.sampled_from(CACHES))
def test_delays_do_not_change_weights(seed: int, delay: float, options: dict[str, Any]) -> None:
    here, there = task(), task(Simulated(delay_seed=seed, delay=delay, **options))
    assert run_steps(here, 6) == run_steps(there, 6)
    assert_same(tensors(here.state_dict()), tensors(there.state_dict()))


@pytest.mark.parametrize("options", CACHES, ids=lambda options: "-".join(map(str, options.values())) or "plain")
def test_what_is_saved_and_evaluated_in_the_middle_is_up_to_date(options: dict[str, Any]) -> None:
    here, there = task(), task(Simulated(delay=2e-4, **options))
    first, second = here.batches(), there.batches()
    for _ in range(4):
        for _ in range(2):
            here.step(next(first))
            there.step(next(second))
        assert here.validate() == there.validate()
        assert_same(tensors(here.state_dict()), tensors(there.state_dict()))
    here.close()
    there.close()


@pytest.mark.parametrize("options", CACHES, ids=lambda options: "-".join(map(str, options.values())) or "plain")
def test_a_task_goes_on_where_another_engine_has_stopped(tmp_path: Path, options: dict[str, Any]) -> None:
    whole = task()
    losses = run_steps(whole, 9)
    parts: list[LinkTask] = []
    for engine, steps in ((None, 3), (Simulated(delay=2e-4, **options), 3), (Simulated(delay=2e-4), 3)):
        present = task(engine)
        if parts:
            present.load_state_dict(load_checkpoint(tmp_path / str(len(parts))))
        assert run_steps(present, steps) == losses[3 * len(parts) : 3 * len(parts) + 3]
        parts.append(present)
        save_checkpoint(tmp_path / str(len(parts)), present.state_dict())
    assert_same(tensors(whole.state_dict()), tensors(parts[-1].state_dict()))


def test_a_step_waits_for_the_device_once_and_by_an_event() -> None:
    engine = Simulated(delay=1e-4)
    device = engine.device
    assert isinstance(device, SimulatedDevice)
    trained = task(engine)
    batches = trained.batches()
    before = device.synchronisations
    for _ in range(5):
        trained.step(next(batches))
    assert device.synchronisations == before
    assert device.waits["outward"] == 5
    trained.close()


# ---- mistakes are found


class Careless(SimulatedDevice):
    """A device whose user forgets to let one stream wait for another."""

    def __init__(self, forgotten: Stream) -> None:
        super().__init__(delay=1e-4)
        self.forgotten = forgotten

    def wait(self, stream: Stream, event: Any) -> None:
        if stream != self.forgotten:
            super().wait(stream, event)


@pytest.mark.parametrize(
    ("forgotten", "found"),
    [
        ("compute", "may not have filled yet (its number "),
        ("outward", "copy 1 of the stream outward reads device buffer "),
    ],
)
def test_a_stream_that_does_not_wait_is_found(forgotten: Stream, found: str) -> None:
    engine = Simulated()
    engine.device = Careless(forgotten)
    with pytest.raises(DeviceFault) as error:
        run_steps(task(engine), 3)
    assert found in str(error.value)


def test_a_host_that_does_not_wait_for_gradients_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import graphkit.engine.device.simulated as simulated

    monkeypatch.setattr(simulated._Event, "wait", lambda event: None)
    with pytest.raises(DeviceFault, match=r"the host (reads|overwrites) pinned buffer"):
        run_steps(task(Simulated()), 4)


def test_rows_that_changed_after_they_were_sent_would_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were all rows sent ahead, weights would differ: the test above would see it."""
    import dataclasses

    from graphkit.engine.prefetch import BatchResolver

    resolve = BatchResolver.resolve

    def forgetful(self: BatchResolver, batch: Any) -> Any:
        found = resolve(self, batch)
        return dataclasses.replace(found, named=torch.zeros_like(found.named))

    here = task()
    expected = run_steps(here, 8)
    monkeypatch.setattr(BatchResolver, "resolve", forgetful)
    assert run_steps(task(Simulated(delay=0.0)), 8) != expected


@contextmanager
def _without(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(RowCache, name, lambda *_, **__: None)
        yield


@pytest.mark.parametrize("policy", ["degree", "lru"])
@pytest.mark.parametrize("name", ["_write_back", "update"])
def test_updates_that_a_cache_would_lose_show_in_the_weights(
    monkeypatch: pytest.MonkeyPatch, name: str, policy: str
) -> None:
    here, there = task(), task(Simulated(delay=0.0, cache_rows=7, cache=policy))  # type: ignore[arg-type]
    run_steps(here, 8)
    with _without(monkeypatch, name):
        run_steps(there, 8)
    assert not torch.equal(here.table.weight, there.table.weight)


# ---- bad input


@pytest.mark.parametrize("options", [{}, {"cache_rows": 7}, {"cache_rows": 40, "cache": "lru"}])
def test_a_gradient_that_is_not_finite_changes_nothing(options: dict[str, Any]) -> None:
    messages, states = [], []
    for engine in (None, Simulated(delay=1e-4, **options)):
        trained = task(engine)
        batch = next(batches := trained.batches())
        trained.step(batch)
        before = tensors(trained.state_dict())
        batch = next(batches)
        with pytest.raises(GraphkitError) as error:
            _spoil(trained, batch)
        messages.append(str(error.value))
        assert_same(before, tensors(trained.state_dict()))
        states.append(before)
        trained.close()
    assert messages[0] == messages[1] and "the gradient of row " in messages[0]
    assert_same(*states)


def _spoil(trained: LinkTask, batch: Any) -> None:
    """Takes a step whose gradient has a NaN in every row, though its loss is finite."""
    original = trained._backward

    def spoilt(given: Any) -> Any:
        losses, gradient = original(given)
        return losses, gradient * float("nan")

    trained._backward = spoilt  # type: ignore[method-assign]
    trained.step(batch)


def test_a_loss_that_is_not_finite_changes_nothing() -> None:
    trained = task(Simulated(delay=1e-4, cache_rows=7))
    batches = trained.batches()
    before = tensors(trained.state_dict())
    original = trained._backward
    trained._backward = lambda given: ([torch.full_like(original(given)[0][0], torch.nan)], original(given)[1])  # type: ignore[method-assign]
    assert str(trained.step(next(batches))["loss"]) == "nan"
    after = tensors(trained.state_dict())
    assert_same({name: before[name] for name in before}, {name: after[name] for name in before})
    trained.close()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cache_rows": -1}, "engine.cache_rows is -1, and 0 (no cache) or more is needed"),
        ({"cache": "random"}, "engine.cache is 'random', and degree or lru is needed"),
        ({"delay": -1.0}, "engine.delay is -1.0, and 0 seconds or more are needed"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(GraphkitError) as error:
        Simulated(**options)
    assert str(error.value) == sentence


def test_tables_of_bfloat16_are_trained_but_not_cached() -> None:
    def trained(engine: Engine | None) -> LinkTask:
        options = SamplerOptions(batch_size=16, mode="shared", negatives=8, seed=5)
        weight = torch.randn(30, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
        table = EmbeddingTable(weight, Adam(lr=0.01))
        made = ComplEx(3, dim=8)
        made.initialize(torch.Generator().manual_seed(1))
        return LinkTask(GRAPH, made, table=table, sampler=QuerySampler(GRAPH, options), engine=engine)

    here, there = trained(None), trained(Simulated(delay=1e-4))
    assert run_steps(here, 6) == run_steps(there, 6)
    assert_same(tensors(here.state_dict()), tensors(there.state_dict()))
    with pytest.raises(GraphkitError) as error:
        run_steps(trained(Simulated(zero_copy=True)), 1)
    assert str(error.value) == ("engine.zero_copy is true and the table is torch.bfloat16; set engine.zero_copy=false")
    with pytest.raises(GraphkitError) as error:
        run_steps(trained(Simulated(cache_rows=4)), 1)
    assert str(error.value) == (
        "engine.cache_rows is 4 and the table is torch.bfloat16; rows of float32 alone are updated on a device, so set "
        "engine.cache_rows=0"
    )


# ---- the cache by itself


@settings(max_examples=20)
@given(
    size=st.integers(1, 12),
    batches=st.lists(st.sets(st.integers(0, 11), min_size=1, max_size=8), min_size=1, max_size=12),
)
def test_rows_that_batches_named_last_are_cached(size: int, batches: list[set[int]]) -> None:
    device = SimulatedDevice(delay=0.0)
    table = EmbeddingTable(torch.randn(12, 3, generator=torch.Generator().manual_seed(0)), SGD(lr=0.5))
    rings = {"inward": StagingRing(device, slots=2), "outward": StagingRing(device, slots=2)}
    cache = RowCache(device, table, rows=size, policy="lru", degrees=lambda: torch.ones(12), **rings)
    last: dict[int, int] = {}
    for number, batch in enumerate(batches):
        ids = torch.tensor(sorted(batch))
        cache.admit(ids)
        last |= dict.fromkeys(batch, number)
        kept = {int(entity) for entity in cache.ids if entity >= 0}
        assert len(kept) == min(size, len(last))  # no room is left while there is something to keep
        if len(batch) <= size:
            assert batch <= kept
        assert kept >= {entity for entity in last if sum(other >= last[entity] for other in last.values()) <= size}
        slots = cache.slots(ids)
        assert [cache.ids[slot] for slot in slots if slot >= 0] == [
            i for i, s in zip(ids, slots, strict=True) if s >= 0
        ]
    device.close()


def test_rows_with_the_most_edges_are_cached_by_degree() -> None:
    feed = task(Simulated(delay=0.0, cache_rows=5))
    batches = feed.batches()
    assert isinstance(batches, DeviceFeed) and batches._cache is not None
    degrees = torch.from_numpy(GRAPH.degree(list(range(30))))
    kept = batches._cache.ids
    assert sorted(degrees[kept].tolist()) == sorted(degrees.tolist())[-5:]
    feed.close()
