"""Each mistake that is planted in a kernel is found, and the kernel without it passes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from shim.launcher import Argument, ShimError, ShimModule
from torch import Tensor


def run(
    kernel: str, threads: int, *arguments: Argument, blocks: int = 1, races: bool = True, seed: int = 0, shared: int = 0
) -> None:
    module = ShimModule("planted_errors", races=races)
    module.launch(kernel, (blocks, 1, 1), (threads, 1, 1), *arguments, schedule_seed=seed, shared_bytes=shared)


def error_of(kernel: str, threads: int, *arguments: Argument, **options: int) -> str:
    with pytest.raises(ShimError) as error:
        run(kernel, threads, *arguments, **options)
    return str(error.value)


def test_a_missing_barrier() -> None:
    values = torch.arange(128)
    found = torch.empty_like(values)
    assert error_of("reverse_without_barrier", 64, values, found, blocks=2, shared=512) == (
        "kernel reverse_without_barrier, block (0, 0, 0): thread (32, 0, 0) writes byte 256 of dynamic shared memory "
        "in line 7, and thread (31, 0, 0) reads it in line 8, and nothing orders them; put __syncthreads between, or "
        "__syncwarp within a warp"
    )
    run("reverse", 64, values, found, blocks=2, shared=512)
    assert torch.equal(found, values.view(2, 64).flip(1).view(-1))


def test_orders_of_threads_show_what_a_missing_barrier_does_and_change_nothing_where_it_is() -> None:
    values = torch.arange(64)

    def results(kernel: str) -> set[Sequence[int]]:
        found = []
        for seed in range(5):
            found.append(torch.empty_like(values))
            run(kernel, 64, values, found[-1], races=False, seed=seed, shared=512)
        return {tuple(each.tolist()) for each in found}

    assert len(results("reverse_without_barrier")) == 5
    assert results("reverse") == {tuple(values.flip(0).tolist())}


def test_a_shuffle_is_no_memory_barrier() -> None:
    values = torch.arange(32.0)
    assert error_of("swap_halves_by_shuffle_alone", 32, values) == (
        "kernel swap_halves_by_shuffle_alone, block (0, 0, 0): thread (0, 0, 0) reads byte 64 of exchanged in line 24, "
        "and thread (16, 0, 0) writes it in line 22, and nothing orders them; put __syncthreads between, or __syncwarp "
        "within a warp"
    )
    values = torch.arange(32.0)
    run("swap_halves", 32, values)
    assert torch.equal(values, torch.arange(32.0).view(2, 16).flip(0).view(-1))


def test_blocks_that_write_the_same() -> None:
    values, total = torch.arange(5.0), torch.zeros(2)
    assert error_of("total_without_atomic", 4, values, total, blocks=5) == (
        "kernel total_without_atomic, block (1, 0, 0): thread (0, 0, 0) reads byte 0 of argument 1 in line 36, and "
        "thread (0, 0, 0) of block (0, 0, 0) writes it in line 36, and nothing orders blocks; let one block do both, "
        "or let both be atomic"
    )
    total.zero_()
    run("total", 4, values, total, blocks=5)
    assert total.tolist() == [10.0, 0.0]


def test_an_atomic_operation_and_a_plain_one() -> None:
    counter, seen = torch.zeros(1, dtype=torch.int32), torch.zeros(1, dtype=torch.int32)
    assert error_of("count_and_read", 64, counter, seen) == (
        "kernel count_and_read, block (0, 0, 0): thread (1, 0, 0) atomically changes byte 0 of argument 0 in line 45, "
        "and thread (0, 0, 0) reads it in line 46, and nothing orders them; put __syncthreads between, or __syncwarp "
        "within a warp"
    )
    counter.zero_()
    run("count_then_read", 64, counter, seen)
    assert seen.item() == 64


def test_a_write_beyond_the_end() -> None:
    values = torch.zeros(70)
    assert error_of("double_one_too_many", 32, values, 70, blocks=3) == (
        "kernel double_one_too_many, block (2, 0, 0): thread (6, 0, 0) writes 4 bytes in line 57 at byte 280 of "
        "argument 0, which has 280; stay within it"
    )
    run("double_all", 32, values, 70, blocks=3)
    assert torch.equal(values, torch.full((70,), 2.0))


def test_a_write_into_what_the_kernel_was_not_given() -> None:
    whole = torch.zeros(80)
    error_of("double_one_too_many", 32, whole[:70], 70, blocks=3)
    assert whole[70:].tolist() == [0.0] * 10


def test_a_lane_that_its_mask_does_not_name() -> None:
    assert error_of("sum_of_half_named", 32, torch.zeros(1), races=False) == (
        "kernel sum_of_half_named, block (0, 0, 0): thread (16, 0, 0) waits at __shfl_xor_sync of line 67 with mask "
        "0x0000ffff, which does not name its lane 16; name all lanes that take part"
    )


def test_a_lane_that_is_named_and_does_not_come() -> None:
    sums = torch.zeros(1)
    assert error_of("sum_of_some_that_come", 64, sums, 40, races=False) == (
        "kernel sum_of_some_that_come, block (0, 0, 0): thread (32, 0, 0) waits at __shfl_xor_sync of line 74 with "
        "mask 0xffffffff, and lane 8, thread (40, 0, 0), has ended; let all lanes that the mask names take part"
    )
    run("sum_of_some_that_come", 64, sums, 64)
    assert sums.item() == 31 * 32 / 2


def test_reading_from_a_lane_that_takes_no_part() -> None:
    assert error_of("read_unnamed", 32, torch.zeros(32), races=False) == (
        "kernel read_unnamed, block (0, 0, 0): thread (0, 0, 0) waits at __shfl_down_sync of line 81 with mask "
        "0x0000ffff and reads from lane 16, which takes no part; name it in the mask, or do not read from it"
    )


def test_reading_from_a_lane_that_the_block_does_not_have() -> None:
    assert error_of("sum_of_some_that_come", 48, torch.zeros(1), 48, races=False) == (
        "kernel sum_of_some_that_come, block (0, 0, 0): thread (32, 0, 0) waits at __shfl_xor_sync of line 74 with "
        "mask 0xffffffff and reads from lane 16, which takes no part; name it in the mask, or do not read from it"
    )


def test_a_barrier_that_some_threads_do_not_come_to() -> None:
    assert error_of("barrier_for_some", 64, torch.zeros(64), races=False) == (
        "kernel barrier_for_some, block (0, 0, 0): thread (0, 0, 0) waits at __syncthreads of line 86, and thread "
        "(32, 0, 0) has ended; let all threads of a block come to the same barrier"
    )
    run("barrier_for_some", 32, torch.zeros(32))


def test_threads_at_different_barriers() -> None:
    assert error_of("barriers_in_branches", 32, torch.zeros(32), races=False) == (
        "kernel barriers_in_branches, block (0, 0, 0): thread (0, 0, 0) waits at __syncthreads of line 92 and thread "
        "(31, 0, 0) waits at __syncthreads of line 94; let all threads of a block come to the same barrier"
    )


def test_threads_that_wait_for_each_other() -> None:
    assert error_of("barrier_against_shuffle", 32, torch.zeros(32), races=False) == (
        "kernel barrier_against_shuffle, block (0, 0, 0): thread (0, 0, 0) waits at __shfl_sync of line 101 with mask "
        "0xffffffff, and lane 5, thread (5, 0, 0), waits at __syncthreads of line 100; let all lanes that the mask "
        "names take part"
    )


def test_a_vector_at_an_address_that_is_not_its_own() -> None:
    values, copied = torch.arange(9.0), torch.empty(8)
    assert error_of("copy_vectors", 32, values[1:], copied, 2) == (
        "kernel copy_vectors, block (0, 0, 0): thread (0, 0, 0) uses an address that is null, or not aligned as its "
        "type needs, in line 105"
    )
    run("copy_vectors", 32, values[:8], copied, 2)
    assert torch.equal(copied, values[:8])


def test_an_index_beyond_an_array_of_fixed_size() -> None:
    values = torch.zeros(8)
    assert error_of("beyond_a_fixed_array", 8, values, 8) == (
        "kernel beyond_a_fixed_array, block (0, 0, 0): thread (0, 0, 0) uses an index beyond the bounds of an array in "
        "line 112"
    )
    run("beyond_a_fixed_array", 8, values, 0)


def test_a_shift_by_too_many_bits() -> None:
    assert error_of("shift_too_far", 1, torch.zeros(1, dtype=torch.int64), 64) == (
        "kernel shift_too_far, block (0, 0, 0): thread (0, 0, 0) shifts by fewer than 0 bits, or by more than there "
        "are, in line 116"
    )


def test_an_error_leaves_nothing_behind() -> None:
    values = torch.arange(64)
    for _ in range(3):
        error_of("barrier_for_some", 64, torch.zeros(64), races=False)
        found = torch.empty_like(values)
        run("reverse", 64, values, found, races=False, shared=512)
        assert torch.equal(found, values.flip(0))


@pytest.mark.parametrize(
    ("kernel", "arguments", "expected"),
    [
        ("nothing", (), "tests/cuda/launchers/planted_errors.cpp has no kernel nothing; add SHIM_KERNEL(nothing)"),
        ("double_all", (torch.zeros(1),), "kernel double_all takes 2 arguments and was given 1"),
        ("double_all", (torch.zeros(1), 1.0), "argument 1 of kernel double_all takes int and was given float"),
        (
            "double_all",
            (1, 1),
            "argument 0 of kernel double_all is a pointer and was given int; give a tensor, or None",
        ),
        (
            "double_all",
            (torch.zeros(1).double(), 1),
            "argument 0 of kernel double_all points to torch.float32 and was given torch.float64",
        ),
        (
            "double_all",
            (torch.zeros(4, 4)[:, 0], 4),
            "argument 0 of kernel double_all is not contiguous, or not on the CPU; give it as it should lie",
        ),
        (
            "take_an_int",
            (torch.zeros(1), 1),
            "argument 1 of kernel take_an_int is neither a pointer nor a long long nor a float; declare it as one of "
            "these",
        ),
    ],
    ids=["name", "count", "float", "pointer", "dtype", "layout", "int"],
)
def test_arguments_that_a_kernel_does_not_take(kernel: str, arguments: tuple[Argument, ...], expected: str) -> None:
    assert error_of(kernel, 1, *arguments, races=False) == expected


@pytest.mark.parametrize(
    ("grid", "block", "shared", "expected"),
    [
        ((0, 1, 1), (1, 1, 1), 0, "grid (0, 1, 1); give extents from 1 to (2147483647, 65535, 65535)"),
        ((1, 65536, 1), (1, 1, 1), 0, "grid (1, 65536, 1); give extents from 1 to (2147483647, 65535, 65535)"),
        ((1, 1, 1), (1, 1, 65), 0, "block (1, 1, 65); give extents from 1 to (1024, 1024, 64)"),
        ((1, 1, 1), (32, 33, 1), 0, "block (32, 33, 1); give at most 1024 threads"),
        ((1, 1, 1), (1, 1, 1), 232449, "232449 bytes of shared memory; give 0 to 232448"),
    ],
    ids=["no blocks", "blocks along y", "threads along z", "threads", "shared"],
)
def test_launches_that_a_gpu_would_refuse(
    grid: tuple[int, int, int], block: tuple[int, int, int], shared: int, expected: str
) -> None:
    values: Tensor = torch.zeros(1)
    with pytest.raises(ShimError) as error:
        ShimModule("planted_errors").launch("double_all", grid, block, values, 1, shared_bytes=shared)
    assert str(error.value) == f"kernel double_all is launched with {expected}"


def test_more_threads_than_a_kernel_is_bounded_to() -> None:
    values = torch.zeros(65)
    assert error_of("bounded_to_64", 65, values, races=False) == (
        "kernel bounded_to_64 is launched with block (65, 1, 1), and its __launch_bounds__ are 64 threads; give at "
        "most 64"
    )
    assert not values.any()
    run("bounded_to_64", 64, values)
    assert values.tolist() == [1.0] * 64 + [0.0]
