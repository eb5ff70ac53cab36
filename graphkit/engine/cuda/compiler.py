"""Kernels compiled by NVRTC when they are first used, and kept in the user's cache folder."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from graphkit.engine.cuda.sources import Source
from graphkit.errors import GraphkitError

#: What every kernel is compiled with; the tests' shim and `make cuda-check` take the same standard.
OPTIONS = ("-std=c++17",)

_MESSAGE = re.compile(r"^(?P<file>[^\s(]+)\((?P<line>\d+)\): (?:catastrophic )?error: (?P<text>.*)$", re.MULTILINE)


def cache_folder() -> Path:
    """Returns where compiled kernels are kept: ``XDG_CACHE_HOME``, by default ``~/.cache``, and graphkit/cuda in it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphkit" / "cuda"


def compiled(source: Source, architecture: str, nvrtc: Any) -> Path:
    """Returns the path of a compiled kernel file, which is compiled if it was not before.

    Args:
        source: the file.
        architecture: such as ``sm_90``.
        nvrtc: `cupy.cuda.nvrtc`.

    Raises:
        GraphkitError: NVRTC refuses the source; its message says where.
    """
    version = ".".join(map(str, nvrtc.getVersion()))
    digest = source.digest(architecture, version, *OPTIONS)
    goal = cache_folder() / f"{source.name}-{architecture}-{digest[:32]}.cubin"
    if goal.is_file():
        return goal
    # pair_scores takes a minute or more, at which somebody would think that nothing happens.
    print(f"compiling cuda/{source.name}.cu for {architecture}, once for this GPU", file=sys.stderr)
    cubin = _compile(source, architecture, nvrtc)
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        return _write(goal, cubin)
    except OSError:  # a cache that cannot be written to is none
        return _write(Path(tempfile.mkdtemp(prefix="graphkit-cuda-")) / goal.name, cubin)


def _compile(source: Source, architecture: str, nvrtc: Any) -> bytes:
    """Returns a cubin, which no driver is needed for."""
    texts, names = [text.encode() for text in source.headers.values()], [name.encode() for name in source.headers]
    program = nvrtc.createProgram(source.text, f"{source.name}.cu", texts, names)
    try:
        nvrtc.compileProgram(program, (f"--gpu-architecture={architecture}", *OPTIONS))
        cubin: bytes = nvrtc.getCUBIN(program)
    except nvrtc.NVRTCError as error:
        found = _MESSAGE.search(nvrtc.getProgramLog(program))
        where = f"cuda/{found['file']}, line {found['line']}: {found['text']}" if found else str(error)
        version = ".".join(map(str, nvrtc.getVersion()))
        raise GraphkitError(
            f"a kernel cannot be compiled for {architecture} by NVRTC {version}: {where}; report it, and choose "
            "engine=cpu until then"
        ) from error
    finally:
        nvrtc.destroyProgram(program)
    return cubin


def _write(goal: Path, content: bytes) -> Path:
    """Writes a file that other processes see whole or not at all."""
    part = goal.with_name(f".{goal.name}.part-{os.getpid()}")
    try:
        part.write_bytes(content)
        part.replace(goal)
    finally:
        part.unlink(missing_ok=True)
    return goal
