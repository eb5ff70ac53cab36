"""Measures a graph of Freebase's size: building its store, opening it, and sampling queries from it.

    python benchmarks/freebase_scale.py --entities 86054151 --relations 14824 --edges 338586276

The graph is that of ``graphkit data synth``. Drawing, sorting and writing count as building. Each part runs in a
process of its own, so that its memory is its own: anonymous and shared, with Python's and torch's (some 0.2 GiB).
Queries are W1 of query_sampler.py, drawn with the index resident in huge pages and, beside it, mapped from the file.
``--json`` prints one JSON object alone on standard output.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TextIO, TypeVar

from calibration import calibrate, lines
from query_sampler import measure

from graphkit.data import synthesize
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.queries import STRUCTURES
from graphkit.training.memory import MemoryWatch

T = TypeVar("T")

_GIB_OF_MIB = 1 / 1024


def alone(work: Callable[..., T], *arguments: Any) -> T:
    """Calls `work` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def build(folder: Path, entities: int, relations: int, edges: int, seed: int) -> dict[str, float]:
    """Makes the store."""
    start = time.perf_counter()
    with MemoryWatch() as memory:
        synthesize(folder, num_entities=entities, num_relations=relations, num_edges=edges, seed=seed)
    return {"seconds": time.perf_counter() - start, "peak_gib": memory.peak_anon_mib * _GIB_OF_MIB}


def time_open(folder: Path) -> float:
    """Returns the seconds until a mapped graph has answered its first look-up."""
    start = time.perf_counter()
    KnowledgeGraph.open(folder).degree([0])
    return time.perf_counter() - start


def sample(
    folder: Path, resident: bool, structures: list[str], threads: int, seconds: float
) -> tuple[dict[str, dict[str, float]], float]:
    """Returns the figures of each structure, and the peak of anonymous memory in GiB."""
    with MemoryWatch() as memory:
        graph = KnowledgeGraph.open(folder, resident=resident)
        figures = {name: measure(graph, name, "w1", threads, seconds) for name in structures}
    return figures, memory.peak_anon_mib * _GIB_OF_MIB


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Builds where the folder has no store yet, and measures."""
    sizes = {"entities": options.entities, "relations": options.relations, "edges": options.edges, "seed": options.seed}
    kept = folder.with_name(f"{folder.name}.json")
    if not folder.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"sizes": sizes, "build": alone(build, folder, *sizes.values())}))
    told = json.loads(kept.read_text()) if kept.exists() else {}
    if told.get("sizes") != sizes:
        raise GraphkitError(f"{folder} holds another graph than this script would make; choose another --cache")
    structures = options.structures.split()
    opening = alone(time_open, folder)
    resident, resident_gib = alone(sample, folder, True, structures, options.threads, options.seconds)
    mapped, mapped_gib = alone(sample, folder, False, structures, options.threads, options.seconds)
    return {
        "build": told["build"],
        "file_gb": sum(path.stat().st_size for path in folder.iterdir()) / 1e9,
        "open_seconds": opening,
        "anon_gib": {"mapped": mapped_gib, "resident": resident_gib},
        "structures": resident,
        "mapped_structures": mapped,
        **sizes,
        "threads": options.threads,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "calibration": calibrate(),
    }


def show(result: dict[str, Any], out: TextIO) -> None:
    """Prints the table."""
    print(
        f"{result['entities']:,} entities, {result['relations']:,} relations, {result['edges']:,} edges\n"
        f"built in {result['build']['seconds']:.1f} s and {result['build']['peak_gib']:.2f} GiB; "
        f"{result['file_gb']:.2f} GB; opened in {result['open_seconds']:.3f} s\n"
        f"W1, {result['threads']} threads: resident in {result['anon_gib']['resident']:.2f} GiB, "
        f"mapped in {result['anon_gib']['mapped']:.2f} GiB beside the file",
        file=out,
    )
    print(f"{'':8}{'CPU µs':>10}{'queries/s':>14}{'accepted':>10}{'CPU µs mapped':>16}", file=out)
    for name, row in result["structures"].items():
        mapped = result["mapped_structures"][name]["cpu_us"]
        cells = f"{row['cpu_us']:10.2f}{row['wall_qps']:14,.0f}{row['accept_rate']:10.3f}{mapped:16.2f}"
        print(f"{name:8}{cells}", file=out)
    print("\n".join(lines(result["calibration"])), file=out)


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--entities", type=int, default=8_605_415, help="default: a tenth of Freebase's")
    parser.add_argument("--relations", type=int, default=14_824)
    parser.add_argument("--edges", type=int, default=33_858_627)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--structures", default=" ".join(STRUCTURES), help="names, separated by blanks")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.7, help="of each structure (default: 0.7)")
    parser.add_argument("--cache", type=Path, help="the folder of the store, kept and used again (default: none)")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    try:
        if options.cache is not None:
            result = run(options, options.cache)
        else:
            with tempfile.TemporaryDirectory(dir=".") as folder:
                result = run(options, Path(folder) / "store")
    except GraphkitError as error:
        print(f"freebase_scale: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(result))
    show(result, sys.stderr if options.json else sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
