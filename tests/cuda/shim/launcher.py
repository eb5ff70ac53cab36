"""Kernels of `cuda/`, compiled for the CPU and run there: a launcher for tests."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from shim.build import built_library, source_of
from shim.cases import write_case
from shim.guarded import GuardedArguments
from shim.kernels import kernels_in
from shim.symbols import explained
from torch import Tensor

from graphkit.engine.cuda.launcher import Extent

Argument = Tensor | int | float | None

#: What a pointer may point to, by the letter that the shim gives its type; all others may point to anything.
_DTYPES = {
    "f": [torch.float32],
    "d": [torch.float64],
    "q": [torch.int64],
    "i": [torch.int32],
    "h": [torch.bfloat16, torch.float16, torch.int16],
    "b": [torch.uint8, torch.int8, torch.bool],
}

#: Limits of compute capability 9.0 (CUDA C++ Programming Guide, "Technical Specifications per Compute Capability").
_MOST_BLOCKS = (2**31 - 1, 65535, 65535)
_MOST_THREADS = (1024, 1024, 64)
_MOST_THREADS_OF_BLOCK = 1024
_MOST_SHARED_BYTES = 227 * 1024


class ShimError(Exception):
    """A launch that a GPU would refuse, or a kernel that does what it must not do."""


class ShimLauncher:
    """A `Launcher` that runs kernels on CPU tensors, and waits for them.

    Args:
        schedule_seed: order of blocks, and of threads between barriers; 0 is that of their numbers.
        races: find conflicting accesses and those outside of what the kernel was given, at some 50 times the time.
    """

    def __init__(self, schedule_seed: int = 0, races: bool = False) -> None:
        self.schedule_seed, self.races = schedule_seed, races

    def launch(
        self,
        file: str,
        kernel: str,
        grid: Extent,
        block: Extent,
        arguments: Sequence[Argument],
    ) -> None:
        """Runs `cuda/FILE.cu`, as `Launcher.launch` says.

        Raises:
            ShimError: see there.
        """
        module = ShimModule(file, races=self.races)
        module.launch(kernel, grid, block, *arguments, schedule_seed=self.schedule_seed)


class ShimModule:
    """The kernels of a launcher, `tests/cuda/launchers/NAME.cpp`."""

    def __init__(self, name: str, *, races: bool = False) -> None:
        self.name, self.races = name, races
        self._library = _library(name, races)

    def launch(
        self,
        kernel: str,
        grid: Extent,
        block: Extent,
        *arguments: Argument,
        shared_bytes: int = 0,
        schedule_seed: int = 0,
    ) -> None:
        """Runs a kernel to its end.

        Raises:
            ShimError: the kernel is not there, takes something else, cannot be launched so, or made an error.
        """
        try:
            run = self._library[f"shim_launch_{kernel}"]
            describe = self._library[f"shim_signature_{kernel}"]
        except AttributeError:
            raise ShimError(
                f"tests/cuda/launchers/{self.name}.cpp has no kernel {kernel}; add SHIM_KERNEL({kernel})"
            ) from None
        _require_launch(kernel, grid, block, shared_bytes, kernels_in(source_of(self.name))[kernel])
        describe.restype = ctypes.c_char_p
        values = _values(kernel, describe().decode(), arguments)
        pointers = (ctypes.c_void_p * len(values))(*[ctypes.addressof(value) for value in values])
        launch = _Launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), shared_bytes, schedule_seed)
        write_case(self.name, kernel, grid, block, arguments, shared_bytes, schedule_seed)
        guarded = GuardedArguments(arguments) if self.races else None
        if guarded is not None:
            launch.regions = _guarded_regions(arguments, values, guarded)
            launch.region_count = len(arguments)
        failed = run(ctypes.byref(launch), pointers) != 0
        if guarded is not None:
            guarded.copy_back()
        if failed:
            raise ShimError(explained(self._library.shim_error().decode(), Path(self._library._name)))


class _Region(ctypes.Structure):
    """`ShimRegion` of runtime.hpp."""

    _fields_ = (("begin", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("argument", ctypes.c_int))


class _Launch(ctypes.Structure):
    """`ShimLaunch` of runtime.hpp."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_size_t),
        ("schedule_seed", ctypes.c_uint64),
        ("regions", ctypes.POINTER(_Region)),
        ("region_count", ctypes.c_size_t),
    )


def _guarded_regions(arguments: Sequence[Argument], values: list[Any], guarded: GuardedArguments) -> Any:
    """Makes `values` point to the copies of their tensors, and returns where these are."""
    regions = (_Region * max(len(arguments), 1))()
    for number, (argument, value, region) in enumerate(zip(arguments, values, regions, strict=False)):
        if isinstance(argument, Tensor):
            value.value = guarded.address(argument)
            region.begin, region.bytes = value.value, argument.nbytes
        region.argument = number
    return regions


@cache
def _library(name: str, races: bool) -> ctypes.PyDLL:
    # PyDLL keeps Python's lock: a library runs one launch at a time.
    library = ctypes.PyDLL(str(built_library(name, races=races)))
    library.shim_error.restype = ctypes.c_char_p
    return library


def _require_launch(kernel: str, grid: Extent, block: Extent, shared_bytes: int, bound: int | None) -> None:
    """Refuses what the driver would refuse; `bound` is the most threads that the kernel was compiled for."""
    for what, extent, most in (("grid", grid, _MOST_BLOCKS), ("block", block, _MOST_THREADS)):
        if not all(1 <= size <= limit for size, limit in zip(extent, most, strict=True)):
            raise ShimError(f"kernel {kernel} is launched with {what} {extent}; give extents from 1 to {most}")
    if block[0] * block[1] * block[2] > _MOST_THREADS_OF_BLOCK:
        raise ShimError(f"kernel {kernel} is launched with block {block}; give at most 1024 threads")
    if bound is not None and block[0] * block[1] * block[2] > bound:
        raise ShimError(
            f"kernel {kernel} is launched with block {block}, and its __launch_bounds__ are {bound} threads; give at "
            f"most {bound}"
        )
    if not 0 <= shared_bytes <= _MOST_SHARED_BYTES:
        raise ShimError(
            f"kernel {kernel} is launched with {shared_bytes} bytes of shared memory; give 0 to {_MOST_SHARED_BYTES}"
        )


def _values(kernel: str, signature: str, arguments: Sequence[Argument]) -> list[Any]:
    """Returns arguments as C values, whose types are those of the kernel."""
    count = len(signature) // 2
    if len(arguments) != count:
        raise ShimError(f"kernel {kernel} takes {count} arguments and was given {len(arguments)}")
    return [
        _value(f"argument {number} of kernel {kernel}", signature[2 * number], signature[2 * number + 1], argument)
        for number, argument in enumerate(arguments)
    ]


def _value(name: str, passing: str, letter: str, argument: Argument) -> Any:
    if passing == "=":
        kinds: dict[str, tuple[type, Callable[..., Any]]] = {
            "q": (int, ctypes.c_longlong),
            "f": (float, ctypes.c_float),
        }
        if letter not in kinds:
            raise ShimError(f"{name} is neither a pointer nor a long long nor a float; declare it as one of these")
        of_python, of_c = kinds[letter]
        if type(argument) is not of_python:
            raise ShimError(f"{name} takes {of_python.__name__} and was given {type(argument).__name__}")
        return of_c(argument)
    if argument is None:
        return ctypes.c_void_p(None)
    if not isinstance(argument, Tensor):
        raise ShimError(f"{name} is a pointer and was given {type(argument).__name__}; give a tensor, or None")
    if letter in _DTYPES and argument.dtype not in _DTYPES[letter]:
        raise ShimError(f"{name} points to {_DTYPES[letter][0]} and was given {argument.dtype}")
    if not argument.is_contiguous() or argument.device.type != "cpu":
        raise ShimError(f"{name} is not contiguous, or not on the CPU; give it as it should lie")
    return ctypes.c_void_p(argument.data_ptr())
