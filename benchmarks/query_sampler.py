"""Measures the query sampler: CPU time of a query by structure, against what was measured of SMORE's sampler.

    python benchmarks/query_sampler.py --graph wn18rr --work w1

W1 gives each query 128 verified negatives of its own, W2 each batch 1,024 shared candidates with a mask; batches hold
512 queries of one structure, answers are drawn uniformly. The time includes the hand-over as torch tensors. ``--json``
prints one JSON object alone on standard output.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from calibration import calibrate, lines

import graphkit
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.queries import STRUCTURES
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training.memory import MemoryWatch

WORKS: dict[str, dict[str, Any]] = {
    "w1": {"mode": "own", "negatives": 128},
    "w2": {"mode": "shared", "negatives": 1024},
}
BATCH = 512
#: Batches before the clock starts.
WARM_UP = 2

#: CPU µs a query of SMORE's better sampler (rejection or naive) by structure, one thread, on a machine of the kind that
#: the recorded results name: measured by us, its code of 2022 unchanged but for C++17.
_SMORE_ROWS = {
    ("wn18rr", "w1"): "8.7 15.9 23.1 9.3 11.0 13.3 12.0 11.3 17.5 11.7 11.6 16.0 15.4 15.5",
    ("syn10m", "w1"): "11.5 47.7 167.7 11.0 12.8 40.8 13.6 12.9 68.1 12.9 15.2 62.6 45.2 53.8",
    ("wn18rr", "w2"): "25.7 35.6 54.1 20.7 18.3 33.8 34.1 32.6 44.6 30.5 23.9 39.8 32.9 34.1",
    ("syn10m", "w2"): "24.3 68.4 168.3 20.7 21.0 57.0 32.1 33.9 113.3 29.9 22.2 65.5 76.2 82.8",
}
SMORE = {key: dict(zip(STRUCTURES, map(float, row.split()), strict=True)) for key, row in _SMORE_ROWS.items()}


def synthetic(entities: int, edges: int, folder: Path) -> KnowledgeGraph:
    """A graph of independent draws: head ~ rank^-0.5, relation ~ rank^-1, tail ~ rank^-0.8, ids permuted, seed 0."""
    if not folder.is_dir():
        random = np.random.default_rng(0)

        def draw(size: int, power: float, permuted: bool) -> np.ndarray:
            cumulated = np.cumsum(np.arange(1, size + 1, dtype=np.float64) ** -power)
            ranks = np.searchsorted(cumulated, random.random(edges) * cumulated[-1], side="right")
            return random.permutation(size)[ranks] if permuted else ranks

        columns = draw(entities, 0.5, True), draw(500, 1.0, False), draw(entities, 0.8, True)
        triples = np.unique(np.stack(columns, axis=1), axis=0)
        folder.parent.mkdir(parents=True, exist_ok=True)
        KnowledgeGraph.from_triples(triples, num_entities=entities, num_relations=500).save(folder)
    return KnowledgeGraph.open(folder, resident=True)


def genes_and_articles() -> KnowledgeGraph:
    """The training triples of hs_gene_go with the articles on each gene: 910,351 entities, a real graph with hubs."""
    graph = graphkit.data.load("hs_gene_go")
    with np.load(Path(os.environ["GRAPHKIT_DATA"], "kg/hs-gene-go/articles.npz"), allow_pickle=False) as arrays:
        return KnowledgeGraph.from_triples(np.concatenate([graph.triples(), arrays["triples"].astype(np.int64)]))


def load(name: str, cache: Path) -> KnowledgeGraph:
    """Returns the graph of a name or of a store's folder."""
    if name == "syn10m":
        return synthetic(1_000_000, 10_000_000, cache / name)
    if name == "syn60m":
        return synthetic(10_000_000, 60_000_000, cache / name)
    if name == "hs_gene_go":
        return genes_and_articles()
    if name in graphkit.data.names():
        return graphkit.data.load(name)
    return KnowledgeGraph.open(name, resident=True)


def measure(graph: KnowledgeGraph, structure: str, work: str, threads: int, seconds: float) -> dict[str, float]:
    """Returns CPU µs a delivered query, queries a second by the clock, and the share of walks that were accepted."""
    options = SamplerOptions(structures=structure, batch_size=BATCH, **WORKS[work])
    sampler = QuerySampler(graph, options, threads=threads)
    for _ in islice(sampler, WARM_UP):
        pass
    wall, cpu, batches = time.perf_counter(), time.process_time(), 0
    while batches < 3 or time.perf_counter() - wall < seconds:
        next(sampler)
        batches += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    accepted = sampler.statistics[structure].accept_rate
    sampler.close()
    queries = batches * BATCH
    return {"cpu_us": 1e6 * cpu / queries, "wall_qps": queries / wall, "accept_rate": accepted}


def compare(measured: dict[str, dict[str, float]], graph: str, work: str) -> dict[str, float]:
    """Returns how many times less CPU time a query takes than SMORE's better sampler, and their geometric mean."""
    known = SMORE.get((graph, work), {})
    ratios = {name: known[name] / row["cpu_us"] for name, row in measured.items() if name in known}
    if ratios:
        ratios["geometric_mean"] = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    return ratios


def show(result: dict[str, Any], out: TextIO) -> None:
    """Prints the table."""
    print(f"{result['graph']}, {result['work']}, {result['threads']} threads", file=out)
    mark = "" if result["calibration"]["comparable"] else "*"
    print(f"{'':8}{'CPU µs':>10}{'queries/s':>14}{'accepted':>10}{'× stored':>10}", file=out)
    for name, row in result["structures"].items():
        ratio = result["ratios"].get(name)
        cells = f"{row['cpu_us']:10.2f}{row['wall_qps']:14,.0f}{row['accept_rate']:10.3f}"
        print(f"{name:8}{cells}{'' if ratio is None else f'{ratio:10.1f}{mark}'}", file=out)
    if result["ratios"]:
        mean = result["ratios"]["geometric_mean"]
        print(
            f"geometric mean {mean:.1f}{mark}, against stored figures of SMORE: it did not run beside this",
            file=out,
        )
    print("\n".join(lines(result["calibration"])), file=out)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--graph", default="wn18rr", help="wn18rr, hs_gene_go, syn10m, syn60m, or the folder of a store"
    )
    parser.add_argument("--work", default="w1", choices=WORKS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--structures", default=" ".join(STRUCTURES), help="names, separated by blanks")
    parser.add_argument("--seconds", type=float, default=0.7, help="of each structure (default: 0.7)")
    parser.add_argument("--cache", type=Path, default=Path("runs/graphs"), help="where synthetic graphs are kept")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    try:
        with MemoryWatch() as memory:
            graph = load(options.graph, options.cache)
            measured = {
                name: measure(graph, name, options.work, options.threads, options.seconds)
                for name in options.structures.split()
            }
    except GraphkitError as error:
        print(f"query_sampler: {error}", file=sys.stderr)
        return 2
    result = {
        "graph": options.graph,
        "work": options.work,
        "threads": options.threads,
        "structures": measured,
        "ratios": compare(measured, options.graph, options.work) if options.threads == 1 else {},
        "peak_anon_mib": memory.peak_anon_mib,
        "calibration": calibrate(),
    }
    if options.json:
        print(json.dumps(result))
    show(result, sys.stderr if options.json else sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
