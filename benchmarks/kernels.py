"""Measures the kernels of the engine, beside their plain torch twins and beside what the machine can do.

    python benchmarks/kernels.py

Forward and backward passes are timed apart, at the sizes of a training step; pair scores on every instruction set.
The limits are measured in the same run: torch's matrix products, rows that are read at random, and a plain copy. What
an operation could reach is the time that its flop take at the rate of the product, or its bytes at that of the memory,
whichever is longer; `share_of_limit` is that time by the one measured. ``--json`` prints one JSON object alone on
standard output.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TextIO

import torch
from kernel_cases import FORWARD_FLOP, PARTS, Case, Operation, Sizes, cases
from reporting import Result, Stopwatch, draw_bars, medians, parser, report, shown, timed
from torch import Tensor

from graphkit import _native
from graphkit.engine import buffers
from graphkit.engine.memory import in_huge_pages
from graphkit.errors import GraphkitError

#: Rows that are gathered at a time: they stay in a cache, so that reading is measured, not writing.
_GATHERED = 2048
#: Rounds of a twin, at most: some take a second.
_TWIN_ROUNDS = 3


def limit_works(sizes: Sizes, generator: torch.Generator) -> dict[str, tuple[float, Any]]:
    """Returns, by the name of each rate, what a run of it counts in units of 1e9, and the run."""
    left, right = torch.randn(sizes.queries, sizes.dim), torch.randn(sizes.dim, sizes.entities)
    low_left, low_right = left.bfloat16(), right.bfloat16()
    table = in_huge_pages(torch.empty(sizes.entities, sizes.dim)).fill_(1.0)
    ids = torch.randint(0, sizes.entities, (sizes.queries * sizes.negatives,), generator=generator)
    gathered, threads = buffers.empty(_GATHERED, sizes.dim), torch.get_num_threads()
    from_, to = torch.ones(sizes.queries * sizes.negatives * sizes.dim), buffers.empty(len(ids) * sizes.dim)

    def gather() -> None:
        for some in ids.split(_GATHERED):
            _native.gather_rows(table, some, None, gathered, threads)

    def copy() -> Tensor:
        return to.copy_(from_)

    product = 2e-9 * sizes.queries * sizes.dim * sizes.entities
    return {
        "gemm_fp32_gflop_per_s": (product, lambda: left @ right),
        "gemm_bf16_gflop_per_s": (product, lambda: low_left @ low_right),
        "random_rows_gb_per_s": (4e-9 * len(ids) * sizes.dim, gather),
        "copy_gb_per_s": (8e-9 * len(from_), copy),
    }


def machine_limits(sizes: Sizes, generator: torch.Generator, rounds: int) -> dict[str, float]:
    """Returns the rates of the machine: medians of the rounds, after one to warm up."""
    return {
        name: 1e3 * counted / medians([timed(work) for _ in range(rounds + 1)][1:])["wall_ms"]
        for name, (counted, work) in limit_works(sizes, generator).items()
    }


@contextmanager
def chosen(path: str) -> Iterator[None]:
    """Runs kernels on an instruction set, and on the widest again afterwards."""
    _native.choose_kernels(path)
    try:
        yield
    finally:
        _native.choose_kernels(_native.kernel_paths()[-1])


def time_case(case: Case, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Runs a case and its twin in turn; returns milliseconds by the part, then by the path or ``twin``."""
    paths = _native.kernel_paths() if case.every_path else _native.kernel_paths()[-1:]
    watches: dict[str, dict[str, list[Stopwatch]]] = {}

    def run(name: str, operation: Operation) -> None:
        for part, work in operation.passes():
            watches.setdefault(part, {}).setdefault(name, []).append(timed(work))

    for done in range(rounds + 1):
        for path in paths:
            with chosen(path):
                run(path, case.native)
        if done <= _TWIN_ROUNDS:
            run("twin", case.twin)
    return {part: {name: medians(found[1:]) for name, found in sides.items()} for part, sides in watches.items()}


def summarise(case: Case, part: str, times: dict[str, dict[str, float]], limits: dict[str, float]) -> Result:
    """Returns the rates of a part of a case, against its twin and its limit."""
    flop, moved = case.flop.get(part), case.moved.get(part)
    # Milliseconds at the rates of the machine.
    least = {case.flop_limit: flop, case.moved_limit: moved}
    least_ms = {name: 1e-6 * count / limits[name] for name, count in least.items() if count is not None}
    limit = max(least_ms, key=least_ms.__getitem__)
    twin = {name: case.twin_parts * ms for name, ms in times["twin"].items()}
    return {
        "flop": flop,
        "bytes": moved,
        "limit": limit,
        "twin": {**twin, "parts": case.twin_parts},
        "paths": {
            path: {
                **ms,
                "gflop_per_s": None if flop is None else 1e-6 * flop / ms["wall_ms"],
                "gb_per_s": None if moved is None else 1e-6 * moved / ms["wall_ms"],
                "share_of_limit": least_ms[limit] / ms["wall_ms"],
                "ratio_twin": twin["wall_ms"] / ms["wall_ms"],
                "ratio_twin_cpu": twin["cpu_ms"] / ms["cpu_ms"],
            }
            for path, ms in times.items()
            if path != "twin"
        },
    }


def measure(options: argparse.Namespace) -> Result:
    """Returns all figures."""
    if min(options.dim, options.rounds, options.shrink) < 1 or options.dim % 2:
        raise GraphkitError(
            f"dim is {options.dim}, rounds {options.rounds} and shrink {options.shrink}; give numbers of 1 or more, "
            "and an even dim"
        )
    start = time.perf_counter()
    sizes, generator = Sizes.shrunk(options.dim, options.shrink), torch.Generator().manual_seed(options.seed)
    limits = machine_limits(sizes, generator, options.rounds)
    found: dict[str, dict[str, Result]] = {}
    for case in cases(sizes, generator):
        times = time_case(case, options.rounds)
        found[case.name] = {part: summarise(case, part, times[part], limits) for part in times}
    return {
        "kernels": found,
        "limits": limits,
        "widest": _native.kernel_paths()[-1],
        "sizes": asdict(sizes),
        "rounds": options.rounds,
        "seconds": time.perf_counter() - start,
        "bars": {
            "label": "GFLOP/s, forward and backward",
            "heights": {kind: heights(kind, found, limits) for kind in FORWARD_FLOP},
        },
    }


def heights(kind: str, found: dict[str, dict[str, Result]], limits: dict[str, float]) -> dict[str, float]:
    """Returns GFLOP/s of a kind of pair scores on the widest instruction set, and of the product."""

    def rate(mode: str) -> float:
        parts = [found[f"pair_scores {kind} {mode}"][part] for part in PARTS]
        widest = _native.kernel_paths()[-1]
        return sum(1e-6 * row["flop"] for row in parts) / sum(row["paths"][widest]["wall_ms"] for row in parts)

    return {**{mode: rate(mode) for mode in ("own", "shared")}, "torch's product": limits["gemm_fp32_gflop_per_s"]}


def show(result: Result, out: TextIO) -> None:
    """Prints the table."""
    sizes = result["sizes"]
    print(", ".join(f"{name} {size:,}" for name, size in sizes.items()) + f"; {result['threads']} threads", file=out)
    for name, rate in result["limits"].items():
        print(f"{name:28}{rate:10.1f}", file=out)
    columns = ("wall ms", "CPU ms", "GFLOP/s", "GB/s", "of limit", "x twin", "by CPU")
    print(f"{'':36}{'path':10}" + "".join(f"{column:>10}" for column in columns) + "  limit", file=out)
    for name, parts in result["kernels"].items():
        for part, row in parts.items():
            for path, figures in row["paths"].items():
                keys = (
                    "wall_ms",
                    "cpu_ms",
                    "gflop_per_s",
                    "gb_per_s",
                    "share_of_limit",
                    "ratio_twin",
                    "ratio_twin_cpu",
                )
                digits = (2, 2, 1, 1, 2, 1, 1)
                cells = "".join(f"{shown(figures[key], digit):>10}" for key, digit in zip(keys, digits, strict=True))
                print(f"{f'{name} {part}':36}{path:10}{cells}  {row['limit']}", file=out)
    print("the twin of some does a part of the work, which is scaled: see parts of the JSON", file=out)


def main() -> int:
    """Measures and prints."""
    made = parser(__doc__)
    made.add_argument("--dim", type=int, default=400, help="reals of a row (default: 400)")
    made.add_argument("--rounds", type=int, default=5, help="that medians are taken of (default: 5)")
    made.add_argument("--shrink", type=int, default=1, help="divide all numbers of rows by this (default: 1)")
    options = made.parse_args()
    return report("kernels", options, lambda: measure(options), show, draw_bars)


if __name__ == "__main__":
    sys.exit(main())
