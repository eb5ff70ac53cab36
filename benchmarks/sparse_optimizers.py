"""Measures steps of sparse optimisers on random rows of a large table, beside torch's and beside the machine's limit.

    python benchmarks/sparse_optimizers.py

*Equal work* with torch: rows of random ids (some twice) are gathered, their gradient is given, gradients of equal ids
are added up, and Adam takes a step; torch's Embedding(sparse=True) with SparseAdam does it in turn with graphkit.
*The limit* is a plain native loop that reads distinct random rows of the same table, adds 1 and writes them, at the
best of some prefetch distances. Bytes are counted alike: what is read and what is written of rows, state and gradients.
Each figure is the median of the rounds, on one thread and on ``--threads``, and a ratio that of the number of threads
where it is worst. ``--json`` prints one JSON object alone on standard output.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, TextIO

import torch
from reporting import Result, Stopwatch, draw_bars, medians, parser, report, timed
from torch import Tensor

from graphkit import _native
from graphkit.engine import Adam, EmbeddingTable
from graphkit.engine.kernels import adagrad_, row_adagrad_, sgd_
from graphkit.errors import GraphkitError

#: Rows that the plain loop fetches ahead.
_AHEAD = (1, 2, 4, 8)
_LR = 1e-3
#: Reals that a rule moves for each of a row's: reads and writes of row and state, and reads of the gradient.
_MOVED = {"adam": 7, "adagrad": 5, "row_adagrad": 3, "sgd": 3}

TITLES = {
    "adam": "Adam",
    "adagrad": "Adagrad",
    "row_adagrad": "row-wise Adagrad",
    "sgd": "SGD",
    "copy_update": "plain loop",
}

Work = Callable[[], None]
#: By what ran, and the number of threads.
Watches = dict[tuple[str, int], list[Stopwatch]]


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
        """The same by ours, with rows in memory that is used again, as in training."""
        self.table.gather_into(ids, None, self.table.empty_rows(len(ids)))
        self.table.update(ids, gradient)

    def steps(self, ids: Tensor, gradient: Tensor) -> dict[str, Work]:
        """Returns a step of each rule on distinct ids."""
        weight, state = self.table.weight, self.table.state
        return {
            "adam": lambda: self.table.update(ids, gradient),
            "adagrad": lambda: adagrad_(weight, state["square"], None, ids, gradient, _LR, 1e-10),
            "row_adagrad": lambda: row_adagrad_(weight, self.row_sums, None, ids, gradient, _LR, 1e-10),
            "sgd": lambda: sgd_(weight, None, ids, gradient, _LR),
        }


def works(tables: Tables, gradient: Tensor, threads: int, generator: torch.Generator) -> dict[str, Work]:
    """Returns everything that is timed, by name, on new random rows."""
    entities, rows = len(tables.table), len(gradient)

    def distinct() -> Tensor:
        return torch.randperm(entities, generator=generator)[:rows]

    one, other = (torch.randint(0, entities, (rows,), generator=generator) for _ in range(2))
    return {
        "torch": lambda: tables.torch_step(one, gradient),
        "graphkit": lambda: tables.own_step(other, gradient),
        **{name: tables.steps(distinct(), gradient)[name] for name in _MOVED},
        **{f"copy_update_{ahead}": _copy_update(tables.table.weight, distinct(), threads, ahead) for ahead in _AHEAD},
    }


def run(entities: int, dim: int, rows: int, *, rounds: int, counts: list[int], seed: int) -> Watches:
    """Runs everything in turn, once to warm up and then `rounds` times."""
    generator = torch.Generator().manual_seed(seed)
    tables, before = Tables(entities, dim), torch.get_num_threads()
    gradient = torch.randn(rows, dim, generator=generator)
    watches: Watches = {}
    for _ in range(rounds + 1):
        for threads in counts:
            torch.set_num_threads(threads)
            for name, work in works(tables, gradient, threads, generator).items():
                watches.setdefault((name, threads), []).append(timed(work))
    torch.set_num_threads(before)
    return {key: found[1:] for key, found in watches.items()}


def _copy_update(table: Tensor, ids: Tensor, threads: int, ahead: int) -> Work:
    return lambda: _native.update_rows(table, ids, threads=threads, ahead=ahead) and None


def summarise(watches: Watches, rows: int, dim: int, counts: list[int]) -> Result:
    """Returns times, bandwidths and ratios."""
    gb = 4e-9 * rows * dim
    by_threads: dict[str, Any] = {}
    for threads in counts:
        ms = {name: medians(found) for (name, number), found in watches.items() if number == threads}
        limit = min((ms[f"copy_update_{ahead}"] for ahead in _AHEAD), key=lambda found: found["wall_ms"])
        found: dict[str, Any] = {name: ms[name] for name in ("torch", "graphkit", *_MOVED)}
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


def measure(options: argparse.Namespace) -> Result:
    """Returns all figures."""
    if not 0 < options.rows <= options.entities or min(options.dim, options.rounds, options.threads) < 1:
        raise GraphkitError(
            f"rows is {options.rows}, entities {options.entities}, dim {options.dim}, rounds {options.rounds} and "
            f"threads {options.threads}; give positive numbers, and no more rows than entities"
        )
    sizes = {"entities": options.entities, "dim": options.dim, "rows": options.rows}
    counts = sorted({1, options.threads})
    watches = run(**sizes, rounds=options.rounds, counts=counts, seed=options.seed)
    figures = summarise(watches, options.rows, options.dim, counts)
    return {
        **sizes,
        **figures,
        "bars": {
            "label": "GB/s of random rows",
            "heights": {
                f"{threads} thread(s)": {title: found[name]["gb_per_s"] for name, title in TITLES.items()}
                for threads, found in figures["threads"].items()
            },
        },
    }


def show(result: Result, out: TextIO) -> None:
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


def main() -> int:
    """Measures and prints."""
    made = parser(__doc__)
    made.add_argument("--entities", type=int, default=1_000_000)
    made.add_argument("--dim", type=int, default=400)
    made.add_argument("--rows", type=int, default=20_000, help="of a step (default: 20000)")
    made.add_argument("--rounds", type=int, default=9)
    options = made.parse_args()
    return report("sparse_optimizers", options, lambda: measure(options), show, draw_bars)


if __name__ == "__main__":
    sys.exit(main())
