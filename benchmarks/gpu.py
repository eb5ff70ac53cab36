"""Measures kernels, training and memory on a GPU; see gpu.md, which says what has been run so far.

    python benchmarks/gpu.py --json --out results/gpu.json

Kernels are timed beside their plain torch twins, eager and by torch.compile; training runs with the settings of DGL-KE
and SMORE. Without a GPU it ends with exit code 2 and says why. ``--json`` prints one JSON object alone on standard
output.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TextIO

import torch
from kernel_cases import Case, Operation, Sizes, cases
from reporting import Result, draw_bars, parser, report, shown

import graphkit
from graphkit import models
from graphkit.engine import GPU, Adagrad, Adam, Engine, RowOptimizer
from graphkit.engine.cuda.launcher import back_end
from graphkit.engine.device.cuda import missing_gpu
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.losses import LogSigmoid
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training import QueryTask

WARM_UP = 3


@dataclasses.dataclass(frozen=True)
class Setting:
    """A peer's settings of a training run, as far as graphkit has them."""

    peer: str
    model: str
    dim: int
    batch_size: int
    negatives: int
    optimizer: Callable[[], RowOptimizer]
    mode: str = "shared"
    structures: str = "1p"
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


#: DGL-KE: awslabs/dgl-ke, examples/fb15k/multi_gpu.sh, one GPU. Its chunks of a batch share negatives, as ours does.
#: SMORE: batches of 512 with 1024 shared negatives, as most of its scripts have it. Its ComplEx has d = 50, batches of
#: 256 and Adagrad at 0.1; its BetaE d = 400 on FB15k-237, and d = 100 at 5e-5 on Freebase. d = 400 for all models, 1e-4
#: for GQE and Query2box, and BetaE's d = 400 at 5e-5 are our choice, so that models are measured at one size.
SETTINGS = {
    "dglke-transe-l1": Setting("DGL-KE", "TransE", 400, 1000, 200, lambda: Adagrad(lr=0.01), options={"margin": 16.0}),
    "dglke-transe-l2": Setting(
        "DGL-KE", "TransE", 400, 1000, 200, lambda: Adagrad(lr=0.25), options={"margin": 19.9, "norm": 2}
    ),
    "dglke-distmult": Setting("DGL-KE", "DistMult", 400, 1000, 200, lambda: Adagrad(lr=0.08)),
    "dglke-complex": Setting("DGL-KE", "ComplEx", 400, 1000, 200, lambda: Adagrad(lr=0.1)),
    "dglke-rotate": Setting("DGL-KE", "RotatE", 400, 2048, 256, lambda: Adagrad(lr=0.009), options={"margin": 12.0}),
    "smore-complex": Setting("SMORE", "ComplEx", 400, 512, 1024, lambda: Adagrad(lr=0.1)),
    "smore-gqe": Setting("SMORE", "GQE", 400, 512, 1024, lambda: Adam(lr=1e-4), structures="1p 2p 3p 2i 3i"),
    "smore-query2box": Setting(
        "SMORE", "Query2box", 400, 512, 1024, lambda: Adam(lr=1e-4), structures="1p 2p 3p 2i 3i"
    ),
    "smore-betae": Setting(
        "SMORE", "BetaE", 400, 512, 1024, lambda: Adam(lr=5e-5), structures="1p 2p 3p 2i 3i 2in 3in inp pin pni"
    ),
}

#: Where rows are: copied for each batch; those with the most edges on the GPU; or read in the host's memory.
PLACES = {"copied": {}, "cached": {"cache_rows": 100_000}, "zero-copy": {"zero_copy": True}}


def milliseconds(work: Callable[[], object], rounds: int, device: str) -> float:
    """Returns the median time of a run, after one to warm up; on a GPU by its events."""
    work()
    found = []
    for _ in range(rounds):
        if device == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work()
            end.record()
            end.synchronize()
            found.append(start.elapsed_time(end))
        else:
            before = time.perf_counter()
            work()
            found.append(1e3 * (time.perf_counter() - before))
    return median(found)


def time_case(case: Case, rounds: int, device: str, *, compiled: bool) -> dict[str, Result]:
    """Returns milliseconds of both passes of a case: of graphkit, of its twin, and of its compiled twin."""
    sides = {"graphkit": (case.native, 1.0), "eager": (case.twin, case.twin_parts)}
    if compiled:
        sides["compiled"] = Operation(torch.compile(case.twin.run), case.twin.inputs), case.twin_parts
    found: dict[str, Result] = {}
    for side, (operation, parts) in sides.items():
        for part, work in operation.passes():
            kept = _repeated(operation) if part == "backward" else work
            try:
                found.setdefault(part, {})[f"{side}_ms"] = parts * milliseconds(kept, rounds, device)
            except torch.OutOfMemoryError:
                found.setdefault(part, {})[f"{side}_ms"] = None
    for row in found.values():
        for side in ("eager", "compiled"):
            other, own = row.get(f"{side}_ms"), row["graphkit_ms"]
            row[f"ratio_{side}"] = None if other is None or own is None else other / own
    for part, row in found.items():
        row["flop"], row["bytes"] = case.flop.get(part), case.moved.get(part)
    return found


def _repeated(operation: Operation) -> Callable[[], object]:
    """Returns both passes together: a graph of autograd can be gone through once."""

    def both() -> None:
        for _, work in operation.passes():
            work()

    return both


def train(setting: Setting, graph: KnowledgeGraph, engine: Engine, steps: int, seed: int) -> Result:
    """Trains some steps, and returns positives a second and the GPU's memory."""
    options = SamplerOptions(
        structures=setting.structures,
        batch_size=setting.batch_size,
        mode=setting.mode,  # type: ignore[arg-type]
        negatives=min(setting.negatives, graph.num_entities),
        seed=seed,
    )
    model = getattr(models, setting.model)(graph.num_relations, dim=setting.dim, **setting.options)
    parts = {"loss": LogSigmoid(adversarial_temperature=1.0), "optimizer": setting.optimizer(), "engine": engine}
    task = QueryTask(
        graph, model, sampler=QuerySampler(graph, options, threads=2), seed=seed, weighting="none", **parts
    )
    try:
        batches = task.batches()
        for _ in range(WARM_UP):
            task.step(next(batches))
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        for _ in range(steps):
            task.step(next(batches))
        seconds = time.perf_counter() - start
    finally:
        task.close()
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else None
    return {
        "peer": setting.peer,
        "steps": steps,
        "ms_per_step": 1e3 * seconds / steps,
        "positives_per_s": steps * setting.batch_size / seconds,
        "gpu_mib": peak,
    }


def attempt(work: Callable[[], Result]) -> Result:
    """Returns the figures of a case, or what went wrong with it: others are measured all the same."""
    try:
        return work()
    except Exception as error:  # a kernel, a driver or torch may fail in any way
        return {"error": f"{type(error).__name__}: {error}"}


def measure(options: argparse.Namespace) -> Result:
    """Returns all figures; what there is of them is written after each case, where ``--out`` names a file.

    Raises:
        GraphkitError: there is no GPU.
    """
    if missing := missing_gpu(0):
        raise GraphkitError(f"there is no GPU to measure: {missing}")
    result: Result = {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "back_end": back_end().reason,
        "graph": options.graph,
        "kernels": {},
        "training": {},
    }
    # Data are made on the GPU by default; whoever needs some on the CPU says so.
    with torch.device("cuda"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generator = torch.Generator("cuda").manual_seed(options.seed)
        for case in cases(Sizes.shrunk(options.dim, 1), generator):
            timed = partial(time_case, case, options.rounds, "cuda", compiled=not options.no_compile)
            result["kernels"][case.name] = attempt(timed)
            keep(result, options.out)
    measure_training(options, result, {name: partial(GPU, **place) for name, place in PLACES.items()})
    rates = {name: found["positives_per_s"] for name, found in result["training"].items() if "error" not in found}
    label = "positive triples or queries trained a second"
    return {**result, "bars": {"label": label, "heights": {"graphkit": rates}}}


def measure_training(options: argparse.Namespace, result: Result, engines: dict[str, Callable[[], Engine]]) -> None:
    """Trains with each setting on each engine, and adds the figures to `result`."""
    named = options.graph in graphkit.data.names()
    graph = graphkit.data.load(options.graph) if named else KnowledgeGraph.open(options.graph, resident=True)
    for name in options.settings:
        for place, engine in engines.items():

            def run(name: str = name, engine: Callable[[], Engine] = engine) -> Result:
                return train(SETTINGS[name], graph, engine(), options.steps, options.seed)

            result["training"][f"{name} {place}"] = attempt(run)
            keep(result, options.out)


def keep(result: Result, path: Path | None) -> None:
    """Writes what has been measured so far: a process that dies takes no figures with it."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")


def show(result: Result, out: TextIO) -> None:
    """Prints the tables."""
    print(f"{result['gpu']}, torch {result['torch']}; {result['back_end']}", file=out)
    columns = ("graphkit_ms", "eager_ms", "compiled_ms", "ratio_eager", "ratio_compiled")
    print(f"{'':36}" + "".join(f"{column:>16}" for column in columns), file=out)
    for name, parts in result["kernels"].items():
        if "error" in parts:
            print(f"{name:36}{parts['error']}", file=out)
            continue
        for part, row in parts.items():
            both = "both passes" if part == "backward" else part
            print(f"{f'{name} {both}':36}" + "".join(f"{shown(row.get(c), 3):>16}" for c in columns), file=out)
    for name, row in result["training"].items():
        if "error" in row:
            print(f"{name:36}{row['error']}", file=out)
            continue
        memory = f"{shown(row['gpu_mib'], 0)} MiB"
        print(f"{name:36}{row['ms_per_step']:>10.2f} ms{row['positives_per_s']:>14,.0f}/s{memory:>14}", file=out)


def main() -> int:
    """Measures and prints."""
    made = parser(__doc__)
    made.add_argument("--dim", type=int, default=400, help="reals of a row of the kernels (default: 400)")
    made.add_argument("--rounds", type=int, default=20, help="that medians are taken of (default: 20)")
    made.add_argument("--steps", type=int, default=500, help="of training, each setting (default: 500)")
    made.add_argument("--graph", default="fb15k237", help="a named graph or a store's folder (default: fb15k237)")
    made.add_argument("--settings", nargs="*", choices=SETTINGS, default=list(SETTINGS), help="of peers (default: all)")
    made.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    options = made.parse_args()
    return report("gpu", options, lambda: measure(options), show, draw_bars)


if __name__ == "__main__":
    sys.exit(main())
