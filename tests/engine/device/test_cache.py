"""Rows on the device: which are kept, and how they travel."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from device_tasks import CACHES, assert_same, run_steps, task, tensors

from graphkit.engine import Adam, EmbeddingTable, Simulated
from graphkit.engine.device import cache as caching
from graphkit.engine.device.cache import RowCache
from graphkit.engine.device.pipeline import DeviceFeed
from graphkit.engine.device.simulated import SimulatedDevice
from graphkit.engine.device.staging import StagingRing
from graphkit.errors import GraphkitError


def cached(
    device: SimulatedDevice, table: EmbeddingTable, rows: int, policy: Any
) -> tuple[RowCache, list[StagingRing]]:
    rings = [StagingRing(device, slots=2) for _ in range(2)]
    degrees = torch.arange(len(table))
    return RowCache(
        device, table, rows=rows, policy=policy, degrees=lambda: degrees, inward=rings[0], outward=rings[1]
    ), rings


@pytest.mark.parametrize("options", CACHES[1:5], ids=lambda options: "-".join(map(str, options.values())))
def test_rows_in_pieces_are_trained_as_on_the_cpu(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "PIECE", 600)
    here, there = task(), task(Simulated(delay=1e-4, **options))
    assert run_steps(here, 4) == run_steps(there, 4)
    assert_same(tensors(here.state_dict()), tensors(there.state_dict()))


@pytest.mark.parametrize("piece", [1000, 4096])
def test_a_cache_of_any_size_takes_staging_of_a_piece(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "PIECE", piece)
    device = SimulatedDevice(delay=0.0)
    table = EmbeddingTable(torch.randn(500, 6, generator=torch.Generator().manual_seed(0)), Adam())
    before = table.weight.clone()
    kept, rings = cached(device, table, 400, "degree")
    assert torch.equal(device.download(kept.weight), before[100:])
    with device.computing():
        kept.weight.add_(1)
    kept.write_back()
    assert torch.equal(table.weight, torch.cat([before[:100], before[100:] + 1]))
    sizes = [len(slot.buffer) for ring in rings for slot in ring._slots]
    assert max(sizes) <= 2 ** math.ceil(math.log2(piece)) and min(sizes) > 0  # by turns: there was more than one piece
    device.close()


def test_a_cache_uploads_no_rows_that_it_may_never_hold() -> None:
    device = SimulatedDevice(delay=0.0)
    kept, _ = cached(device, EmbeddingTable(torch.ones(9, 2), Adam()), 5, "lru")
    assert device.download(kept.weight).isnan().all()
    device.close()


@pytest.mark.parametrize(
    ("where", "rows"),
    [("cache", 7), ("prepare", 0), ("deliver", 0), ("deliver", 7), ("step", 7), ("collect", 7), ("update", 7)],
)
def test_a_device_without_memory_names_what_makes_room(where: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = task(Simulated(delay=0.0, cache_rows=rows))

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    places: dict[str, tuple[Any, str]] = {
        "cache": (RowCache, "_like"),
        "prepare": (SimulatedDevice, "allocate"),
        "deliver": (DeviceFeed, "_assemble"),
        "step": (trained, "_backward"),
        "collect": (DeviceFeed, "collect"),
        "update": (DeviceFeed, "update"),
    }
    monkeypatch.setattr(*places[where], full)
    with pytest.raises(GraphkitError) as error:
        run_steps(trained, 1)
    assert str(error.value).removeprefix("batch 0 (seed 5): ") == (
        f"the device has too little memory for the batches beside {rows} cached rows with their optimiser's state; "
        "lower engine.cache_rows or sampler.batch_size"
    )


def test_a_table_that_is_read_in_place_has_its_rows_in_turn() -> None:
    device = SimulatedDevice()
    with pytest.raises(GraphkitError) as error:
        device.mapped(torch.ones(4, 3).T)
    assert str(error.value) == (
        "engine.zero_copy is true and the table's strides are (1, 3), where rows have to follow each other; set "
        "engine.zero_copy=false"
    )


def test_a_table_is_mapped_once_at_a_time() -> None:
    device, table = SimulatedDevice(), torch.ones(4, 3)
    device.mapped(table)
    with pytest.raises(GraphkitError) as error:
        device.mapped(table)
    assert str(error.value) == "the table of 4 rows is mapped already; unmap it before it is mapped again"
    device.unmap(table)
    device.mapped(table)
