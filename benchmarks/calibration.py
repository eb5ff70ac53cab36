"""Measures the machine beside a program: what ran elsewhere, or at another time, compares only on an equal machine.

    python benchmarks/calibration.py

The figures of peers that benchmarks store come from a machine of two cores (AMD EPYC of family 25, KVM guest) on which
nothing else ran; the rows below were measured there too. Where this machine differs from one of them by more than
15 %, ratios against stored figures say nothing exact, and are marked.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from graphkit import _native

#: What the machine of the stored figures did.
STORED = {
    "million_random_lines_per_s_1_thread": 74.0,
    "million_random_lines_per_s_2_threads": 180.0,
    "dependent_load_ns": 205.0,
    "gemm_fp32_gflop_per_s_2_threads": 103.0,
}
TOLERANCE = 0.15

_STAT = Path("/proc/stat")
_TABLE_BYTES = 2**30
_LOADS = 2**24
#: Lines fetched before the one that is read.
_AHEAD = 24
_GEMM = (1024, 400, 40_943)
_REPEATS = 5


def calibrate() -> dict[str, Any]:
    """Returns measured and stored figures, whether the machines compare, and where not, why; and what others ran.

    Random lines are 64-byte loads from 1 GiB in huge pages, prefetched 24 ahead; a dependent load takes its address
    from the one before; the product is 1024×400 by 400×40,943. Each is the median of five, or of ten for
    the dependent load, as the stored ones are medians. What others ran is of the time that this takes.
    """
    measured: dict[str, float] = {}
    dependent = []
    start, busy, own = time.perf_counter(), busy_seconds(), time.process_time()
    for threads, name in ((1, "1_thread"), (2, "2_threads")):
        runs = [
            _native.random_lines(_TABLE_BYTES, threads=threads, loads=_LOADS, ahead=_AHEAD) for _ in range(_REPEATS)
        ]
        measured[f"million_random_lines_per_s_{name}"] = median(lines for lines, _ in runs) / 1e6
        dependent += [1e9 * seconds for _, seconds in runs]
    measured["dependent_load_ns"] = median(dependent)
    measured["gemm_fp32_gflop_per_s_2_threads"] = _gemm()
    far = [name for name, stored in STORED.items() if abs(measured[name] / stored - 1) > TOLERANCE]
    others = (busy_seconds() - busy - (time.process_time() - own)) / (time.perf_counter() - start)
    return {
        "measured": measured,
        "stored": STORED,
        "comparable": not far,
        "reason": "; ".join(f"{name} is {measured[name]:.0f} and was {STORED[name]:.0f}" for name in far) or None,
        "cores_used_by_others": max(others, 0.0),
    }


def busy_seconds() -> float:
    """Returns the CPU time that all processes have taken, where the system tells."""
    if not _STAT.exists():
        return 0.0
    user, nice, system = map(int, _STAT.read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _gemm() -> float:
    rows, inner, columns = _GEMM
    left, right = torch.ones(rows, inner), torch.ones(inner, columns)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    seconds = []
    for _ in range(1 + _REPEATS):  # the first starts the threads
        start = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return 2e-9 * rows * inner * columns / median(seconds[1:])


def lines(calibration: dict[str, Any]) -> list[str]:
    """Returns a calibration as lines for a terminal."""
    shown = [f"{'this machine':42}{'measured':>10}{'stored':>10}"]
    shown += [f"{name:42}{calibration['measured'][name]:10.1f}{stored:10.1f}" for name, stored in STORED.items()]
    if not calibration["comparable"]:
        shown.append(f"* ratios against stored figures are inexact: {calibration['reason']}")
    return [*shown, f"cores used by others meanwhile: {calibration['cores_used_by_others']:.2f}"]


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    calibration = calibrate()
    if options.json:
        print(json.dumps(calibration))
    else:
        print("\n".join(lines(calibration)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
