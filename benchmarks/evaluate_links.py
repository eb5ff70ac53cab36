"""Measures filtered link prediction of all test triples, both sides: graphkit beside PyKEEN's rank-based evaluator.

    python benchmarks/evaluate_links.py --json

Weights are random, as each library draws them. PyKEEN ranks 512 of the triples; its filter is built before the clock
starts, and its batch size is the fastest of those whose scores fit into memory. Graphkit's time is all that
`evaluate_links` does. What ComplEx reaches is also given as a share of what torch's fp32 product takes for the same
blocks of scores, and beside the stored figure of LibKGE. Last, the anonymous memory that ranking takes beyond the table
is measured on a large synthetic one, in a process of its own. ``--json`` prints one JSON object alone on standard
output.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TextIO

import numpy as np
import torch
from freebase_scale import alone
from link_models import MODELS, PykeenEvaluation, Settings, fresh, held_out, pykeen_model
from query_sampler import load
from reporting import Result, Stopwatch, draw_bars, parser, ratio, report, require_peer, shown

from graphkit.errors import GraphkitError
from graphkit.evaluation import evaluate_links
from graphkit.evaluation.ranking import QUERIES_AT_ONCE, SCORES_AT_ONCE
from graphkit.graph import KnowledgeGraph
from graphkit.training.memory import MemoryWatch

#: Triples a second of LibKGE: ComplEx of 400 reals on WN18RR, batches of 256, both sides, on the machine that
#: calibration.py names.
LIBKGE = 219.0
LIBKGE_MEASURED = ("wn18rr", 400)

MARGIN = 9.0

PEER_BATCHES = (32, 256)
#: PyKEEN holds several such matrices [batch, N, D] at once: none that alone takes more is tried.
PEER_BYTES = 12e9


def timed(work: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Returns the median of wall and of CPU seconds."""
    wall, cpu = [], []
    for _ in range(repeats):
        watch = Stopwatch()
        watch.start()
        work()
        watch.stop()
        wall.append(watch.wall)
        cpu.append(watch.cpu)
    return {"seconds": median(wall), "cpu_seconds": median(cpu)}


def time_graphkit(name: str, graph: KnowledgeGraph, options: argparse.Namespace) -> Result:
    """Times the ranking of all test triples."""
    model, table = fresh(name, graph, options.dim, MARGIN, options.seed)
    model.eval()
    evaluate_links(graph, model, table, limit=1)  # starts threads
    figures = timed(lambda: evaluate_links(graph, model, table), options.repeats)
    triples = len(held_out(graph, "test", None, 0))
    return {"triples_per_s": triples / figures["seconds"], "triples": triples, **figures}


def time_pykeen(name: str, graph: KnowledgeGraph, options: argparse.Namespace) -> Result:
    """Times PyKEEN on some test triples, at the batch size that serves it best."""
    settings = Settings(
        model=name,
        dim=options.dim,
        batch_size=0,
        negatives=0,
        lr=0.0,
        temperature=1.0,
        margin=MARGIN,
        seed=options.seed,
    )
    model = pykeen_model(graph, settings)
    triples = held_out(graph, "test", options.peer_triples, options.seed)
    evaluation = PykeenEvaluation(graph, triples)
    tried = [size for size in PEER_BATCHES if 4 * size * graph.num_entities * options.dim <= PEER_BYTES]
    if not tried:
        least = 4e-9 * PEER_BATCHES[0] * graph.num_entities * options.dim
        raise GraphkitError(
            f"PyKEEN would hold a matrix of {least:.0f} GB, and {1e-9 * PEER_BYTES:.0f} are allowed; choose a smaller "
            "--graph or --dim"
        )
    PykeenEvaluation(graph, triples[:1]).mrr(model, 2)  # starts threads
    runs = [{"batch_size": size, **timed(lambda size=size: evaluation.mrr(model, size), 1)} for size in tried]
    best = min(runs, key=lambda run: run["seconds"])
    return {"triples_per_s": len(triples) / best["seconds"], "triples": len(triples), **best, "tried": tried}


def gemm(entities: int, dim: int, repeats: int = 5) -> dict[str, Any]:
    """Returns the rate of torch's fp32 product for a block of scores as `filtered_ranks` asks for it, a median."""
    columns = min(entities, SCORES_AT_ONCE // QUERIES_AT_ONCE)
    shape = SCORES_AT_ONCE // columns, dim, columns
    left, right = torch.rand(shape[0], dim), torch.rand(columns, dim)
    seconds = []
    for _ in range(1 + repeats):  # the first starts the threads
        start = time.perf_counter()
        left @ right.T
        seconds.append(time.perf_counter() - start)
    return {"gflop_per_s": 2e-9 * shape[0] * dim * columns / median(seconds[1:]), "shape": shape}


def memory_beyond_table(name: str, entities: int, dim: int, triples: int, threads: int) -> float:
    """Returns MiB of anonymous memory that ranking takes beyond what stands before: the graph, the model, the table."""
    torch.set_num_threads(threads)
    ends = np.random.default_rng(0).integers(entities, size=(2, 2 * triples))
    made = np.stack([ends[0], np.arange(2 * triples) % 2, ends[1]], axis=1)
    graph = KnowledgeGraph.from_triples(made[:triples], test=made[triples:], num_entities=entities, num_relations=2)
    model, table = fresh(name, graph, dim, MARGIN, seed=0)
    model.eval()
    with MemoryWatch() as before:
        pass
    with MemoryWatch() as during:
        evaluate_links(graph, model, table)
    return during.peak_anon_mib - before.peak_anon_mib


def complex_against_products(row: Result, graph: KnowledgeGraph, options: argparse.Namespace) -> Result:
    """Returns the share of the product's rate that ranking with ComplEx reaches, and its ratio to LibKGE's figure."""
    product = gemm(graph.num_entities, options.dim)
    # Both sides of a triple against all entities; equal queries are asked once, which is not taken off.
    flop = 2.0 * 2 * row["triples"] * graph.num_entities * options.dim
    found = {"gemm": product, "complex_share_of_gemm": 1e-9 * flop / row["seconds"] / product["gflop_per_s"]}
    if (options.graph, options.dim) == LIBKGE_MEASURED:
        found |= {
            "libkge_stored_triples_per_s": LIBKGE,
            "ratio_complex_libkge_stored": row["triples_per_s"] / LIBKGE,
        }
    return found


def measure(options: argparse.Namespace) -> Result:
    """Returns all figures."""
    if options.peer:
        require_peer("pykeen")
    start = time.perf_counter()
    graph = load(options.graph, Path())
    names = options.models.split()
    unknown = [name for name in names if name not in MODELS]
    if unknown:
        raise GraphkitError(f"--models names {unknown[0]}, and some of {', '.join(MODELS)} are needed")
    ours, peers = {}, {}
    for name in names:
        ours[name] = time_graphkit(name, graph, options)
        if options.peer:
            peers[name] = time_pykeen(name, graph, options)
    rate = {name: row["triples_per_s"] for name, row in ours.items()}
    result: Result = {
        "graphkit": ours,
        "pykeen": peers or None,
        **{
            f"ratio_{name}": ratio(rate.get(name), peers[name]["triples_per_s"] if name in peers else None)
            for name in MODELS
        },
        "graph": options.graph,
        "dim": options.dim,
    }
    if "complex" in names:
        result |= complex_against_products(ours["complex"], graph, options)
    if options.many_entities:
        large = options.many_entities, options.many_dim, options.many_triples
        beyond = {name: alone(memory_beyond_table, name, *large, options.threads) for name in names}
        result["memory"] = dict(zip(("entities", "dim", "triples"), large, strict=True)) | {
            "anon_mib_beyond_table": beyond
        }
    heights = {
        MODELS[name]: {"graphkit": rate[name], **({"PyKEEN": peers[name]["triples_per_s"]} if peers else {})}
        for name in names
    }
    result["bars"] = {"label": "test triples ranked a second", "heights": heights}
    return {**result, "seconds": time.perf_counter() - start}


def show(result: Result, out: TextIO) -> None:
    """Prints the table."""
    print(f"test triples of {result['graph']} ranked a second, both sides, {result['dim']} reals a row", file=out)
    print(f"{'':10}{'graphkit':>12}{'PyKEEN':>10}{'batch':>8}{'ratio':>8}", file=out)
    for name, row in result["graphkit"].items():
        peer = result["pykeen"][name] if result["pykeen"] else None
        cells = "  not measured, as --no-peer says"
        if peer is not None:
            cells = f"{peer['triples_per_s']:10,.1f}{peer['batch_size']:8}{result[f'ratio_{name}']:8.1f}"
        print(f"{MODELS[name]:10}{row['triples_per_s']:12,.1f}{cells}", file=out)
    if "gemm" in result:
        product = result["gemm"]
        print(f"fp32 product of {'×'.join(map(str, product['shape']))}: {product['gflop_per_s']:.0f} GFLOP/s", file=out)
        print(f"share of it that ranking with ComplEx reaches: {result['complex_share_of_gemm']:.2f}", file=out)
    if "ratio_complex_libkge_stored" in result:
        mark = "" if result["calibration"]["comparable"] else "*"
        against = shown(result["ratio_complex_libkge_stored"], 2)
        print(f"ComplEx against LibKGE's stored {LIBKGE:.0f} triples/s: {against}{mark}", file=out)
    if "memory" in result:
        memory = result["memory"]
        mib = ", ".join(f"{MODELS[name]} {mib:.0f}" for name, mib in memory["anon_mib_beyond_table"].items())
        print(f"anonymous MiB beyond a table of {memory['entities']:,} × {memory['dim']}: {mib}", file=out)


def main() -> int:
    """Measures and prints."""
    made = parser(__doc__)
    made.add_argument("--models", default=" ".join(MODELS), help="names, separated by blanks")
    made.add_argument("--graph", default="wn18rr", help="a name, or the folder of a store")
    made.add_argument("--dim", type=int, default=400, help="reals of a row (default: 400)")
    made.add_argument("--repeats", type=int, default=3, help="of graphkit's side; the median counts (default: 3)")
    made.add_argument("--peer-triples", type=int, default=512, help="that PyKEEN ranks (default: 512)")
    made.add_argument(
        "--many-entities", type=int, default=5_000_000, help="of the table whose memory is measured; 0: none"
    )
    made.add_argument("--many-dim", type=int, default=16)
    made.add_argument("--many-triples", type=int, default=64)
    made.add_argument("--no-peer", dest="peer", action="store_false", help="leave PyKEEN out")
    options = made.parse_args()
    return report("evaluate_links", options, lambda: measure(options), show, draw_bars)


if __name__ == "__main__":
    sys.exit(main())
