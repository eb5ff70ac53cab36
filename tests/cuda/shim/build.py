"""Compiles launchers of kernels for the CPU, with the shim."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

_SHIM = Path(__file__).parent
_ROOT = _SHIM.parents[2]
_CUDA = _ROOT / "cuda"
_LAUNCHERS = _SHIM.parent / "launchers"

#: Libraries are kept from run to run, named by a digest of all that they are made of.
_KEPT = _ROOT / "build" / "cuda-on-cpu"

_RUNTIME = ["fibers.cpp", "scheduler.cpp", "shared_memory.cpp"]
_FLAGS = ["-g", "-O1", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
_COMPILER = os.environ.get("CXX") or shutil.which("g++") or "c++"


@cache
def built_library(name: str, *, races: bool = False) -> Path:
    """Returns the shared library of `launchers/NAME.cpp`, compiled if it is not there."""
    source = _LAUNCHERS / f"{name}.cpp"
    library = _KEPT / f"{name}-{_digest(source, races)}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        stem = f"{library}.{os.getpid()}"
        _compile([*_FLAGS, "-std=c++17", *_flags_of_kernels(races), "-c", str(source), "-o", f"{stem}.o"])
        runtime = [str(_SHIM / file) for file in _RUNTIME]
        _compile([*_FLAGS, "-std=c++20", "-shared", "-Wl,--no-undefined,-Bsymbolic", f"{stem}.o", *runtime, "-o", stem])
        os.unlink(f"{stem}.o")
        os.replace(stem, library)
    return library


def _flags_of_kernels(races: bool) -> list[str]:
    return ["-I", str(_CUDA), "-include", str(_SHIM / "cuda_on_cpu.hpp")]


def _digest(source: Path, races: bool) -> str:
    """Returns a digest of the launcher, the kernels, the shim and how they are compiled."""
    digest = hashlib.sha256(repr((_FLAGS, _flags_of_kernels(races), _COMPILER)).encode())
    for file in [source, *sorted(_CUDA.glob("*.cu*")), *sorted(_SHIM.glob("*.[ch]pp"))]:
        digest.update(f"{file.name}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:24]


def _compile(arguments: list[str]) -> None:
    done = subprocess.run([_COMPILER, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{_COMPILER} {' '.join(arguments)}\n{done.stderr}")
