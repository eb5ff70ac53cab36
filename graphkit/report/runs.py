"""Finished node runs, as a report needs them: what their folders say, checked."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from graphkit.errors import GraphkitError
from graphkit.training import Run
from graphkit.training.run import resume_word

#: How the features that the probe is fitted to without any training are written.
UNTRAINED = {"X": "X", "AX": "ÂX", "A2X": "Â²X", "A3X": "Â³X"}


@dataclass(frozen=True)
class Accuracy:
    """Accuracies of a linear probe: mean and population standard deviation over splits (and encoders)."""

    mean: float
    std: float = math.nan

    def __str__(self) -> str:
        return f"{self.mean:.4f}" if math.isnan(self.std) else f"{self.mean:.4f} ± {self.std:.4f}"


@dataclass(frozen=True)
class NodeRun:
    """One finished run of the task `contrastive`."""

    folder: Path
    config: dict[str, Any]
    metrics: dict[str, Any]
    history: list[dict[str, Any]]
    environment: dict[str, Any]
    nodes: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.resolve().name

    @property
    def graph(self) -> str:
        """What its graph is called: its name, or that of its folder."""
        graph = self.config["graph"]
        if graph.get("name"):
            return str(graph["name"])
        return Path(graph["path"]).name if graph.get("path") else target_name(graph).replace("_", " ")

    @property
    def loss(self) -> str:
        """The name of its loss."""
        return target_name(self.config["loss"])

    @property
    def full_graph(self) -> bool:
        """Whether it trained on all nodes rather than on clusters."""
        return bool(self.config["trainer"].get("form") == "full_graph")

    @property
    def form(self) -> str:
        """What it trained on, in words."""
        return "full graph" if self.full_graph else f"compressed, {self.clusters:,} clusters"

    @property
    def clusters(self) -> int:
        """Rows that a step on everything would have."""
        return int(self.metrics["partition"]["clusters"])

    @property
    def ratio(self) -> float:
        """Clusters by nodes."""
        return self.clusters / self.nodes

    @property
    def accuracy(self) -> Accuracy | None:
        """Of the probe on its embeddings; None where the graph has no labels, or none was asked for."""
        probe = self.metrics.get("probe")
        return None if probe is None else Accuracy(float(probe["accuracy_mean"]), float(probe["accuracy_std"]))

    @property
    def no_training(self) -> dict[str, Accuracy]:
        """Of the probe on features as they are, and propagated once, twice and three times."""
        found = self.metrics.get("probe", {}).get("no_training", {})
        return {title: Accuracy(float(found[key])) for key, title in UNTRAINED.items() if key in found}

    @property
    def splits(self) -> int:
        """On how many splits the probe was fitted."""
        return int(self.metrics["probe"]["splits"]) if "probe" in self.metrics else 0

    @property
    def encoders(self) -> int:
        """How many it trained, one after the other; a smaller budget of steps trains fewer than it was to."""
        return 1 + max((int(entry.get("train/encoder", 0)) for entry in self.history), default=0)

    @property
    def seconds(self) -> float:
        """Wall seconds that an encoder takes, with all of the partition, which the encoders of a run share."""
        return self._each("seconds")

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of the same."""
        return self._each("cpu_seconds")

    @property
    def partition_seconds(self) -> float:
        """Wall seconds of the partition."""
        return float(self.metrics["train"]["partition_seconds"])

    @property
    def peak_anon_mib(self) -> float:
        """The peak of anonymous memory while it trained: of the whole process, graph and libraries included."""
        return float(self.metrics["train"]["peak_anon_mib"])

    def loss_curves(self) -> list[list[tuple[int, float]]]:
        """Returns of each encoder its own step and the loss then, as often as it was logged."""
        curves: dict[int, list[tuple[int, float]]] = {}
        for entry in self.history:
            curves.setdefault(int(entry["train/encoder"]), []).append((int(entry["step"]), float(entry["train/loss"])))
        # What was logged first of an encoder is its first step, or one soon after.
        return [[(step - curve[0][0] + 1, loss) for step, loss in curve] for curve in curves.values()]

    def _each(self, key: str) -> float:
        train = self.metrics["train"]
        return float(train[f"partition_{key}"]) + float(train[key]) / self.encoders


def target_name(group: Any) -> str:
    """Returns the last part of what a group of the configuration names."""
    return str(group.get("_target_", "?") if isinstance(group, dict) else "?").rpartition(".")[2]


def read_run(folder: str | Path) -> NodeRun:
    """Reads what a report needs of a run's folder.

    Raises:
        GraphkitError: it is no run, has not finished, is no node run, or is damaged.
    """
    run = Run.open(folder)
    path = run.folder / "metrics.json"
    if not path.is_file():
        raise GraphkitError(
            f"the run {folder} has not finished: it has no metrics.json; finish it with graphkit train "
            f"{resume_word(folder)}"
        )
    metrics, config = _metrics(path), run.config
    if not config:
        raise GraphkitError(
            f"the run {folder} was made by the library without a configuration, and a report compares settings; train "
            "it with graphkit train experiment=structcomp, or read its metrics.json"
        )
    if "partition" not in metrics:
        raise GraphkitError(
            f"the run {folder} is of the task {target_name(config.get('task'))}, and a report knows node runs alone "
            f"(task=contrastive); graphkit evaluate {shlex.quote(str(folder))} measures this one"
        )
    nodes = embeddings_file(run.folder).metadata.num_rows
    return NodeRun(run.folder, config, metrics, run.history(), run.environment, nodes)


def embeddings_file(folder: Path) -> pq.ParquetFile:
    """Opens the embeddings of a run.

    Raises:
        GraphkitError: they are missing or damaged.
    """
    path = folder / "embeddings.parquet"
    try:
        return pq.ParquetFile(path)
    except (OSError, ValueError):
        raise damaged(path) from None


def damaged(path: Path) -> GraphkitError:
    """Returns what to tell a user whose run lacks a part."""
    return GraphkitError(f"{path} is missing or damaged; restore it from a copy, or train again with another run_dir")


def _metrics(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise damaged(path) from None
