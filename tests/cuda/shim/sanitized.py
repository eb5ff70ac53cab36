"""Replays all launches that tests wrote into a folder, under the address and undefined-behaviour sanitizers.

Run as ``python -m shim.sanitized FOLDER`` with `tests/cuda` on the path; exits with 1 at the first error.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shim.build import built_replay
from shim.kernels import kernels_in


def replayed(file: str, cases: Iterable[Path], *flags: str) -> subprocess.CompletedProcess[str]:
    """Replays launches of kernels of one launcher; for `flags` see `built_replay`."""
    command = [str(built_replay(file, *flags)), *map(str, sorted(cases))]
    # After an error the stacks of threads are given up, with what they hold.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def main(folder: Path, of_kernels: Path = Path(__file__).parents[3] / "cuda") -> int:
    """Replays the launches of every file of `cuda/`, each kernel's at least one; returns the exit status."""
    found = {each.stem: list((folder / each.stem).glob("*.case")) for each in sorted(of_kernels.glob("*.cu"))}
    for file, cases in found.items():
        launched = {case.name.partition("-")[0] for case in cases}
        for kernel in sorted(kernels_in(of_kernels / f"{file}.cu").keys() - launched):
            print(f"no test has launched kernel {kernel} of cuda/{file}.cu; add one", file=sys.stderr)
            return 1
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for file, done in zip(found, threads.map(replayed, found, found.values()), strict=True):
            print(f"{file}: {done.stdout.strip() or done.stderr}", flush=True)
            if done.returncode != 0:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
