"""What finished runs say of themselves, for the scripts that record them."""

from __future__ import annotations

import json
import shlex
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


def _revision(run: dict[str, Any]) -> str:
    found = run["environment"]["git_revision"]
    return found[:10] if found else "(not from a checkout)"


def costs(run: dict[str, Any]) -> list[str]:
    """Returns the cells of a run's steps, wall seconds, CPU seconds and peak of anonymous memory in MiB."""
    return [f"{run['train'][key]:,.0f}" for key in ("steps", "seconds", "cpu_seconds", "peak_anon_mib")]
