"""Trains encoders on compressed nodes and on full graphs, by four losses, and records them beside no training.

    python benchmarks/structcomp.py --runs runs/structcomp --out benchmarks/results/NAME

writes NAME.md, a table for each graph, and NAME.svg, a sweep over numbers of clusters on the first graph. Every figure
comes from ``graphkit train`` in a process of its own, one after the other, all with as many threads. A run that has
finished is not trained again, as long as its settings are the same: its folder's name ends in a hash of them all. One
that was interrupted is trained anew, since its memory would be that of its last session. ``--json`` prints the figures
as one JSON object instead. On Cora there are ten encoders and 50 random splits, elsewhere three and ten, by the graph's
own masks where it has some.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import bars

from graphkit.cli.compose import compose_and_run
from graphkit.errors import GraphkitError
from graphkit.report.runs import NodeRun, read_run

GRAPHS = ("cora", "citeseer", "minesweeper", "squirrel_filtered", "chameleon_filtered")
#: Graphs whose published splits are their own.
MASKED = frozenset({"minesweeper", "squirrel_filtered", "chameleon_filtered"})
METHODS = {"sce": "SCE", "coles": "COLES", "cca_ssg": "CCA-SSG", "grace": "GRACE"}
#: Accuracies on Cora that were measured with StructComp's released scripts: 50 splits, one layer of GRACE.
RELEASE = {"SCE": 0.8147, "COLES": 0.8140, "CCA-SSG": 0.8118, "GRACE": 0.7910}
#: As many layers as GRACE's untrained rows have hops; one is what StructComp was released with.
MORE_LAYERS = {"grace": (2, 3)}
#: Clusters of the sweep, as shares of the nodes.
SWEEP = (0.02, 0.05, 0.11, 0.2, 0.4)
QUICK_SWEEP = (0.05, 0.2)
FORMS = {"full_graph": "full graph", "compressed": "compressed"}


@dataclass(frozen=True)
class Wanted:
    """One run: what it is of, and the line that trains it."""

    graph: str
    method: str
    layers: int | None
    form: str
    share: float | None  #: clusters by nodes, in the sweep
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called; a hash of its settings follows in the name of its folder."""
        layers = "" if self.layers is None else f"-{self.layers}-layers"
        return f"{self.graph}-{self.method}{layers}-{self.form if self.share is None else f'{self.share:g}'}"


def table_runs(graphs: Sequence[str], methods: Sequence[str], *, quick: bool) -> list[Wanted]:
    """Returns the runs of the tables: every loss in both forms."""
    runs = []
    for graph in graphs:
        for method in methods:
            more = MORE_LAYERS.get(method, ()) if graph == "cora" and not quick else ()
            for layers in (None, *more):
                deeper = [] if layers is None else [f"model.layers={layers}"]
                for form in FORMS:
                    words = [*settings(graph, method, quick=quick), *deeper, f"trainer={form}"]
                    runs.append(Wanted(graph, method, layers, form, None, tuple(words)))
    return runs


def sweep_runs(graph: str, nodes: int, methods: Sequence[str], *, quick: bool) -> list[Wanted]:
    """Returns the runs of the sweep over numbers of clusters."""
    runs = []
    for method in methods:
        for share in QUICK_SWEEP if quick else SWEEP:
            words = [*settings(graph, method, quick=quick), f"task.clusters={max(2, round(share * nodes))}"]
            words += [] if quick else ["task.encoders=3"]
            runs.append(Wanted(graph, method, None, "compressed", share, tuple(words)))
    return runs


def settings(graph: str, method: str, *, quick: bool) -> list[str]:
    """Returns the words that both forms of a loss share on a graph: those of the release but for the graph's size."""
    words = [f"experiment=structcomp_cora_{method}", f"graph={graph}"]
    if graph != "cora":
        words += ["task.clusters=null", "task.encoders=3", "task.splits=10"]
    if graph in MASKED:
        words.append("task.labels_per_class=null")
    if quick:
        words += ["task.encoders=1", "task.splits=2", "trainer.max_epochs=2", "model.dim=16"]
    return words


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Trains what is missing, and returns all figures.

    Raises:
        GraphkitError: a loss is unknown, or a run cannot be trained.
    """
    graphs, methods = options.graphs.split(","), options.losses.split(",")
    for method in methods:
        if method not in METHODS:
            raise GraphkitError(f"--losses names {method!r}, and some of {', '.join(METHODS)} are needed")
    if options.threads < 1:
        raise GraphkitError(f"--threads is {options.threads}; give at least 1")

    def finished(runs: list[Wanted]) -> dict[Wanted, NodeRun]:
        return {run: finish(run, options.runs, options.threads) for run in runs}

    found = finished(table_runs(graphs, methods, quick=options.quick))
    nodes = next(iter(found.values())).nodes
    swept = sweep_runs(graphs[0], nodes, methods, quick=options.quick)
    return {"threads": options.threads, **collect(found | finished(swept))}


def finish(run: Wanted, folder: Path, threads: int) -> NodeRun:
    """Returns a run, trained with so many threads where it is not there yet.

    Raises:
        GraphkitError: it cannot be trained.
    """
    words = [*run.words, f"trainer.threads={threads}"]
    goal = folder / f"{run.name}-{settings_hash(words)}"
    if not (goal / "metrics.json").is_file():
        print(f"training {goal.name} …", file=sys.stderr)
        train([*words, f"run_dir={goal}", *(["overwrite=true"] if goal.exists() else [])])
    return read_run(goal)


def settings_hash(words: Sequence[str]) -> str:
    """Returns eight hex digits of all settings that a line composes to, with what the YAML files say now.

    Raises:
        GraphkitError: the line is wrong.
    """
    composed: list[dict[str, Any]] = []

    def keep(config: dict[str, Any], _: str) -> int:
        composed.append(config)
        return 0

    compose_and_run(words, keep)
    return hashlib.sha256(json.dumps(composed, sort_keys=True).encode()).hexdigest()[:8]


def train(words: list[str]) -> None:
    """Runs ``graphkit train`` in a process of its own, so that its memory is its own.

    Raises:
        GraphkitError: it did not end well.
    """
    command = [sys.executable, "-m", "graphkit", "train", *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"})
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it printed nothing"]
        raise GraphkitError(f"{shlex.join(['graphkit', 'train', *words])} ended with {done.returncode}: {last[0]}")


def figures(run: NodeRun) -> dict[str, Any]:
    """Returns what is recorded of a run; seconds are of one encoder, with all of the partition."""
    accuracy = run.accuracy
    assert accuracy is not None  # these graphs have labels
    return {
        "accuracy_mean": accuracy.mean,
        "accuracy_std": accuracy.std,
        "encoders": run.encoders,
        "splits": run.splits,
        "clusters": run.clusters,
        "nodes": run.nodes,
        "seconds": run.seconds,
        "cpu_seconds": run.cpu_seconds,
        "partition_seconds": run.partition_seconds,
        "peak_anon_mib": run.peak_anon_mib,
    }


def collect(runs: dict[Wanted, NodeRun]) -> dict[str, Any]:
    """Returns the figures of all runs, by graph, method and form."""
    result: dict[str, Any] = {"graphs": {}, "sweep": {}}
    for run, found in runs.items():
        title = METHODS[run.method] + ("" if run.layers is None else f", {run.layers} layers")
        if run.share is not None:
            result["sweep"].setdefault(title, []).append(figures(found))
            continue
        graph = result["graphs"].setdefault(run.graph, {"no_training": _untrained(found), "methods": {}})
        row = graph["methods"].setdefault(title, {"hops": _hops(found)})
        row[FORMS[run.form]] = figures(found)
    environments = [found.environment for found in runs.values()]
    machines = [
        {"cpus": each["cpus"], "platform": each["platform"], "torch": each["packages"]["torch"]}
        for each in environments
    ]
    result["machines"] = [machine for i, machine in enumerate(machines) if machine not in machines[:i]]
    result["git_revisions"] = list(dict.fromkeys(each["git_revision"] for each in environments))
    return result


def table(name: str, graph: dict[str, Any]) -> str:
    """Returns the Markdown table of a graph."""
    untrained = list(graph["no_training"].values())
    some = next(iter(graph["methods"].values()))["compressed"]
    lines = [
        f"## {name}: {some['nodes']:,} nodes, {some['clusters']:,} clusters, {some['encoders']} "
        f"encoder{'s' * (some['encoders'] > 1)} × {some['splits']} splits",
        "",
        "No training: " + ", ".join(f"{title} {value:.4f}" for title, value in graph["no_training"].items()) + ".",
        "",
        "| loss | no training, as many hops | full graph | s | MiB | compressed | s (partition) | MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for title, row in graph["methods"].items():
        hops = row["hops"]
        plain = f"{untrained[hops]:.4f} ({hops})" if hops < len(untrained) else "–"
        lines.append(f"| {title} | {plain} | {_cells(row['full graph'])} | {_cells(row['compressed'])} |")
    if name == "cora":
        lines += ["", *beside_release(graph["methods"])]
    return "\n".join(lines)


def beside_release(methods: dict[str, Any]) -> list[str]:
    """Returns the lines of a Markdown table of compressed training on Cora beside StructComp's release."""
    lines = [
        "Standard error: the standard deviation over encoders and splits, by the root of the number of splits alone, "
        "since encoders share the splits and the partition.",
        "",
        "| loss | compressed, mean over encoders | standard error | release | within one standard error, or above |",
        "|---|---|---|---|---|",
    ]
    for title, release in RELEASE.items():
        if title in methods:
            row = methods[title]["compressed"]
            mean, error = row["accuracy_mean"], row["accuracy_std"] / math.sqrt(row["splits"])
            within = "yes" if mean >= release - error else "no"
            lines.append(f"| {title} | {mean:.4f} | {error:.4f} | {release:.4f} | {within} |")
    return lines


def page(result: dict[str, Any], picture: str, command: str) -> str:
    """Returns the Markdown page."""
    machines = "; ".join(
        f"{each['cpus']} cores, {each['platform']}, torch {each['torch']}" for each in result["machines"]
    )
    revisions = ", ".join(revision or "(not from a checkout)" for revision in result["git_revisions"])
    tables = "\n\n".join(table(name, graph) for name, graph in result["graphs"].items())
    swept = next(iter(result["graphs"]))
    return f"""# Contrastive training on compressed nodes, {date.today().isoformat()}

Machine: {machines}. Threads of every run: {result["threads"]}. Code at: {revisions}.

```
{command}
```

Accuracy: one-vs-rest logistic regression on frozen embeddings, mean ± standard deviation over encoders and splits.
Seconds: wall time of one encoder, partition included, on a machine that was not always idle. MiB: peak anonymous memory
of the process while it trained, libraries and graph included. No training: the same probe on propagated features; each
loss stands beside the features of as many hops as its encoder has (in brackets).

{tables}

## Accuracy, time and memory against clusters / nodes, {swept}

![accuracy, seconds and memory against the compression ratio]({picture})

Lines across: training on the full graph; dotted: the best features without training. Three encoders a point.
"""


def draw(result: dict[str, Any], path: Path) -> None:
    """Draws accuracy, seconds and memory against clusters by nodes; full graphs are levels."""
    plot = bars.pyplot()
    graph = next(iter(result["graphs"].values()))
    panels = {"accuracy_mean": "accuracy of the probe", "seconds": "seconds of an encoder", "peak_anon_mib": "MiB"}
    figure, row = plot.subplots(1, len(panels), figsize=(9.6, 3.2), layout="constrained", sharex=True)
    for axes, (key, title) in zip(row, panels.items(), strict=True):
        for i, (method, points) in enumerate(result["sweep"].items()):
            points = sorted(points, key=lambda point: int(point["clusters"]))
            ratios = [point["clusters"] / point["nodes"] for point in points]
            axes.plot(ratios, [point[key] for point in points], "o-", color=f"C{i}", markersize=4, label=method)
            axes.axhline(graph["methods"][method]["full graph"][key], color=f"C{i}", linestyle="--", linewidth=1)
        if key == "accuracy_mean":
            axes.axhline(max(graph["no_training"].values()), color="gray", linestyle=":", label="no training, best")
        else:
            bars.logarithmic(axes, "y")
        bars.logarithmic(axes, "x")
        axes.set(title=title, xlabel="clusters / nodes")
        axes.grid(alpha=0.3)
    figure.legend(*row[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    bars.save(figure, path)
    plot.close(figure)


def _untrained(run: NodeRun) -> dict[str, float]:
    return {title: accuracy.mean for title, accuracy in run.no_training.items()}


def _hops(run: NodeRun) -> int:
    """Returns how often the run's encoder propagates features."""
    model = run.config["model"]
    return int(model["hops"] if "hops" in model else model["layers"])


def _cells(row: dict[str, Any]) -> str:
    """Returns the cells of a form of a loss."""
    partition = f" ({row['partition_seconds']:.2f})" if row["partition_seconds"] else ""
    accuracy = f"{row['accuracy_mean']:.4f} ± {row['accuracy_std']:.4f}"
    return f"{accuracy} | {row['seconds']:.2f}{partition} | {row['peak_anon_mib']:,.0f}"


def main() -> int:
    """Trains what is missing, and prints or writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=Path, required=True, metavar="DIR", help="where runs lie, and are trained into")
    parser.add_argument("--out", type=Path, metavar="NAME", help="write NAME.md and NAME.svg")
    parser.add_argument("--graphs", default=",".join(GRAPHS), help="names; the first is swept (default: all)")
    parser.add_argument("--losses", default=",".join(METHODS), help="names, separated by commas (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="trainer.threads of every run (default: 2)")
    parser.add_argument("--quick", action="store_true", help="two epochs, one encoder, two splits: for tests")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    try:
        result = measure(options)
    except GraphkitError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if options.out is not None:
        draw(result, options.out.with_suffix(".svg"))
        command = shlex.join(["python", "benchmarks/structcomp.py", *sys.argv[1:]])
        text = page(result, options.out.with_suffix(".svg").name, command)
        options.out.with_suffix(".md").write_text(text, encoding="utf-8")
    if options.json:
        print(json.dumps(result))
    elif options.out is None:
        print(f"threads of every run: {result['threads']}\n")
        print("\n\n".join(table(name, graph) for name, graph in result["graphs"].items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
