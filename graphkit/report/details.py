"""What there is to show of one run: its settings, its loss, its embeddings on the plane."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphkit.report.axes import Axis
from graphkit.report.charts import Series, class_styles, key, line_chart, scatter
from graphkit.report.markup import Element, element
from graphkit.report.projection import Projection
from graphkit.report.runs import NodeRun, target_name


def details(run: NodeRun, projection: Projection, *, alone: bool) -> list[Element]:
    """Returns the section of a run; its heading is its name, unless it stands alone."""
    listed = [part for name, value in settings(run) for part in (element("dt", name), element("dd", value))]
    program, *words = run.environment["command"]
    command = " ".join([Path(program).name, *map(quoted, words)])  # Hydra says "graphkit train" in one
    said = element("div", element("h3", "Settings"), element("dl", *listed), element("p", element("code", command)))
    curves = run.loss_curves()
    figures = [said, *([_losses(curves)] if curves else []), _embeddings(projection)]
    return [element("h2", "The run" if alone else run.name), element("div", *figures, class_="panels")]


def quoted(word: str) -> str:
    """Returns a word of a command as a shell takes it, with quotes about a value alone: run_dir='my run'."""
    if shlex.quote(word) == word:
        return word
    key, equals, value = word.partition("=")
    if not equals or shlex.quote(key) != key:
        key, equals, value = "", "", word
    readable = "'" in value and not set(value) & set('"$`\\!')  # shlex would write '"'"' for each
    return f'{key}{equals}"{value}"' if readable else f"{key}{equals}{shlex.quote(value)}"


def settings(run: NodeRun) -> list[tuple[str, str]]:
    """Returns names and values of the settings that a reader of the figures asks for."""
    config = run.config
    listed = {
        "graph": f"{run.graph}, {run.nodes:,} nodes",
        "loss": _described(config["loss"]),
        "encoder": _described(config["model"]),
        "optimiser": _described(config["optimizer"]),
        "epochs": config["trainer"].get("max_epochs"),
        "encoders": run.encoders,
        "probe": _probe(config["task"], run.splits) if run.splits else "none",
        "partition": None if run.full_graph else _partition(run),
        "seed": config.get("seed"),
        "machine": f"{run.environment['cpus']} cores, {run.environment['platform']}",
        "torch": run.environment["packages"]["torch"],
    }
    return [(name, str(value)) for name, value in listed.items() if value is not None]


def _described(group: dict[str, Any]) -> str:
    """Returns what a group makes, with its settings."""
    given = {key: value for key, value in group.items() if key != "_target_" and value is not None}
    keywords = [f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in given.items()]
    return ", ".join([target_name(group), *keywords])


def _probe(task: dict[str, Any], splits: int) -> str:
    each = task.get("labels_per_class")
    return f"{splits:,} {'splits of the graph' if each is None else f'random splits, {each} labels a class'}"


def _partition(run: NodeRun) -> str:
    found = run.metrics["partition"]
    asked = found.get("asked", run.clusters)  # older runs do not say
    parts = (
        f"{found['method']}, {run.clusters:,} clusters ({run.ratio:.3g} of the nodes)",
        *([f"{asked:,} were asked for"] if asked != run.clusters else []),
        *([] if found["cut"] is None else [f"{found['cut']:.1%} of edges cut"]),
        f"the largest {found['balance']:.2f} times the mean",
        f"{run.partition_seconds:.2f} s",
    )
    return ", ".join(parts)


def _losses(curves: Sequence[Sequence[tuple[int, float]]]) -> Element:
    x = Axis.even("step of the encoder", [step for curve in curves for step, _ in curve], whole=True)
    y = Axis.fitting("loss", [loss for curve in curves for _, loss in curve])
    series = [Series(0, curve, marked=False) for curve in curves]
    drawn = line_chart(series, x, y, "Loss of each encoder against its steps", height=300.0)
    count = "One encoder." if len(curves) == 1 else f"{len(curves)} encoders, a line each."
    return element("figure", element("h3", "Loss"), drawn, element("figcaption", count))


def _embeddings(projection: Projection) -> Element:
    drawn, nodes = len(projection.points), projection.nodes
    said = f"{nodes:,} nodes" if drawn == nodes else f"{drawn:,} of {nodes:,} nodes, drawn at random"
    styles = class_styles(projection)
    entries = [element("li", key(style), name) for name, style in styles.items() if name and style is not None]
    if any(styles[label] is None for label in projection.labels or []):
        entries.append(element("li", key(None), "other classes, or none"))
    return element(
        "figure",
        element("h3", "Embeddings"),
        scatter(projection, "Embeddings on their first two principal components"),
        *([element("ul", *entries, class_="legend")] if entries else []),
        element("figcaption", f"{said}, on the first two principal components."),
    )
