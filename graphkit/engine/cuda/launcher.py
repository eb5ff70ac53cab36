"""How kernels of `cuda/` are started, whoever runs them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor

#: Blocks or threads along x, y and z.
Extent = tuple[int, int, int]


class Launcher(Protocol):
    """Runs kernels: CuPy on a GPU, or the tests' stand-in on the CPU."""

    def launch(
        self,
        file: str,
        kernel: str,
        grid: Extent,
        block: Extent,
        arguments: Sequence[Tensor | int | float | None],
    ) -> None:
        """Starts a kernel on the current stream of its tensors' device, and does not wait for it.

        Args:
            file: base name of the `.cu` file.
            kernel: the name of an `extern "C" __global__` function in it.
            grid: blocks.
            block: threads of a block.
            arguments: what the kernel takes, in order: a contiguous tensor is the address of its first element, an int
                a `long long`, a float a `float`, None a null pointer.
        """


@dataclass(frozen=True)
class BackEnd:
    """Who runs operations on a GPU."""

    #: None where torch's own operations do, or there is no GPU
    launcher: Launcher | None
    #: why, as the end of a sentence
    reason: str


def current() -> Launcher | None:
    """Returns what runs kernels on this machine's GPU.

    Returns:
        None where nothing does: there is no GPU, no CuPy, or a driver that does not fit. The first call
        says why, as a warning.
    """
    found = back_end()
    if found.launcher is None:
        _warn(found.reason)
    return found.launcher


@cache
def back_end() -> BackEnd:
    """Looks for a GPU, CuPy and a driver that fits, once in a process; whatever is wrong with them is a reason."""
    if not torch.cuda.is_available():
        return BackEnd(None, "torch finds no GPU")
    try:
        cupy: Any = import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            return BackEnd(None, f"CuPy cannot be imported ({_first_line(error)})")
        return BackEnd(None, "CuPy is missing; pip install 'graphkit[cuda]'")
    except Exception as error:  # a broken installation may fail in any way
        return BackEnd(None, f"CuPy cannot be imported ({_first_line(error)})")
    try:
        driver, runtime = (int(getattr(cupy.cuda.runtime, f"{part}GetVersion")()) for part in ("driver", "runtime"))
        if driver == 0:
            return BackEnd(None, "CuPy finds no driver")
        if driver // 1000 < runtime // 1000:
            return BackEnd(None, f"the driver is for CUDA {_version(driver)} and CuPy for CUDA {_version(runtime)}")
        gpus = int(cupy.cuda.runtime.getDeviceCount())
        capabilities = [int(cupy.cuda.Device(index).compute_capability) for index in range(gpus)]
        if not capabilities:
            return BackEnd(None, "CuPy finds no GPU")
    except Exception as error:
        return BackEnd(None, f"CuPy finds no driver that it can use ({_first_line(error)})")
    wrong = _unfit(cupy, capabilities)
    if wrong is not None:
        return BackEnd(None, wrong)
    from graphkit.engine.cuda.cupy_launcher import CupyLauncher

    return BackEnd(CupyLauncher(cupy), f"CuPy {cupy.__version__} with a driver for CUDA {_version(driver)}")


def _unfit(cupy: Any, capabilities: list[int]) -> str | None:
    """Returns why kernels cannot be compiled for all GPUs, or not be started on a stream of torch."""
    try:
        version = ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
        compiles_for = set(map(int, cupy.cuda.nvrtc.getSupportedArchs()))
    except Exception as error:
        return f"CuPy finds no NVRTC, which compiles kernels ({_first_line(error)})"
    if not hasattr(cupy.cuda.Stream, "from_external"):
        return f"CuPy {cupy.__version__} takes no streams of torch, as 14 does; pip install 'graphkit[cuda]'"
    for index, capability in enumerate(capabilities):
        if capability not in compiles_for:
            return (
                f"NVRTC {version} compiles nothing for GPU {index}, which is sm_{capability}, but for "
                f"{', '.join(f'sm_{each}' for each in sorted(compiles_for))}; install another CuPy, or hide the GPU "
                "by CUDA_VISIBLE_DEVICES"
            )
    return None


@cache
def _warn(reason: str) -> None:
    warnings.warn(f"operations on a GPU are torch's, not graphkit's kernels: {reason}", RuntimeWarning, stacklevel=3)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
