"""Measures contrastive training on compressed nodes beside training on the full graph, with the same loss.

    python benchmarks/compressed_training.py --json

The graph has planted communities; it is made once, and loaded by every process. Each loss is trained in two forms, each
in a process of its own, one after the other: on clusters of nodes, and on all nodes over the graph in every step, as
``graphkit train trainer=compressed`` and ``trainer=full_graph`` do. Time is that of partition, pooling and steps;
memory is its peak meanwhile, above what the process held with the graph loaded and the libraries warm. Embedding all
nodes and the probe are the same for both, and reported apart. ``ratio_time`` and ``ratio_memory`` are those of SCE, or
of the first loss where that one is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TextIO

import torch
from node_training import METHODS, Setting, save_graph
from reporting import Result, draw_bars, parser, report, shown

from graphkit.errors import GraphkitError
from graphkit.nodes import planted_communities

#: Losses over all pairs of rows: on the full graph a step takes time with the square of the nodes.
ALL_PAIRS = frozenset({"grace"})
FORMS = {"full_graph": "full graph", "compressed": "compressed"}


def make_graph(nodes: int, options: argparse.Namespace, folder: Path) -> Result:
    """Makes a graph with as many edges a node as the options ask for, and writes it; returns its sizes."""
    graph = planted_communities(
        nodes=nodes,
        edges=round(options.edges * nodes / options.nodes),
        features=options.features,
        noise=options.noise,
        seed=options.seed,
    )
    folder.mkdir()
    save_graph(graph, folder)
    sizes = {"nodes": nodes, "edges": graph.edge_index.shape[1] // 2, "features": options.features}
    return {**sizes, "communities": int(graph.community.max()) + 1, "classes": graph.num_classes}


def alone(setting: Setting) -> Result:
    """Trains in a process of its own.

    Raises:
        GraphkitError: it ended before it was done.
    """
    script = Path(__file__).with_name("node_training.py")
    command = [sys.executable, str(script), json.dumps(asdict(setting))]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        how = "was killed, as it is where memory runs out" if done.returncode == -9 else f"ended: {last[0]}"
        raise GraphkitError(
            f"{setting.loss} in the form {setting.form} {how}; name a smaller --full-graph-nodes, or leave it out of "
            "--losses"
        )
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(loss: str, sizes: Result, setting: Setting) -> Result:
    """Trains both forms of a loss, in turn; returns what they took, and how many times more the full graph did."""
    found: Result = {"graph": sizes}
    for form in FORMS:
        print(f"training {METHODS[loss].title}, {FORMS[form]}, {sizes['nodes']:,} nodes …", file=sys.stderr)
        found[form] = alone(replace(setting, loss=loss, form=form))
    for ratio, key in (("time", "seconds"), ("cpu_time", "cpu_seconds"), ("memory", "memory_mib")):
        found[f"ratio_{ratio}"] = found["full_graph"][key] / max(found["compressed"][key], 1e-9)
    return found


def measure(options: argparse.Namespace) -> Result:
    """Returns all figures."""
    losses = _losses(options)
    reduced = [loss for loss in losses if loss in ALL_PAIRS and options.full_graph_nodes < options.nodes]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folders = {options.nodes: Path(scratch) / "whole"}
        if reduced:
            folders[options.full_graph_nodes] = Path(scratch) / "smaller"
        sizes = {nodes: make_graph(nodes, options, folder) for nodes, folder in folders.items()}
        settings = {nodes: _setting(nodes, str(folder), options) for nodes, folder in folders.items()}
        found = {}
        for loss in losses:
            nodes = options.full_graph_nodes if loss in reduced else options.nodes
            found[loss] = compare(loss, sizes[nodes], settings[nodes])
            if loss in reduced:
                print(f"training {METHODS[loss].title}, compressed, {options.nodes:,} nodes …", file=sys.stderr)
                found[loss]["compressed_whole"] = alone(replace(settings[options.nodes], loss=loss))
    first = found["sce" if "sce" in found else losses[0]]
    return {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "torch": torch.__version__},
        "graph": {**sizes[options.nodes], "noise": options.noise, "seed": options.seed},
        "losses": found,
        "ratios_are_of": "sce" if "sce" in found else losses[0],
        "ratio_time": first["ratio_time"],
        "ratio_memory": first["ratio_memory"],
        "accuracies": {
            loss: {
                **{form: row[form]["accuracy_mean"] for form in FORMS},
                "no_training": row["compressed"]["no_training"],
            }
            for loss, row in found.items()
        },
        "seconds": time.perf_counter() - start,
        "bars": {
            "label": "full graph / compressed",
            "heights": {
                METHODS[loss].title: {"time": row["ratio_time"], "memory": row["ratio_memory"]}
                for loss, row in found.items()
            },
        },
    }


def show(result: Result, out: TextIO) -> None:
    """Prints the table."""
    graph = result["graph"]
    print(
        f"{graph['nodes']:,} nodes, {graph['edges']:,} edges, {graph['features']} features, {graph['communities']:,} "
        f"communities of {graph['classes']} classes; seconds with partition, MiB above the loaded graph",
        file=out,
    )
    print(f"{'':22}{'nodes':>9}{'clusters':>10}{'seconds':>10}{'CPU s':>9}{'MiB':>9}{'accuracy':>18}", file=out)
    for loss, row in result["losses"].items():
        title = METHODS[loss].title
        for form in (*FORMS, "compressed_whole"):
            if form in row:
                print(_line(f"{title}, {FORMS.get(form, 'compressed')}", row[form]), file=out)
        ratios = ", ".join(f"{name} {shown(row[f'ratio_{name}'])}" for name in ("time", "cpu_time", "memory"))
        print(f"{'':4}full graph / compressed: {ratios.replace('_', ' ')}", file=out)
        untrained = ", ".join(f"{name} {value:.4f}" for name, value in row["compressed"]["no_training"].items())
        print(f"{'':4}no training: {untrained}", file=out)
    for loss, row in result["losses"].items():
        if "compressed_whole" in row:
            less, longer = row["graph"]["nodes"], (graph["nodes"] / row["graph"]["nodes"]) ** 2
            print(
                f"{METHODS[loss].title} compares all pairs of nodes, and a step on the full graph would take "
                f"{longer:,.0f} times as long as on {less:,} nodes, where its forms are compared",
                file=out,
            )


def main() -> int:
    """Measures and prints."""
    made = parser(__doc__)
    made.add_argument("--nodes", type=int, default=200_000, help="of the graph (default: 200,000)")
    made.add_argument("--edges", type=int, default=5_000_000, help="undirected (default: 5,000,000)")
    made.add_argument("--features", type=int, default=128, help="of a node (default: 128)")
    made.add_argument(
        "--noise",
        type=float,
        default=2.0,
        help="of features; with 1, two hops without training are right on every node (default: 2)",
    )
    made.add_argument("--losses", default=",".join(METHODS), help="names, separated by commas (default: all)")
    made.add_argument("--clusters", type=int, help="of the graph (default: a 50th of its nodes)")
    made.add_argument("--partition", help="metis, heavy_edge or random (default: by the number of edges)")
    made.add_argument("--epochs", type=int, help="(default: those of StructComp's release, 50 of SCE and 20 of others)")
    made.add_argument("--dim", type=int, default=512, help="of an embedding (default: 512)")
    made.add_argument("--splits", type=int, default=5, help="of the probe, 20 labels a class (default: 5)")
    made.add_argument(
        "--full-graph-nodes",
        type=int,
        default=5_000,
        metavar="N",
        help="compare a loss over all pairs of nodes (GRACE) on a graph of so many, with as many edges a node "
        "(default: 5,000)",
    )
    made.add_argument("--scratch", type=Path, metavar="DIR", help="where the graph is written (default: as for others)")
    options = made.parse_args()
    return report("compressed_training", options, lambda: measure(options), show, draw_bars)


def _losses(options: argparse.Namespace) -> list[str]:
    names: list[str] = options.losses.split(",")
    for name in names:
        if name not in METHODS:
            raise GraphkitError(f"--losses names {name!r}, and some of {', '.join(METHODS)} are needed")
    if options.splits < 1 or options.full_graph_nodes < 1:
        raise GraphkitError(
            f"--splits is {options.splits} and --full-graph-nodes {options.full_graph_nodes}; give at least 1"
        )
    return names


def _setting(nodes: int, graph: str, options: argparse.Namespace) -> Setting:
    """Returns the setting of a graph of so many nodes, with as many clusters a node as the options ask for."""
    clusters = options.clusters or max(2, options.nodes // 50)
    return Setting(
        loss="",
        form="compressed",
        graph=graph,
        clusters=max(2, round(clusters * nodes / options.nodes)),
        partition=options.partition,
        epochs=options.epochs,
        dim=options.dim,
        splits=options.splits,
        threads=options.threads,
        seed=options.seed,
    )


def _line(title: str, row: Result) -> str:
    sizes = row["partition"]
    accuracy = f"{row['accuracy_mean']:.4f} ± {row['accuracy_std']:.4f}"
    return (
        f"{title:22}{sizes['nodes']:9,}{sizes['clusters']:10,}{row['seconds']:10.2f}{row['cpu_seconds']:9.2f}"
        f"{row['memory_mib']:9,.0f}{accuracy:>18}"
    )


if __name__ == "__main__":
    sys.exit(main())
