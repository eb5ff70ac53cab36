"""What finished runs say of themselves, for the scripts that record them."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from graphkit.errors import GraphkitError
from graphkit.training import Run


def read(folder: str) -> dict[str, Any]:
    """Returns the metrics, settings, environment and validation curve of a run.

    Raises:
        GraphkitError: no run, or one that has not finished.
    """
    run = Run.open(folder)
    metrics = run.folder / "metrics.json"
    if not metrics.is_file():
        raise GraphkitError(f"{folder} is not finished: it has no metrics.json; run graphkit train resume={folder}")
    measured = json.loads(metrics.read_text())
    curve = [
        {"samples": entry["samples_per_second"] * entry["seconds"]}
        | {key.removeprefix("valid/"): value for key, value in entry.items() if key.startswith("valid/")}
        for entry in run.history()
        if "valid/mrr" in entry
    ]
    return {"name": run.folder.name, "config": run.config, "environment": run.environment, "curve": curve, **measured}


def head(title: str, runs: list[dict[str, Any]], protocol: str) -> str:
    """Returns the head of a page of results: date, machine, protocol and commands."""
    environment = runs[0]["environment"]
    lines = [run["environment"]["command"] for run in runs]
    commands = "\n".join(shlex.join([*Path(line[0]).name.split(), *line[1:]]) for line in lines)
    revisions = ", ".join(f"{run['name']} {_revision(run)}" for run in runs)
    return f"""# {title}, {date.today().isoformat()}

Machine: {environment["cpus"]} cores, {environment["platform"]}; torch {environment["packages"]["torch"]}, Python
{environment["python"]}. {protocol} Wall times were taken on a machine that was not
always idle; CPU times are of all threads. Code at: {revisions}.

```
{commands}
```
"""


def record(
    described: str,
    *,
    measured: str,
    table: Callable[[list[dict[str, Any]]], str],
    page: Callable[[list[dict[str, Any]], str], str],
    draw: Callable[[list[dict[str, Any]], Path], None],
) -> int:
    """Reads the runs that the command line names, and writes or prints their record.

    Args:
        described: what the script does, for its help.
        measured: the key of ``metrics.json`` that it is about.
        table: of the runs, for the terminal.
        page: of the runs, with the name of the picture.
        draw: draws the picture.
    """
    parser = argparse.ArgumentParser(description=described.split("\n", maxsplit=1)[0])
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs")
    parser.add_argument("--out", metavar="NAME", help="write NAME.md and NAME.svg")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    try:
        runs = [read(folder) for folder in options.runs]
        for run in runs:
            if measured not in run:
                raise GraphkitError(
                    f"{run['name']} has no {measured!r} in its metrics.json; give a run of another task"
                )
    except GraphkitError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({run["name"]: {key: run[key] for key in (measured, "train", "curve")} for run in runs}))
        return 0
    if options.out is None:
        print(table(runs))
        return 0
    out = Path(options.out)
    draw(runs, out.with_suffix(".svg"))
    out.with_suffix(".md").write_text(page(runs, out.with_suffix(".svg").name), encoding="utf-8")
    return 0


def _revision(run: dict[str, Any]) -> str:
    found = run["environment"]["git_revision"]
    return found[:10] if found else "(not from a checkout)"


def costs(run: dict[str, Any]) -> list[str]:
    """Returns the cells of a run's steps, wall seconds, CPU seconds and peak of anonymous memory in MiB."""
    return [f"{run['train'][key]:,.0f}" for key in ("steps", "seconds", "cpu_seconds", "peak_anon_mib")]
