"""A run's folder: the whole truth about one training.

::

    RUN/config.yaml       every setting, resolved
    RUN/vocabulary/       the labels of the graph, where it has some
    RUN/environment.json  versions, machine, git revision, fingerprint of the graph
    RUN/metrics.jsonl     one line a log entry
    RUN/metrics.json      the final metrics
    RUN/checkpoints/      step-NNNNNNNN/ folders: weights, optimiser, positions, random states
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from graphkit.atomic import new_folder, write_text
from graphkit.checkpoint import State, load_checkpoint, save_checkpoint
from graphkit.errors import GraphkitError
from graphkit.training.task import TrainedGraph

CONFIG = "config.yaml"
_PACKAGES = (
    "graphkit",
    "torch",
    "torch_geometric",
    "numpy",
    "scikit-learn",
    "pymetis",
    "pyarrow",
    "safetensors",
    "hydra-core",
)


def resume_word(folder: str | Path) -> str:
    """Returns what graphkit train takes to resume a run, as a shell reads it: resume=FOLDER."""
    return f"resume={shlex.quote(str(folder))}"


class Run:
    """The folder of one run; make it with `create`, find it again with `open`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(
        cls,
        folder: str | Path,
        config: dict[str, Any] | None = None,
        graph: TrainedGraph | None = None,
        *,
        overwrite: bool = False,
    ) -> Run:
        """Makes the folder of a new run, whole or not at all.

        Args:
            folder: where; must not exist, unless `overwrite` says so.
            config: every setting, as plain dictionaries, lists and scalars; what `load_trained` builds from.
            graph: the graph that is trained on; its labels and fingerprint are kept.
            overwrite: replace an existing folder with all that it holds.

        Raises:
            GraphkitError: the folder exists, or cannot be written.
        """
        goal = Path(folder)
        cls.require_free(goal, overwrite=overwrite)
        with new_folder(goal, overwrite=overwrite) as part:
            (part / CONFIG).write_text(
                yaml.safe_dump(config or {}, sort_keys=False, allow_unicode=True), encoding="utf-8"
            )
            (part / "environment.json").write_text(json.dumps(_environment(graph), indent=2), encoding="utf-8")
            (part / "checkpoints").mkdir()
            if graph is not None:
                (part / "vocabulary").mkdir()
                graph.save_vocabulary(part / "vocabulary")
        return cls(goal)

    @staticmethod
    def require_free(goal: Path, *, overwrite: bool) -> None:
        """Makes sure that a run may be made there, before anything is computed for it.

        Raises:
            GraphkitError: the folder exists and `overwrite` is false, or it is no run.
        """
        if goal.exists() and not overwrite:
            raise GraphkitError(
                f"the run folder {goal} exists already; resume it with graphkit train {resume_word(goal)}, "
                "choose another run_dir, or replace it with overwrite=true"
            )
        if goal.exists() and not (goal / CONFIG).is_file():
            raise GraphkitError(
                f"{goal} exists and is no run folder (it has no {CONFIG}), so overwrite=true does not replace it; "
                "choose another run_dir"
            )

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Opens the folder of an existing run.

        Raises:
            GraphkitError: there is none.
        """
        goal = Path(folder)
        if not (goal / CONFIG).is_file():
            what = "has no config.yaml" if goal.exists() else "does not exist"
            raise GraphkitError(f"{goal} is no run folder: it {what}; name the run_dir of an earlier graphkit train")
        return cls(goal)

    @property
    def config(self) -> dict[str, Any]:
        """Every setting of the run."""
        return self._read(CONFIG, yaml.safe_load)

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, machine, git revision and the fingerprint of the graph."""
        return self._read("environment.json", json.loads)

    def require_graph(self, graph: TrainedGraph) -> None:
        """Makes sure that `graph` is the one that the run was trained on.

        Raises:
            GraphkitError: its ids differ.
        """
        # A fingerprint reads the whole graph, so it is taken once.
        trained_on, given = self.environment["graph"], graph.fingerprint
        if trained_on != given:
            raise GraphkitError(
                f"the run {self.folder} was trained on the graph {trained_on} and this graph is {given}; "
                "its ids would be mixed up, so give the graph of the run or train again"
            )

    def write_config(self, config: dict[str, Any]) -> None:
        """Replaces config.yaml, e.g. when a resumed run gets a larger budget."""
        write_text(self.folder / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

    # ---- metrics

    def log(self, entry: dict[str, Any]) -> None:
        """Appends one line to metrics.jsonl."""
        path = self.folder / "metrics.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise GraphkitError(
                f"{path} was not written: {error.strerror or error}; free some space or mend its permissions, then "
                f"graphkit train {resume_word(self.folder)}"
            ) from error

    def history(self) -> list[dict[str, Any]]:
        """Returns the entries of metrics.jsonl; a line cut short by a kill is left out."""
        path = self.folder / "metrics.jsonl"
        entries = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                entries.append(json.loads(line))
            except ValueError:
                continue
        return entries

    def rewind(self, step: int) -> None:
        """Drops the entries after `step`: a resumed run writes them again."""
        kept = [json.dumps(entry) for entry in self.history() if entry["step"] <= step]
        write_text(self.folder / "metrics.jsonl", "".join(f"{line}\n" for line in kept))
        for leftover in self.folder.glob(".*.part-*"):  # of a process that was killed while it wrote
            leftover.unlink()

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Writes metrics.json."""
        write_text(self.folder / "metrics.json", json.dumps(metrics, indent=2))

    # ---- checkpoints

    def checkpoint_steps(self) -> list[int]:
        """Returns the steps of which a whole checkpoint exists, ascending."""
        names = [re.fullmatch(r"step-(\d+)", path.name) for path in (self.folder / "checkpoints").glob("step-*")]
        return sorted(int(name[1]) for name in names if name is not None)

    def save_checkpoint(self, step: int, state: State, *, keep: Callable[[list[int]], set[int]]) -> None:
        """Saves a checkpoint, then removes those older ones that `keep` does not return."""
        folder = self._checkpoint(step)
        if not folder.exists():
            save_checkpoint(folder, state)
        steps = self.checkpoint_steps()
        for old in set(steps) - keep(steps):
            shutil.rmtree(self._checkpoint(old))
        for leftover in (self.folder / "checkpoints").glob(".*"):  # of a run that was killed while it saved
            shutil.rmtree(leftover)

    def load_checkpoint(self, step: int | None = None, *, only: tuple[str, ...] | None = None) -> State:
        """Reads a checkpoint, by default the newest.

        Raises:
            GraphkitError: there is none, or it is damaged.
        """
        steps = self.checkpoint_steps()
        if not steps:
            raise GraphkitError(
                f"the run {self.folder} has no checkpoint yet; let graphkit train {resume_word(self.folder)} make one"
            )
        return load_checkpoint(self._checkpoint(steps[-1] if step is None else step), only=only)

    def best_step(self) -> int:
        """Returns the step of the best checkpoint by validation, or of the newest where nothing was validated."""
        trainer = self.load_checkpoint(only=("trainer",))["trainer"]
        best = trainer["best_step"]
        return int(trainer["step"] if best is None else best)

    def _read(self, name: str, parse: Callable[[str], Any]) -> dict[str, Any]:
        path = self.folder / name
        try:
            return dict(parse(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, yaml.YAMLError):
            raise GraphkitError(
                f"{path} is missing or damaged; restore it from a copy, or train again with another run_dir"
            ) from None

    def _checkpoint(self, step: int) -> Path:
        return self.folder / "checkpoints" / f"step-{step:08d}"


def _environment(graph: TrainedGraph | None) -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in _PACKAGES}
    return {
        "graph": graph.fingerprint if graph is not None else None,
        "python": sys.version.split()[0],
        "packages": versions,
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "command": sys.argv,
        "git_revision": _git_revision(),
    }


def _git_revision() -> str | None:
    """Returns the revision of the working folder's checkout, or None outside of one."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
