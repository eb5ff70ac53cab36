"""Folders in the layout of finished node runs, for tests that need no training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ENVIRONMENT = {
    "graph": "0123456789abcdef",
    "python": "3.11.7",
    "packages": {"graphkit": "0.1.0", "torch": "2.13.0"},
    "platform": "Linux-6.1-x86_64",
    "cpus": 2,
    "command": ["graphkit train", "experiment=structcomp_cora_sce", "run_dir=my run"],
    "git_revision": None,
}


def write_node_run(
    folder: Path,
    *,
    graph: str = "cora",
    loss: str = "SCE",
    nodes: int = 240,
    clusters: int | None = 24,
    classes: Sequence[Any] | None = (0, 1, 2, 3),
    encoders: int = 2,
    epochs: int = 20,
    seconds: float = 8.0,
    peak: float = 600.0,
    accuracy: float = 0.8147,
    dim: int = 16,
    probed: bool = True,
    seed: int = 0,
) -> Path:
    """Writes a run that is full-graph where `clusters` is None; classes are clouds about corners of a cube."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    full = clusters is None
    # As runs have it: the cut and the balance of singletons, where all nodes are trained on.
    partition = {"method": "none", "nodes": nodes, "clusters": nodes, "cut": 1.0, "balance": 1.0}
    if not full:
        partition |= {"method": "metis", "clusters": clusters, "cut": 0.21, "balance": 1.03}
    config = {
        "task": {"_target_": "graphkit.training.ContrastiveTask", "encoders": encoders, "labels_per_class": 20},
        "graph": {"_target_": "graphkit.nodes.load", "name": graph},
        "loss": {"_target_": f"graphkit.losses.{loss}", "alpha": 20000.0, "negatives": 5},
        "model": {"_target_": "graphkit.models.SGCEncoder", "dim": dim, "hops": 2},
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.001, "weight_decay": 0.0005},
        "sampler": {"batch_size": None, "drop_rate": 0.5},
        "trainer": {"max_epochs": epochs, "form": "full_graph" if full else "compressed"},
        "seed": seed,
    }
    untrained = dict(zip(("X", "AX", "A2X", "A3X"), (0.5804, 0.7667, 0.8050, 0.8099), strict=True))
    metrics: dict[str, Any] = {
        "probe": {
            "accuracy_mean": accuracy,
            "accuracy_std": 0.0094,
            "splits": 50,
            "encoders": encoders,
            "no_training": untrained,
        },
        "partition": partition,
        "train": {
            "steps": encoders * epochs,
            "seconds": seconds,
            "cpu_seconds": 1.5 * seconds,
            "partition_seconds": 0.0 if full else 0.5,
            "partition_cpu_seconds": 0.0 if full else 0.4,
            "peak_anon_mib": peak,
        },
    }
    if not probed:
        del metrics["probe"]
    write_files(folder, config, metrics)
    entries = [
        {
            "step": step,
            "train/encoder": (step - 1) // epochs,
            "train/loss": 3.0 * np.exp(-((step - 1) % epochs) / 6) + 0.2 + 0.02 * rng.random(),
        }
        for step in range(1, encoders * epochs + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    write_embeddings(folder, nodes, classes, dim, rng)
    return folder


def write_files(folder: Path, config: dict[str, Any], metrics: dict[str, Any]) -> None:
    """Writes settings, environment and metrics."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT))
    (folder / "metrics.json").write_text(json.dumps(metrics))


def write_embeddings(
    folder: Path, nodes: int, classes: Sequence[Any] | None, dim: int, rng: np.random.Generator
) -> None:
    """Writes embeddings in clouds, a class each; without classes there is one cloud and no column of labels."""
    places = rng.integers(len(classes) if classes else 1, size=nodes)
    centres = 3.0 * rng.standard_normal((places.max() + 1, dim))
    rows = (centres[places] + rng.standard_normal((nodes, dim))).astype(np.float32)
    columns: dict[str, Any] = {
        "id": pa.array(np.arange(nodes)),
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), dim),
    }
    if classes:
        columns["label"] = pa.array([classes[place] for place in places])
    pq.write_table(pa.table(columns), folder / "embeddings.parquet")
