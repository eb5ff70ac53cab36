"""Measures steps of sparse optimisers on random rows of a large table, beside torch's and beside the machine's limit.

    python benchmarks/sparse_optimizers.py

*Equal work* with torch: rows of random ids (some twice) are gathered, their gradient is given, gradients of equal ids
are added up, and Adam takes a step; torch's Embedding(sparse=True) with SparseAdam does it in turn with graphkit.
*The limit* is a plain native loop that reads distinct random rows of the same table, adds 1 and writes them, at the
best of some prefetch distances. Bytes are counted alike: what is read and what is written of rows, state and gradients.
Each figure is the median of the rounds, and a ratio that of the number of threads where it is worst. ``--json`` prints
one JSON object alone on standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any, TextIO

import torch
from calibration import calibrate, lines
from torch import Tensor

from graphkit import _native
from graphkit.engine import Adam, EmbeddingTable
from graphkit.engine.kernels import adagrad_, reduce_duplicates, row_adagrad_, sgd_

THREADS = (1, 2)
#: Rows that the plain loop fetches ahead.
_AHEAD = (1, 2, 4, 8)
_LR = 1e-3
#: Reals that a rule moves for each of a row's: reads and writes of row and state, and reads of the gradient.
_MOVED = {"adam": 7, "adagrad": 5, "row_adagrad": 3, "sgd": 3}

Work = Callable[[], None]


class Clock:
    """Seconds of what ran, by name and number of threads."""

    def __init__(self) -> None:
        self.wall: dict[tuple[str, int], list[float]] = {}
        self.cpu: dict[tuple[str, int], list[float]] = {}

    def time(self, name: str, threads: int, work: Work) -> None:
        """Runs once and keeps the seconds."""
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self.wall.setdefault((name, threads), []).append(time.perf_counter() - wall)
        self.cpu.setdefault((name, threads), []).append(time.process_time() - cpu)

    def ms(self, name: str, threads: int) -> dict[str, float]:
        """Returns the medians in milliseconds."""
        return {
            "wall_ms": 1e3 * median(self.wall[name, threads]),
            "cpu_ms": 1e3 * median(self.cpu[name, threads]),
        }


class Tables:
    """The same table twice: torch's, and ours with the state of every rule."""

    def __init__(self, entities: int, dim: int) -> None:
        self.embedding = torch.nn.Embedding(entities, dim, sparse=True)
        self.optimizer = torch.optim.SparseAdam(list(self.embedding.parameters()), lr=_LR)
        self.table = EmbeddingTable(self.embedding.weight.detach().clone(), Adam(lr=_LR))
        self.row_sums = torch.zeros(entities)

    def torch_step(self, ids: Tensor, gradient: Tensor) -> None:
        """Forward, backward from the gradient of the rows, and a step of torch's optimiser."""
        self.embedding(ids).backward(gradient)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def own_step(self, ids: Tensor, gradient: Tensor) -> None:
        """The same by ours."""
        self.table.gather(ids)
        self.table.update(*reduce_duplicates(ids, gradient))

    def steps(self, ids: Tensor, gradient: Tensor) -> dict[str, Work]:
        """Returns a step of each rule on distinct ids."""
        weight, state = self.table.weight, self.table.state
        return {
            "adam": lambda: self.table.update(ids, gradient),
            "adagrad": lambda: adagrad_(weight, state["square"], None, ids, gradient, _LR, 1e-10),
            "row_adagrad": lambda: row_adagrad_(weight, self.row_sums, None, ids, gradient, _LR, 1e-10),
            "sgd": lambda: sgd_(weight, None, ids, gradient, _LR),
        }


def measure(entities: int, dim: int, rows: int, rounds: int) -> Clock:
    """Runs everything in turn, once to warm up and then `rounds` times, on new random rows each time."""
    generator = torch.Generator().manual_seed(0)
    tables, clock, before = Tables(entities, dim), Clock(), torch.get_num_threads()

    def distinct() -> Tensor:
        return torch.randperm(entities, generator=generator)[:rows]

    gradient = torch.randn(rows, dim, generator=generator)
    for round_number in range(rounds + 1):
        current = clock if round_number > 0 else Clock()
        for threads in THREADS:
            torch.set_num_threads(threads)
            ids = torch.randint(0, entities, (rows,), generator=generator)
            current.time("torch", threads, lambda ids=ids: tables.torch_step(ids, gradient))
            ids = torch.randint(0, entities, (rows,), generator=generator)
            current.time("graphkit", threads, lambda ids=ids: tables.own_step(ids, gradient))
            for name in _MOVED:
                current.time(name, threads, tables.steps(distinct(), gradient)[name])
            for ahead in _AHEAD:
                loop = _copy_update(tables.table.weight, distinct(), threads, ahead)
                current.time(f"copy_update_{ahead}", threads, loop)
    torch.set_num_threads(before)
    return clock


def _copy_update(table: Tensor, ids: Tensor, threads: int, ahead: int) -> Work:
    return lambda: _native.update_rows(table, ids, threads=threads, ahead=ahead) and None


def summarise(clock: Clock, rows: int, dim: int) -> dict[str, Any]:
    """Returns times, bandwidths and ratios."""
    gb = 4e-9 * rows * dim
    by_threads: dict[str, Any] = {}
    for threads in THREADS:
        limit = min((clock.ms(f"copy_update_{ahead}", threads) for ahead in _AHEAD), key=lambda ms: ms["wall_ms"])
        found: dict[str, Any] = {name: clock.ms(name, threads) for name in ("torch", "graphkit", *_MOVED)}
        found["copy_update"] = {**limit, "gb_per_s": 2e3 * gb / limit["wall_ms"]}
        for name, moved in _MOVED.items():
            found[name]["gb_per_s"] = 1e3 * moved * gb / found[name]["wall_ms"]
        found["ratio_sparse_adam"] = found["torch"]["wall_ms"] / found["graphkit"]["wall_ms"]
        found["ratio_sparse_adam_cpu"] = found["torch"]["cpu_ms"] / found["graphkit"]["cpu_ms"]
        found["fraction_of_limit"] = found["adam"]["gb_per_s"] / found["copy_update"]["gb_per_s"]
        by_threads[str(threads)] = found
    worst = {
        name: min(found[name] for found in by_threads.values())
        for name in ("ratio_sparse_adam", "ratio_sparse_adam_cpu", "fraction_of_limit")
    }
    return {**worst, "row_adagrad_ms_1_thread": by_threads["1"]["row_adagrad"]["wall_ms"], "threads": by_threads}


def show(result: dict[str, Any], out: TextIO) -> None:
    """Prints the table."""
    print(f"{result['entities']:,} rows of {result['dim']} reals, {result['rows']:,} of them at random", file=out)
    for threads, found in result["threads"].items():
        print(f"{threads + ' thread(s)':24}{'wall ms':>10}{'CPU ms':>10}{'GB/s':>10}", file=out)
        for name in ("torch", "graphkit", *_MOVED, "copy_update"):
            row = found[name]
            rate = f"{row['gb_per_s']:10.1f}" if "gb_per_s" in row else ""
            print(f"{name:24}{row['wall_ms']:10.2f}{row['cpu_ms']:10.2f}{rate}", file=out)
        print(
            f"equal work: {found['ratio_sparse_adam']:.1f} times torch's by the clock, "
            f"{found['ratio_sparse_adam_cpu']:.1f} by CPU; Adam moves {found['fraction_of_limit']:.2f} of the limit",
            file=out,
        )
    print("\n".join(lines(result["calibration"])), file=out)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--entities", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=400)
    parser.add_argument("--rows", type=int, default=20_000, help="of a step (default: 20000)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    if not 0 < options.rows <= options.entities or options.dim < 1 or options.rounds < 1:
        print(
            f"sparse_optimizers: rows is {options.rows}, entities {options.entities}, dim {options.dim} and rounds "
            f"{options.rounds}; give positive numbers, and no more rows than entities",
            file=sys.stderr,
        )
        return 2
    sizes = {"entities": options.entities, "dim": options.dim, "rows": options.rows}
    result = {
        **sizes,
        **summarise(measure(**sizes, rounds=options.rounds), options.rows, options.dim),
        "calibration": calibrate(),
    }
    if options.json:
        print(json.dumps(result))
    show(result, sys.stderr if options.json else sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
