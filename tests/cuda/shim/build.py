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

_RUNTIME = sorted(_SHIM.glob("*.cpp"))
_FLAGS = ["-g", "-O1", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
# Shared arrays in templates would be one for all libraries of the process, and lie in the memory of the first.
_FLAGS += ["-fno-gnu-unique"]
_COMPILER = os.environ.get("CXX") or shutil.which("g++") or "c++"


#: What makes kernels tell of every access and of undefined behaviour; the shim's runtime is what they tell.
_CHECKS = ["-fsanitize=thread,alignment,bounds,shift,integer-divide-by-zero,signed-integer-overflow"]
_CHECKS += ["-fno-sanitize-recover=all"]


@cache
def built_library(name: str, *, races: bool = False) -> Path:
    """Returns the shared library of `launchers/NAME.cpp`, compiled if it is not there."""
    flags = [*_FLAGS, "-std=c++17", *(_CHECKS if races else [])]
    inputs = [_LAUNCHERS / f"{name}.cpp", *sorted(_LAUNCHERS.glob("*.cu")), *sorted(_CUDA.glob("*.cu*"))]
    include = ["-I", str(_CUDA), "-include", str(_SHIM / "cuda_on_cpu.hpp")]
    kernels = _made(name, ".o", [*flags, *include, "-c", str(inputs[0])], [*inputs, *_SHIM.glob("*.hpp")])
    # The sanitizers' libraries are not wanted, so that the linker is not told of the flags above.
    objects = [str(kernels), *[str(_runtime_object(source)) for source in _RUNTIME]]
    link = ["-shared", "-Wl,--no-undefined,-Bsymbolic", *objects]
    return _made(name, ".so", link, [Path(file) for file in objects])


def _runtime_object(source: Path) -> Path:
    return _made(source.stem, ".o", [*_FLAGS, "-std=c++20", "-c", str(source)], [source, *_SHIM.glob("*.hpp")])


def _made(name: str, suffix: str, arguments: list[str], inputs: list[Path]) -> Path:
    """Returns what the compiler makes, under a name that has a digest of the arguments and of all that goes in."""
    digest = hashlib.sha256(repr((_COMPILER, arguments)).encode())
    for file in sorted(inputs):
        digest.update(f"{file.name}\0".encode() + file.read_bytes())
    product = _KEPT / f"{name}-{digest.hexdigest()[:24]}{suffix}"
    if not product.exists():
        product.parent.mkdir(parents=True, exist_ok=True)
        unfinished = product.with_name(f"{product.name}.{os.getpid()}")
        _compile([*arguments, "-o", str(unfinished)])
        unfinished.replace(product)
    return product


def _compile(arguments: list[str]) -> None:
    done = subprocess.run([_COMPILER, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{_COMPILER} {' '.join(arguments)}\n{done.stderr}")
