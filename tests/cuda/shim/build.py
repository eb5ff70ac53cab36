"""Compiles launchers of kernels for the CPU, with the shim."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
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


def _gcc() -> str | None:
    """Returns that of the Makefile, if it is of gcc: what clang calls to tell of accesses differs."""
    named = os.environ.get("CXX", "")
    return named if named and "clang" not in named else shutil.which("g++")


#: None where there is no gcc.
COMPILER = _gcc()


#: What makes kernels tell of every access and of undefined behaviour; the shim's runtime is what they tell.
_CHECKS = ["-fsanitize=thread,alignment,bounds,shift,integer-divide-by-zero,signed-integer-overflow"]
_CHECKS += ["-fno-sanitize-recover=all"]


#: For programs that replay launches.
_SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]


@cache
def built_library(name: str, *, races: bool = False) -> Path:
    """Returns the shared library of `launchers/NAME.cpp`, compiled if it is not there."""
    # The sanitizers' libraries are not wanted, so that the linker is not told of these flags.
    objects = [_kernels(name, _CHECKS if races else []), *[_runtime(source, []) for source in _RUNTIME]]
    return _made(name, ".so", ["-shared", "-Wl,--no-undefined,-Bsymbolic", *map(str, objects)], objects)


@cache
def built_replay(name: str, *flags: str) -> Path:
    """Returns the program that replays launches of `launchers/NAME.cpp`, all of it compiled with sanitizers.

    Args:
        name: of the launcher.
        flags: more for the compiler, of the shim's runtime.
    """
    sources = [*_RUNTIME, _SHIM / "replay" / "main.cpp"]
    objects = [_kernels(name, _SANITIZERS), *[_runtime(source, [*_SANITIZERS, *flags]) for source in sources]]
    return _made(name, ".replay", [*_SANITIZERS, "-rdynamic", *map(str, objects)], objects)


def source_of(name: str) -> Path:
    """Returns the `.cu` file of a launcher: one of `cuda/`, or one that lies beside the launcher."""
    return next(file for folder in (_CUDA, _LAUNCHERS) if (file := folder / f"{name}.cu").exists())


def _kernels(name: str, checks: list[str]) -> Path:
    launcher = _LAUNCHERS / f"{name}.cpp"
    inputs = [launcher, source_of(name), *_CUDA.glob("*.cuh"), *_SHIM.glob("*.hpp")]
    flags = [*_FLAGS, "-std=c++17", "-I", str(_CUDA), "-include", str(_SHIM / "cuda_on_cpu.hpp"), *checks]
    return _made(name, ".o", [*flags, "-c", str(launcher)], inputs)


def _runtime(source: Path, checks: list[str]) -> Path:
    return _made(source.stem, ".o", [*_FLAGS, "-std=c++20", *checks, "-c", str(source)], [source, *_SHIM.glob("*.hpp")])


def _made(name: str, suffix: str, arguments: list[str], inputs: list[Path]) -> Path:
    """Returns what the compiler makes, under a name that has a digest of the arguments and of all that goes in."""
    digest = hashlib.sha256(repr((COMPILER, arguments)).encode())
    for file in sorted(inputs):
        digest.update(f"{file.name}\0".encode() + file.read_bytes())
    product = _KEPT / f"{name}-{digest.hexdigest()[:24]}{suffix}"
    if not product.exists():
        product.parent.mkdir(parents=True, exist_ok=True)
        unfinished = product.with_name(f"{product.name}.{os.getpid()}-{threading.get_ident()}")
        _compile([*arguments, "-o", str(unfinished)])
        unfinished.replace(product)
    return product


def _compile(arguments: list[str]) -> None:
    if COMPILER is None:
        raise RuntimeError("kernels are compiled for the CPU by g++, and there is none; install g++")
    done = subprocess.run([COMPILER, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{COMPILER} {' '.join(arguments)}\n{done.stderr}")
