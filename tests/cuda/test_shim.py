"""Threads, warps and atomic operations of the shim do what CUDA C++ says that they do."""

from __future__ import annotations

import functools
import operator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from shim.launcher import Argument, Extent, ShimModule

#: In the order of their numbers, and in two others; with accesses checked.
SCHEDULES = [(0, False), (1, False), (2, False), (1, True)]


def run(
    kernel: str, block: Extent, *arguments: Argument, grid: Extent = (1, 1, 1), seed: int = 0, races: bool = False
) -> None:
    module = ShimModule("thread_calls", races=races)
    module.launch(kernel, grid, block, *arguments, schedule_seed=seed, shared_bytes=8 * 1024)


@pytest.mark.parametrize(("seed", "races"), SCHEDULES)
@pytest.mark.parametrize(
    ("grid", "block"), [((1, 1, 1), (1, 1, 1)), ((2, 3, 5), (7, 2, 3)), ((40, 1, 1), (1024, 1, 1))]
)
def test_every_thread_of_every_block_runs_once(grid: Extent, block: Extent, seed: int, races: bool) -> None:
    count = functools.reduce(operator.mul, (*grid, *block))
    found = torch.full((count,), -1)
    run("places", block, found, grid=grid, seed=seed, races=races)
    assert torch.equal(found, torch.arange(count))


def shuffled(kind: str, values: list[int], operand: int, width: int) -> list[int]:
    """As the CUDA C++ Programming Guide describes them, and PTX ISA, `shfl.sync`."""
    found = []
    for lane, own in enumerate(values):
        begin = lane - lane % width
        source = {
            "idx": begin + operand % width,
            "up": lane - operand,
            "down": lane + operand,
            "xor": lane ^ operand,
        }[kind]
        kept = source < begin if kind == "up" else source >= begin + width
        found.append(own if kept else values[source - source // 32 * 32])
    return found


@pytest.mark.parametrize(("seed", "races"), SCHEDULES)
@given(operand=st.integers(0, 31), width=st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_shuffles(seed: int, races: bool, operand: int, width: int) -> None:
    values = torch.randint(-(2**62), 2**62, (64,), generator=torch.Generator().manual_seed(operand))
    found = torch.empty(4, 64, dtype=torch.int64)
    run("shuffles", (64, 1, 1), values, found, operand, width, seed=seed, races=races)
    for row, kind in zip(found.tolist(), ["idx", "up", "down", "xor"], strict=True):
        for warp in (slice(0, 32), slice(32, 64)):
            assert row[warp] == shuffled(kind, values[warp].tolist(), operand, width)


@pytest.mark.parametrize(("seed", "races"), SCHEDULES)
@pytest.mark.parametrize("bits", [0, 1, 2**31, 2**32 - 1, 0x55555555, 0x12345678])
def test_votes_count_those_that_the_mask_names(bits: int, seed: int, races: bool) -> None:
    values = torch.tensor([bits >> lane & 1 for lane in range(32)], dtype=torch.int32)
    found = torch.empty(3, 32, dtype=torch.int32)
    run("votes", (32, 1, 1), values, found, seed=seed, races=races)
    for lane in range(32):
        mask = 0x55555555 << lane % 2
        ballot, any_of, all_of = (int(row[lane]) for row in found)
        assert ballot % 2**32 == bits & mask
        assert (any_of, all_of) == (int(bits & mask != 0), int(bits & mask == mask))


@pytest.mark.parametrize(("seed", "races"), SCHEDULES)
def test_atomic_operations_on_integers(seed: int, races: bool) -> None:
    values = torch.randint(-(2**31), 2**31, (3, 64), generator=torch.Generator().manual_seed(3)).int()
    each = values.flatten().tolist()
    found = torch.tensor([0, -(2**31), 2**31 - 1, 0, -1, 0, each[7], 5, 0], dtype=torch.int32)
    run("atomics_of_ints", (64, 1, 1), values, found, grid=(3, 1, 1), seed=seed, races=races)
    added, *others, last = found.tolist()
    assert (added - sum(each)) % 2**32 == 0
    assert others[:2] == [max(each), min(each)]
    assert others[2:5] == [functools.reduce(each_two, each) for each_two in (operator.or_, operator.and_, operator.xor)]
    assert others[5:] == [-1, 4]
    assert last in each


def test_atomic_operations_on_floats() -> None:
    values = torch.arange(128.0)
    found, total = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    run("atomics_of_floats", (64, 1, 1), values, found, total, grid=(2, 1, 1), races=True)
    assert found.item() == total.item() == 127 * 64


@given(values=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=64))
def test_bits_of_integers_and_reals(values: list[int]) -> None:
    reals = torch.tensor(values, dtype=torch.float32) / 3
    found = torch.empty(len(values), 9, dtype=torch.int32)
    run("bits", (len(values), 1, 1), torch.tensor(values, dtype=torch.int32), reals, found)
    for value, real, row in zip(values, reals.view(torch.int32).tolist(), found.tolist(), strict=True):
        unsigned = value % 2**32
        assert row[:3] == [unsigned.bit_count(), (value & -value).bit_length(), 32 - unsigned.bit_length()]
        assert row[3] % 2**32 == unsigned * 0x9E3779B9 >> 32
        assert row[4] % 2**32 == (value % 2**64 * 0x9E3779B97F4A7C15 >> 64) % 2**32
        assert row[5:] == [real, value, max(value, 7), min(value, 7)]


@pytest.mark.parametrize(("seed", "races"), SCHEDULES)
@pytest.mark.parametrize("threads", [1, 31, 32, 100, 1024])
def test_barriers(threads: int, seed: int, races: bool) -> None:
    values = torch.arange(threads)
    sums = torch.empty_like(values)
    run("prefix_sums", (threads, 1, 1), values, sums, threads, seed=seed, races=races)
    assert torch.equal(sums, values.cumsum(0))


@pytest.mark.parametrize(("seed", "races"), SCHEDULES)
def test_shared_memory_of_a_block_holds_no_numbers_in_the_beginning(seed: int, races: bool) -> None:
    found = torch.zeros(3, 4)
    run("what_was_there", (4, 1, 1), found, grid=(3, 1, 1), seed=seed, races=races)
    assert found.isnan().all()
