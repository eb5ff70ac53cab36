"""Compiles every file of `cuda/` for the architectures of the day, and prints what its kernels need of a GPU.

By nvcc where it is, else by NVRTC, as at run time; where both are there, NVRTC compiles for one architecture too, since
it finds fewer headers. No GPU is needed. Fails if a file does not compile without a warning, or if a kernel spills
registers on sm_90, unless its file says why, in a line of this form:

    // Spills on sm_90, NAME_OF_KERNEL: reason
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from graphkit.engine.cuda.compiler import OPTIONS
from graphkit.engine.cuda.sources import read_source

_ROOT = Path(__file__).parents[2]
_CUDA = _ROOT / "cuda"

#: What compilers said, from run to run, named by a digest of what they were given.
_KEPT = _ROOT / "build" / "cuda-check"

ARCHITECTURES = ["sm_80", "sm_90", "sm_100", "sm_120"]

#: The one on which no kernel may spill.
CHECKED = "sm_90"


@dataclass(frozen=True)
class Needs:
    """What ptxas says of a kernel: registers of a thread, bytes that it spills, bytes of static shared memory."""

    registers: int
    spilled: int
    shared: int


class CompileError(Exception):
    """A file that does not compile, with what the compiler said."""


class Compiler(Protocol):
    """Returns what ptxas says of a file."""

    name: str

    def log(self, source: Path, architecture: str) -> str: ...


class Nvcc:
    """The compiler of a CUDA toolkit."""

    def __init__(self, program: str) -> None:
        self.program = program
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"release ([\d.]+)", version)
        self.name = f"nvcc {found[1] if found else '?'}"

    def log(self, source: Path, architecture: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            command = [self.program, *OPTIONS, f"-arch={architecture}", "-cubin", "-Werror", "all-warnings"]
            command += ["-I", str(source.parent), "-Xptxas", "-v", "-o", f"{folder}/kernels.cubin", str(source)]
            done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise CompileError(f"{source.name} does not compile for {architecture}:\n{done.stderr}")
        return done.stderr


class Nvrtc:
    """The compiler that the `cuda` extra uses at run time, as a wheel brings it, given what it is given there.

    Args:
        library: `libnvrtc.so`.
    """

    def __init__(self, library: Path) -> None:
        self._nvrtc = ctypes.CDLL(str(library))
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        self.name = f"NVRTC {major.value}.{minor.value}"

    def log(self, source: Path, architecture: str) -> str:
        program = ctypes.c_void_p()
        read = read_source(source.stem, source.parent)
        texts, names = _strings(read.headers.values()), _strings(read.headers)
        self._nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), read.text.encode(), source.name.encode(), len(names), texts, names
        )
        options = _strings([f"--gpu-architecture={architecture}", *OPTIONS, "--ptxas-options=-v"])
        failed = self._nvrtc.nvrtcCompileProgram(program, len(options), options) != 0
        size = ctypes.c_size_t()
        self._nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self._nvrtc.nvrtcGetProgramLog(program, log)
        self._nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
        said = log.value.decode()
        if failed or "warning" in said:
            raise CompileError(f"{source.name} does not compile for {architecture}:\n{said}")
        return said


def _strings(texts: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [text.encode() for text in texts]
    return (ctypes.c_char_p * len(encoded))(*encoded)


def nvcc() -> Nvcc | None:
    """Returns nvcc, if it is on the path or where toolkits are installed."""
    program = shutil.which("nvcc", path=f"{os.environ.get('PATH', '')}:/usr/local/cuda/bin")
    return Nvcc(program) if program else None


def nvrtc() -> Nvrtc | None:
    """Returns NVRTC, if its wheel is installed."""
    found = importlib.util.find_spec("nvidia")
    folders = found.submodule_search_locations if found and found.submodule_search_locations else []
    libraries = [file for folder in folders for file in sorted(Path(folder).glob("*/lib/libnvrtc.so.*"))]
    return Nvrtc(libraries[-1]) if libraries else None


def needs_in(log: str) -> dict[str, Needs]:
    """Returns what `ptxas -v` says, by kernel."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        name = part.partition("'")[0]
        spilled = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", part)
        registers, shared = re.search(r"Used (\d+) registers", part), re.search(r"(\d+) bytes smem", part)
        if registers is None:
            raise CompileError(f"ptxas says nothing of the registers of {name}:\n{log}")
        found[name] = Needs(
            int(registers[1]), sum(map(int, spilled.groups())) if spilled else 0, int(shared[1]) if shared else 0
        )
    return found


def complaints(source: str, found: dict[str, Needs]) -> list[str]:
    """Returns what is wrong with the spills of a file: those that it gives no reason for, and reasons without one."""
    reasons = set(re.findall(rf"^// Spills on {CHECKED}, (\w+): \S", source, flags=re.MULTILINE))
    spilling = {name for name, needs in found.items() if needs.spilled}
    wrong = [
        f"kernel {name} spills {found[name].spilled} bytes on {CHECKED}; make it need fewer registers, or say why in a "
        f"line '// Spills on {CHECKED}, {name}: reason'"
        for name in sorted(spilling - reasons)
    ]
    return wrong + [
        f"there is a reason why kernel {name} spills on {CHECKED}, and it does not; take the line away"
        for name in sorted(reasons - spilling)
    ]


def table(found: dict[str, dict[str, Needs]]) -> str:
    """Returns registers of a thread by architecture, spills where there are any, and shared memory on the last.

    Args:
        found: what kernels need, by architecture, then by kernel.
    """
    architectures = list(found)
    names = list(found[architectures[-1]])
    width = max(map(len, ["kernel", *names]))
    lines = [f"{'kernel':{width}}" + "".join(f"{each:>9}" for each in architectures) + f"{'spills':>14}{'shared':>9}"]
    for name in names:
        each = [found[architecture][name] for architecture in architectures]
        spills = ",".join(str(needs.spilled) for needs in each) if any(needs.spilled for needs in each) else "0"
        registers = "".join(f"{needs.registers:9}" for needs in each)
        lines.append(f"{name:{width}}{registers}{spills:>14}{each[-1].shared:9}")
    return "\n".join(lines)


def compiled(compiler: Compiler, source: Path, architecture: str) -> dict[str, Needs]:
    """Returns what the kernels of a file need, compiled unless that was done before.

    Raises:
        CompileError: it does not compile, or has no kernel.
    """
    digest = hashlib.sha256(repr((compiler.name, architecture, OPTIONS)).encode())
    for file in [source, *sorted(source.parent.glob("*.cuh")), Path(__file__)]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    kept = _KEPT / f"{source.stem}-{architecture}-{digest.hexdigest()[:24]}.json"
    if kept.exists():
        return {name: Needs(**needs) for name, needs in json.loads(kept.read_text()).items()}
    found = needs_in(compiler.log(source, architecture))
    if not found:
        raise CompileError(f'{source.name} has no kernel; declare one extern "C" __global__ void')
    kept.parent.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps({name: asdict(needs) for name, needs in found.items()}))
    unfinished.replace(kept)
    return found


def check(compilers: Sequence[tuple[Compiler, Iterable[str]]], sources: Sequence[Path]) -> int:
    """Compiles files by compilers, each for some architectures, prints tables, and returns the exit status."""
    status = 0
    # Files with the most kernels first, so that no thread is left alone with them in the end.
    slowest_first = sorted(sources, key=lambda source: -source.stat().st_size)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for compiler, architectures in compilers:
            jobs = {
                (source, architecture): threads.submit(compiled, compiler, source, architecture)
                for source in slowest_first
                for architecture in architectures
            }
            for source in sources:
                try:
                    found = {each: jobs[source, each].result() for each in architectures}
                except CompileError as error:
                    print(error, file=sys.stderr)
                    status = 1
                    continue
                print(f"\n{source.name}, by {compiler.name}: registers of a thread, bytes\n{table(found)}")
                for wrong in complaints(source.read_text(), found.get(CHECKED, {})):
                    print(f"{source.name}: {wrong}", file=sys.stderr)
                    status = 1
    return status


@cache
def found_compilers() -> list[tuple[Compiler, list[str]]]:
    """Returns compilers that are there, and what each compiles for."""
    full, runtime = nvcc(), nvrtc()
    if full is None:
        return [] if runtime is None else [(runtime, ARCHITECTURES)]
    return [(full, ARCHITECTURES)] if runtime is None else [(full, ARCHITECTURES), (runtime, [CHECKED])]


def main() -> int:
    """Checks the files of `cuda/`."""
    compilers = found_compilers()
    if not compilers:
        print("neither nvcc nor NVRTC is there; pip install 'nvidia-cuda-nvrtc>=13,<14'", file=sys.stderr)
        return 2
    return check(compilers, sorted(_CUDA.glob("*.cu")))


if __name__ == "__main__":
    sys.exit(main())
