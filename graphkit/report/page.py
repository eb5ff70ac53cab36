"""The page of a report: one HTML file that needs nothing beside it, no scripts, no fonts, no pictures."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from graphkit.atomic import write_text
from graphkit.errors import GraphkitError
from graphkit.report.comparison import against_ratio, results
from graphkit.report.details import details
from graphkit.report.markup import element
from graphkit.report.projection import project
from graphkit.report.runs import NodeRun, read_run

#: Nodes that the projections of a page draw, all together, and each at least.
_POINTS = 3000
_LEAST_POINTS = 500


def write_report(folders: Sequence[str | Path], out: str | Path | None = None, *, overwrite: bool = False) -> Path:
    """Writes what node runs measured as one HTML page.

    Args:
        folders: of finished runs; several are compared.
        out: the file to write; ``report.html`` in the folder of the run, where there is one run alone.
        overwrite: replace an existing file.

    Returns:
        The file.

    Raises:
        GraphkitError: a folder is no run, has not finished, is no node run, is damaged or is named twice; the file
            exists, or cannot be written.
    """
    resolved = [Path(folder).resolve() for folder in folders]
    for folder, path in zip(folders, resolved, strict=True):
        if resolved.count(path) > 1:
            raise GraphkitError(f"the run {folder} is named more than once; name each run once")
    if out is None and len(folders) > 1:
        raise GraphkitError(f"a report of {len(folders)} runs belongs to no one's folder; say --out FILE.html")
    runs = [read_run(folder) for folder in folders]
    goal = Path(out) if out is not None else Path(folders[0]) / "report.html"
    if goal.is_dir():
        raise GraphkitError(f"{goal} is a folder, and a report is a file; say --out {goal / 'report.html'}")
    if goal.exists() and not overwrite:
        raise GraphkitError(f"{goal} exists already; say --out with another file, or --overwrite")
    write_text(goal, page(runs))
    return goal


def page(runs: Sequence[NodeRun]) -> str:
    """Returns the page of a report on some runs."""
    title = _title(runs)
    css = resources.files("graphkit.report").joinpath("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", css),
    )
    most = max(_LEAST_POINTS, _POINTS // len(runs))
    alone = len(runs) == 1
    body = element(
        "body",
        element("h1", title),
        element("p", _lead(runs), class_="note"),
        *results(runs),
        *against_ratio(runs),
        *(part for run in runs for part in details(run, project(run.folder, most=most), alone=alone)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _title(runs: Sequence[NodeRun]) -> str:
    losses, graphs = sorted({run.loss for run in runs}), sorted({run.graph for run in runs})
    return f"{', '.join(losses)} on {', '.join(graphs)}"


def _lead(runs: Sequence[NodeRun]) -> str:
    if len(runs) > 1:
        return f"{len(runs)} runs of graphkit, each with its settings below."
    run = runs[0]
    trained = "the full graph" if run.full_graph else f"{run.clusters:,} clusters ({run.ratio:.3g} of the nodes)"
    probed = f"probed on {run.splits:,} splits" if run.splits else "not probed: its labels are not known"
    return f"{run.nodes:,} nodes; trained on {trained}; {run.encoders:,} encoder{'s' * (run.encoders > 1)}, {probed}."
