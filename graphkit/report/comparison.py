"""What runs measured, beside each other: the table, the bars, and the pictures against the compression ratio."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphkit.report.axes import Axis
from graphkit.report.charts import Bar, Series, bar_chart, key, line_chart
from graphkit.report.markup import Element, element
from graphkit.report.runs import NodeRun

_READING = (
    "Accuracy: a linear probe, mean ± standard deviation over its splits and, where there are several, encoders. "
    "No training: the same probe on features as they are (X), and propagated once, twice and three times (ÂX …). "
    "Full graph: trained on all nodes in every step. Seconds: wall time of one encoder, partition included. MiB: peak "
    "anonymous memory of the process while it trained, with the graph and the libraries."
)

#: What the picture of the accuracies shows, for those who do not see it.
_BARS = "Accuracy of the probe on features without training, and on the embeddings of each run"

#: What is drawn against the compression ratio.
_PANELS: tuple[tuple[str, Callable[[NodeRun], float | None]], ...] = (
    ("accuracy of the probe", lambda run: None if run.accuracy is None else run.accuracy.mean),
    ("seconds of an encoder, partition included", lambda run: run.seconds),
    ("peak anonymous memory, MiB", lambda run: run.peak_anon_mib),
)


def results(runs: Sequence[NodeRun]) -> list[Element]:
    """Returns the table of accuracy, time and memory, rows without training first, and a picture of the accuracies."""
    rows: list[Element] = []
    figures: list[Element] = []
    graphs = _by_graph(runs)
    for graph, group in graphs.items():
        if len(graphs) > 1:
            rows.append(element("tr", element("th", graph, colspan="4"), class_="group"))
        rows += _rows(group, named=len(runs) > 1)
        heading = [element("h3", graph)] if len(graphs) > 1 else []
        bars = _bars(group, _styles(runs))
        if bars:
            figures.append(element("figure", *heading, bar_chart(bars, _PANELS[0][0], _BARS)))
    head = element("tr", *(element("th", text) for text in ("", "accuracy", "seconds", "MiB")))
    table = element("table", element("thead", head), element("tbody", *rows))
    left = element("div", element("div", table, class_="wide"), element("p", _READING, class_="note"))
    return [
        element("h2", "Accuracy, time and memory"),
        element("div", left, element("div", *figures), class_="panels"),
    ]


def against_ratio(runs: Sequence[NodeRun]) -> list[Element]:
    """Returns the picture of accuracy, time and memory against clusters by nodes, where there is something to compare.

    Panels share the axis; runs on full graphs, which have no ratio, are levels across. One ratio alone makes no line.
    """
    compressed = [run for run in runs if not run.full_graph]
    if len({run.ratio for run in compressed}) < 2:
        return []
    x = Axis.fitting("clusters / nodes", [run.ratio for run in compressed])
    untrained = _best_untrained(runs)
    figures = []
    for title, value in _PANELS:
        series = [_series(family, runs, value) for family in _styles(runs)]
        if untrained is not None and title == _PANELS[0][0]:
            series.append(Series(None, levels=[untrained[1]]))
        shown = [number for one in series for number in (*(y for _, y in one.points), *one.levels)]
        if not shown:
            continue
        drawn = line_chart(series, x, Axis.fitting(title, shown), f"{title}, against clusters by nodes")
        figures.append(element("figure", drawn))
    return [
        element("h2", "Against the compression ratio"),
        element("div", *figures, class_="panels"),
        _legend(runs, untrained),
    ]


def _rows(runs: Sequence[NodeRun], *, named: bool) -> list[Element]:
    """Returns the rows of one graph."""
    rows = [
        _row(element("th", f"no training, {title}"), str(accuracy), "–", "–")
        for title, accuracy in runs[0].no_training.items()
    ]
    for run in runs:
        heading = element("th", f"{run.loss}, {run.form}", *([element("small", run.name)] if named else []))
        rows.append(_row(heading, str(run.accuracy or "–"), _seconds(run.seconds), f"{run.peak_anon_mib:,.0f}"))
    return rows


def _row(heading: Element, *cells: str) -> Element:
    return element("tr", heading, *(element("td", cell) for cell in cells))


def _bars(runs: Sequence[NodeRun], styles: dict[str, int]) -> list[Bar]:
    bars = [Bar(f"no training, {title}", accuracy) for title, accuracy in runs[0].no_training.items()]
    for run in runs:
        form = "full graph" if run.full_graph else f"{run.clusters:,} clusters"
        if run.accuracy is not None:
            bars.append(Bar(f"{run.loss}, {form}", run.accuracy, styles[_family(run)]))
    return bars


def _series(family: str, runs: Sequence[NodeRun], value: Callable[[NodeRun], float | None]) -> Series:
    found = [(run, value(run)) for run in runs if _family(run) == family]
    points = sorted((run.ratio, number) for run, number in found if number is not None and not run.full_graph)
    levels = [number for run, number in found if number is not None and run.full_graph]
    return Series(_styles(runs)[family], points, levels)


def _legend(runs: Sequence[NodeRun], untrained: tuple[str, float] | None) -> Element:
    entries = []
    for family, style in _styles(runs).items():
        forms = {run.full_graph for run in runs if _family(run) == family}
        if False in forms:
            entries.append(element("li", key(style), family))
        if True in forms:
            entries.append(element("li", key(style, dashed=True), f"{family}, full graph"))
    if untrained is not None:
        entries.append(element("li", key(None, dashed=True), f"no training, {untrained[0]}"))
    return element("ul", *entries, class_="legend")


def _best_untrained(runs: Sequence[NodeRun]) -> tuple[str, float] | None:
    """Returns the best features without training and their accuracy, where all runs are on one graph."""
    found = runs[0].no_training
    if len(_by_graph(runs)) > 1 or not found:
        return None
    best = max(found, key=lambda title: found[title].mean)
    return best, found[best].mean


def _by_graph(runs: Sequence[NodeRun]) -> dict[str, list[NodeRun]]:
    """Returns the runs of each graph: by loss, full graphs before compressed ones, few clusters before many."""
    grouped: dict[str, list[NodeRun]] = {}
    for run in sorted(runs, key=lambda run: (run.graph, run.loss, not run.full_graph, run.clusters, run.name)):
        grouped.setdefault(run.graph, []).append(run)
    return grouped


def _family(run: NodeRun) -> str:
    """Returns the line of a run in pictures: runs that, as a rule, differ in the number of clusters alone."""
    return f"{run.loss} on {run.graph}"


def _styles(runs: Sequence[NodeRun]) -> dict[str, int]:
    return {family: i for i, family in enumerate(sorted({_family(run) for run in runs}))}


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
