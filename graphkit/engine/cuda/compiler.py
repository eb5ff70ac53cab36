"""Kernels compiled by NVRTC when they are first used, and kept in the user's cache folder."""

from __future__ import annotations

import atexit
import logging
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from graphkit.engine.cuda.sources import Source
from graphkit.errors import GraphkitError

#: What every kernel is compiled with; the tests' shim and `make cuda-check` take the same standard.
OPTIONS = ("-std=c++17",)

#: By default Python shows what is logged as a warning, and programs may silence it.
_LOG = logging.getLogger(__name__)

_MESSAGE = re.compile(r"^(?P<file>[^\s(]+)\((?P<line>\d+)\): (?:catastrophic )?error: (?P<text>.*)$", re.MULTILINE)


def cache_folder() -> Path:
    """Returns where compiled kernels are kept: ``XDG_CACHE_HOME``, by default ``~/.cache``, and graphkit/cuda in it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphkit" / "cuda"


def compiled(source: Source, architecture: str, nvrtc: Any, defines: tuple[str, ...] = ()) -> Path:
    """Returns the path of a compiled kernel file, which is compiled if it was not before.

    Args:
        source: the file.
        architecture: such as ``sm_90``.
        nvrtc: `cupy.cuda.nvrtc`.
        defines: which of its kernels, see `Source.defines`.

    Raises:
        GraphkitError: NVRTC refuses the source; its message says where.
    """
    version = ".".join(map(str, nvrtc.getVersion()))
    digest = source.digest(architecture, version, *OPTIONS, *defines)
    goal = cache_folder() / f"{source.name}-{architecture}-{digest[:32]}.cubin"
    if goal.is_file():
        return goal
    keeps = _is_writable(goal.parent)
    if not keeps:
        goal = _folder_of_process() / goal.name
        if goal.is_file():
            return goal
    # Files take seconds each, at which somebody would think that nothing happens. Not as a warning: nothing is wrong.
    how_often = "once for this GPU" if keeps else f"in every process again, as {cache_folder()} cannot be written to"
    parts = "".join(f", {define.partition('=')[2]}" for define in defines)
    _LOG.warning("compiling cuda/%s.cu%s for %s, %s", source.name, parts, architecture, how_often)
    return _write(goal, _compile(source, architecture, nvrtc, defines))


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@cache
def _folder_of_process() -> Path:
    """Returns what stands for a cache that cannot be written to, until the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="graphkit-cuda-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _compile(source: Source, architecture: str, nvrtc: Any, defines: tuple[str, ...]) -> bytes:
    """Returns a cubin, which no driver is needed for."""
    texts, names = [text.encode() for text in source.headers.values()], [name.encode() for name in source.headers]
    program = nvrtc.createProgram(source.text, f"{source.name}.cu", texts, names)
    try:
        nvrtc.compileProgram(program, (f"--gpu-architecture={architecture}", *OPTIONS, *defines))
        cubin: bytes = nvrtc.getCUBIN(program)
    except nvrtc.NVRTCError as error:
        where = _complaint(str(nvrtc.getProgramLog(program))) or str(error)
        version = ".".join(map(str, nvrtc.getVersion()))
        raise GraphkitError(
            f"a kernel cannot be compiled for {architecture} by NVRTC {version}: {where}; report it, and choose "
            "engine=cpu until then"
        ) from error
    finally:
        nvrtc.destroyProgram(program)
    return cubin


def _complaint(log: str) -> str:
    """Returns the first error in what NVRTC says; ptxas, and options that are refused, name no line of a source."""
    found = _MESSAGE.search(log)
    if found is not None:
        return f"cuda/{found['file']}, line {found['line']}: {found['text']}"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[0] if lines else "")


def _write(goal: Path, content: bytes) -> Path:
    """Writes a file that other processes see whole or not at all."""
    part = goal.with_name(f".{goal.name}.part-{os.getpid()}")
    try:
        part.write_bytes(content)
        part.replace(goal)
    finally:
        part.unlink(missing_ok=True)
    return goal
