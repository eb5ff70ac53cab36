"""Measures contrastive training on compressed nodes beside training on the full graph, with the same loss.

    python benchmarks/compressed_training.py --json

The graph has planted communities; it is made once, and loaded by every process. Each loss is trained in two forms, each
in a process of its own, one after the other: on clusters of nodes, and on all nodes over the graph in every step, as
``graphkit train trainer=compressed`` and ``trainer=full_graph`` do. Time is that of partition, pooling and steps;
memory is its peak meanwhile, above what the process held with the graph loaded and the libraries warm. Embedding all
nodes and the probe are the same for both, and reported apart. ``ratio_time`` and ``ratio_memory`` are those of SCE, or
of the first loss where that one is left out or failed.

Clusters are pooled after ``--pooled-hops`` propagations of the features over the graph (``task.pooled_hops``), by
default one; 0, as in the StructComp paper, pools features as they are. Losses that take edges (COLES) take those
between clusters; with ``--inner-edges``, as in the paper, those inside of them, too (``task.inner_edges``). A form that
fails, say for want of memory, has ``failed`` in its row, and the others go on.
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
        smaller = "--full-graph-nodes" if setting.loss in ALL_PAIRS else "--nodes"
        raise GraphkitError(
            f"{setting.loss} in the form {setting.form} {how}; name a smaller {smaller}, or leave it out of --losses"
        )
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def attempt(setting: Setting, nodes: int) -> Result:
    """Trains in a process of its own; returns what it took, or why it failed: other forms still count then."""
    print(f"training {METHODS[setting.loss].title}, {FORMS[setting.form]}, {nodes:,} nodes …", file=sys.stderr)
    try:
        return alone(setting)
    except GraphkitError as error:
        print(error, file=sys.stderr)
        return {"failed": str(error)}


def compare(loss: str, sizes: Result, setting: Setting, full_graph_epochs: int | None) -> Result:
    """Trains both forms of a loss, in turn; returns what they took, and how many times more the full graph did."""
    found: Result = {"graph": sizes}
    for form in FORMS:
        epochs = setting.epochs if form == "compressed" else full_graph_epochs
        found[form] = attempt(replace(setting, loss=loss, form=form, epochs=epochs), sizes["nodes"])
    failed = any("failed" in found[form] for form in FORMS)
    for ratio, key in (("time", "seconds"), ("cpu_time", "cpu_seconds"), ("memory", "memory_mib")):
        found[f"ratio_{ratio}"] = None if failed else found["full_graph"][key] / max(found["compressed"][key], 1e-9)
    return found


def step_at_full_size(row: Result, whole: Setting, nodes: int, limit: float) -> Result:
    """Returns the seconds of one step of a loss over all pairs on the full graph: of `nodes`, not of the smaller one.

    Args:
        row: of `compare` on the smaller graph.
        whole: the setting of the full graph, with the loss.
        nodes: of the full graph.
        limit: the step is taken if it should end within so many seconds, by the square of the nodes; else estimated.
    """
    small = row["full_graph"]
    if "failed" in small:
        return {"failed": small["failed"]}
    estimate = small["seconds"] / small["steps"] * (nodes / row["graph"]["nodes"]) ** 2
    if estimate <= limit:
        found = attempt(replace(whole, form="full_graph", epochs=1, splits=0), nodes)
        if "failed" not in found:
            return {"seconds": found["seconds"] / found["steps"], "measured": True}
    return {"seconds": estimate, "measured": False}


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
            found[loss] = compare(loss, sizes[nodes], settings[nodes], options.epochs)
            if loss in reduced:
                whole = replace(settings[options.nodes], loss=loss)
                found[loss]["compressed_whole"] = attempt(whole, options.nodes)
                found[loss]["step_at_full_size"] = step_at_full_size(
                    found[loss], whole, options.nodes, options.step_limit
                )
    compared = [loss for loss in losses if found[loss]["ratio_time"] is not None]
    if not compared:
        row = found[losses[0]]
        raise GraphkitError(next(row[form]["failed"] for form in FORMS if "failed" in row[form]))
    first = "sce" if "sce" in compared else compared[0]
    return {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "torch": torch.__version__},
        "graph": {**sizes[options.nodes], "noise": options.noise, "seed": options.seed},
        "pooled_hops": options.pooled_hops,
        "inner_edges": options.inner_edges,
        "losses": found,
        "ratios_are_of": first,
        "ratio_time": found[first]["ratio_time"],
        "ratio_memory": found[first]["ratio_memory"],
        "accuracies": {
            loss: {
                **{form: row[form].get("accuracy_mean") for form in FORMS},
                "no_training": _untrained(row),
            }
            for loss, row in found.items()
        },
        "seconds": time.perf_counter() - start,
        "bars": {
            "label": "full graph / compressed",
            "heights": {
                METHODS[loss].title: {"time": found[loss]["ratio_time"], "memory": found[loss]["ratio_memory"]}
                for loss in compared
            },
        },
    }


def show(result: Result, out: TextIO) -> None:
    """Prints the table."""
    graph = result["graph"]
    print(
        f"{graph['nodes']:,} nodes, {graph['edges']:,} edges, {graph['features']} features, {graph['communities']:,} "
        f"communities of {graph['classes']} classes; seconds with partition, MiB above the loaded graph; features are "
        f"propagated {result['pooled_hops']} times over the graph before clusters pool them (pooled_hops; 0 pools them "
        "as they are)",
        file=out,
    )
    print(
        f"{'':22}{'nodes':>9}{'clusters':>10}{'epochs':>8}{'seconds':>10}{'CPU s':>9}{'MiB':>9}{'accuracy':>18}",
        file=out,
    )
    for loss, row in result["losses"].items():
        title = METHODS[loss].title
        for form in (*FORMS, "compressed_whole"):
            if form in row:
                print(_line(f"{title}, {FORMS.get(form, 'compressed')}", row[form]), file=out)
        ratios = ", ".join(f"{name} {shown(row[f'ratio_{name}'])}" for name in ("time", "cpu_time", "memory"))
        print(f"{'':4}full graph / compressed: {ratios.replace('_', ' ')}", file=out)
        untrained = ", ".join(f"{name} {value:.4f}" for name, value in (_untrained(row) or {}).items())
        print(f"{'':4}no training: {untrained or '-'}", file=out)
    for loss, row in result["losses"].items():
        if "step_at_full_size" in row:
            print(_all_pairs(loss, row, graph["nodes"]), file=out)


def main() -> int:
    """Measures and prints."""
    made = parser(__doc__)
    made.add_argument("--nodes", type=int, default=200_000, help="of the graph (default: 200,000)")
    made.add_argument("--edges", type=int, default=5_000_000, help="undirected (default: 5,000,000)")
    made.add_argument("--features", type=int, default=128, help="of a node (default: 128)")
    made.add_argument(
        "--noise",
        type=float,
        default=4.0,
        help="of features; with 2, three hops without training are right on nearly every node (default: 4)",
    )
    made.add_argument("--losses", default=",".join(METHODS), help="names, separated by commas (default: all)")
    made.add_argument(
        "--pooled-hops",
        type=int,
        default=1,
        help="how often features are propagated before clusters pool them; 0 pools them as they are (default: 1)",
    )
    made.add_argument(
        "--inner-edges", action="store_true", help="for COLES: count edges inside of clusters as well, as loops"
    )
    made.add_argument("--clusters", type=int, help="of the graph (default: a 50th of its nodes)")
    made.add_argument("--partition", help="metis, heavy_edge or random (default: by the number of edges)")
    made.add_argument("--epochs", type=int, help="(default: those of StructComp's release, 50 of SCE and 20 of others)")
    made.add_argument(
        "--compressed-epochs",
        type=int,
        metavar="N",
        help="of the compressed form alone (default: as many as the other's)",
    )
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
    made.add_argument(
        "--step-limit",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="take a full-graph step of such a loss at the full size if it should end within so many, else estimate it "
        "(default: 120)",
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
    for option, value, least in (
        ("--epochs", options.epochs, 1),
        ("--compressed-epochs", options.compressed_epochs, 1),
        ("--clusters", options.clusters, 2),
    ):
        if value is not None and value < least:
            raise GraphkitError(f"{option} is {value}; give at least {least}, or leave it out for the default")
    return names


def _setting(nodes: int, graph: str, options: argparse.Namespace) -> Setting:
    """Returns the setting of a graph of so many nodes, with as many clusters a node as the options ask for."""
    clusters = options.nodes // 50 if options.clusters is None else options.clusters
    return Setting(
        loss="",
        form="compressed",
        graph=graph,
        clusters=max(2, round(clusters * nodes / options.nodes)),
        partition=options.partition,
        epochs=options.epochs if options.compressed_epochs is None else options.compressed_epochs,
        dim=options.dim,
        splits=options.splits,
        threads=options.threads,
        seed=options.seed,
        pooled_hops=options.pooled_hops,
        inner_edges=options.inner_edges,
    )


def _untrained(row: Result) -> dict[str, float] | None:
    """Returns the probe of features without training, from whichever form did not fail."""
    return next((row[form]["no_training"] for form in ("compressed", "full_graph") if "failed" not in row[form]), None)


def _all_pairs(loss: str, row: Result, nodes: int) -> str:
    """Says why a loss over all pairs of nodes is compared on a smaller graph."""
    why = (
        f"{METHODS[loss].title} compares all pairs of nodes, in blocks: not memory but time grows with their square, "
        f"and its forms are compared on {row['graph']['nodes']:,} nodes"
    )
    step = row["step_at_full_size"]
    if "failed" in step:
        return why
    how = "measured" if step["measured"] else f"estimated from {row['graph']['nodes']:,} nodes"
    return f"{why}; one step on the full graph of {nodes:,} takes {step['seconds']:,.1f} s ({how})"


def _line(title: str, row: Result) -> str:
    if "failed" in row:
        return f"{title:22}failed: {row['failed']}"
    sizes = row["partition"]
    accuracy = f"{row['accuracy_mean']:.4f} ± {row['accuracy_std']:.4f}"
    return (
        f"{title:22}{sizes['nodes']:9,}{sizes['clusters']:10,}{row['steps']:8,}{row['seconds']:10.2f}{row['cpu_seconds']:9.2f}"
        f"{row['memory_mib']:9,.0f}{accuracy:>18}"
    )


if __name__ == "__main__":
    sys.exit(main())
