"""Measures training on multi-hop queries, beside what was measured of KGReasoning, the code of BetaE.

    python benchmarks/train_queries.py --json

GQE, Query2box and BetaE are trained on WN18RR with 400 numbers (BetaE: distributions) an entity, batches of 512 and 128
negatives, of each query its own or shared by the batch; drawing the queries is part of a step. The structures have the
shares that KGReasoning's steps gave them. Its figures are stored ones: they compare as far as the machine does.
``--json`` prints one JSON object alone on standard output.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from query_sampler import load
from reporting import Result, Stopwatch, draw_bars, parser, rates, report

from graphkit import models
from graphkit.engine import Adam
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.losses import LogSigmoid
from graphkit.models import Model
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training import QueryTask

#: Queries a second of KGReasoning (ec72849), d 400, batches of 512, 128 own negatives, WN18RR, two threads, on the
#: machine that calibration.py names; BetaE's was measured while other programs ran.
KGREASONING = {"gqe": 1093.0, "query2box": 308.0, "betae": 71.0}
#: The settings of these figures; with others there is no ratio.
MEASURED = {"graph": "wn18rr", "dim": 400, "batch_size": 512, "negatives": 128}

#: The training queries that it had. A step of it is a batch of paths, one of intersections and one of paths again, each
#: drawn in proportion to these.
_PATHS = {"1p": 103_509, "2p": 1_000, "3p": 1_000}
_INTERSECTIONS = {"2i": 1_000, "3i": 1_000}
_BATCHES = ((_PATHS, 2), (_INTERSECTIONS, 1))

WARM_UP = 3

TITLES = {"gqe": "GQE", "query2box": "Query2box", "betae": "BetaE"}
MODES = ("own", "shared")


def shares() -> dict[str, float]:
    """Returns the share of each structure in the queries of a step of KGReasoning."""
    batches = sum(number for _, number in _BATCHES)
    return {
        name: number / batches * count / sum(counts.values())
        for counts, number in _BATCHES
        for name, count in counts.items()
    }


def mix() -> str:
    """Returns the structures for the sampler, each named as often as its share is a multiple of the smallest."""
    least = min(shares().values())
    return " ".join(name for name, share in shares().items() for _ in range(round(share / least)))


def make_model(name: str, graph: KnowledgeGraph, dim: int) -> Model:
    """Returns a model with the margins and norms of KGReasoning."""
    made: dict[str, Callable[[], Model]] = {
        "gqe": lambda: models.GQE(graph.num_relations, dim=dim, margin=24.0, norm=1),
        "query2box": lambda: models.Query2box(graph.num_relations, dim=dim, margin=24.0),
        "betae": lambda: models.BetaE(graph.num_relations, dim=2 * dim, margin=60.0),
    }
    return made[name]()


def time_steps(name: str, graph: KnowledgeGraph, mode: str, options: argparse.Namespace) -> Stopwatch:
    """Times training steps, from the end of one to the end of another: with drawing and gathering."""
    sampling = SamplerOptions(
        structures=mix(),
        batch_size=options.batch_size,
        mode=mode,
        negatives=options.negatives,
        seed=options.seed,
    )
    task = QueryTask(
        graph,
        make_model(name, graph, options.dim),
        sampler=QuerySampler(graph, sampling),
        loss=LogSigmoid(),
        optimizer=Adam(lr=1e-4),
        seed=options.seed,
        layer_precision=options.layer_precision,
    )
    watch = Stopwatch()
    for done, batch in enumerate(task.batches(), start=1):
        task.step(batch)
        if done == WARM_UP:
            watch.start()
        elif done == WARM_UP + options.steps:
            watch.stop()
            break
    task.close()
    return watch


def measure(options: argparse.Namespace) -> Result:
    """Returns all figures."""
    start = time.perf_counter()
    names = options.models.split()
    unknown = [name for name in names if name not in TITLES]
    if unknown:
        raise GraphkitError(f"--models names {unknown[0]}, and some of {', '.join(TITLES)} are needed")
    graph = load(options.graph, Path())
    steps: dict[str, dict[str, Any]] = {
        name: {
            mode: rates(time_steps(name, graph, mode, options), options.steps, options.batch_size, "queries")
            for mode in MODES
        }
        for name in names
    }
    settings = {key: getattr(options, key) for key in MEASURED}
    stored = {name: KGREASONING[name] for name in names} if settings == MEASURED else {}
    per_s = {name: {mode: row["queries_per_s"] for mode, row in modes.items()} for name, modes in steps.items()}
    return {
        "queries_per_s": per_s,
        "steps": steps,
        "kgreasoning_stored": stored,
        **{f"ratio_{mode}": {name: per_s[name][mode] / stored[name] for name in stored} for mode in MODES},
        "shares": shares(),
        **settings,
        "layer_precision": options.layer_precision,
        "seconds": time.perf_counter() - start,
        "bars": {
            "label": "queries trained a second",
            "heights": {
                TITLES[name]: {
                    **{f"graphkit, {mode}": per_s[name][mode] for mode in MODES},
                    **({"KGReasoning, stored": stored[name]} if stored else {}),
                }
                for name in names
            },
        },
    }


def show(result: Result, out: TextIO) -> None:
    """Prints the table."""
    mark = "" if result["calibration"]["comparable"] else "*"
    print(
        f"{result['graph']}, {result['dim']} numbers an entity (BetaE: distributions), batches of "
        f"{result['batch_size']}, {result['negatives']} negatives, {result['threads']} threads",
        file=out,
    )
    print(f"{'':20}{'queries/s':>12}{'wall s/step':>14}{'CPU s/step':>12}{'stored':>10}{'× stored':>10}", file=out)
    for name, modes in result["steps"].items():
        for mode, row in modes.items():
            cells = f"{row['queries_per_s']:12,.0f}{row['wall_s_per_step']:14.4f}{row['cpu_s_per_step']:12.4f}"
            against = ""
            if name in result["kgreasoning_stored"]:
                against = f"{KGREASONING[name]:10,.0f}{result[f'ratio_{mode}'][name]:10.1f}{mark}"
            print(f"{TITLES[name] + ', ' + mode:20}{cells}{against}", file=out)
    print("stored: KGReasoning with its own settings, which did not run beside this", file=out)


def main() -> int:
    """Measures and prints."""
    made = parser(__doc__)
    made.add_argument("--models", default=" ".join(TITLES), help="names, separated by blanks")
    made.add_argument("--graph", default="wn18rr", help="a name, or the folder of a store")
    made.add_argument("--dim", type=int, default=400, help="numbers of an entity, half of BetaE's reals (default: 400)")
    made.add_argument("--batch-size", type=int, default=512)
    made.add_argument("--negatives", type=int, default=128, help="of a query (own), or of a batch (shared)")
    made.add_argument(
        "--layer-precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="of the models' linear layers (default: fp32)",
    )
    made.add_argument("--steps", type=int, default=20, help="that are timed (default: 20)")
    options = made.parse_args()
    return report("train_queries", options, lambda: measure(options), show, draw_bars)


if __name__ == "__main__":
    sys.exit(main())
