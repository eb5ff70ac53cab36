"""Trains one form of one contrastive loss in a process of its own, and prints what it took; for compressed_training.py.

    python benchmarks/node_training.py '{"graph": "FOLDER", "loss": "sce", "form": "compressed", ...}'

The folder holds x.npy, edge_index.npy and y.npy. The last line of the output is one JSON object.
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.losses import CCASSG, COLES, GRACE, SCE, ContrastiveLoss
from graphkit.models import Encoder, GCNEncoder, SGCEncoder
from graphkit.nodes import NodeGraph, planted_communities
from graphkit.training import ContrastiveTask, Run, Schedule, Trainer
from graphkit.training.memory import MemoryWatch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
#: Nodes of the graph that is trained on first, to load libraries and start threads.
_WARM_UP = 400


@dataclass(frozen=True)
class Method:
    """A loss, with the encoder and the epochs that StructComp was released with."""

    title: str
    loss: type[ContrastiveLoss]
    encoder: Callable[..., Encoder]
    epochs: int


METHODS = {
    "sce": Method("SCE", SCE, partial(SGCEncoder, hops=2), 50),
    "coles": Method("COLES", COLES, partial(SGCEncoder, hops=2), 20),
    "cca_ssg": Method("CCA-SSG", CCASSG, partial(GCNEncoder, layers=2), 20),
    "grace": Method("GRACE", GRACE, partial(GCNEncoder, layers=1), 20),
}


@dataclass(frozen=True)
class Setting:
    """What to train, and how."""

    #: a key of METHODS
    loss: str
    #: compressed | full_graph
    form: str
    #: the folder of the graph's arrays
    graph: str
    clusters: int
    #: how clusters are made; None = by the number of edges
    partition: str | None
    #: None = those of the method
    epochs: int | None
    dim: int
    #: of the probe; 0 = no probe
    splits: int
    threads: int
    seed: int
    #: how often features are propagated before they are pooled
    pooled_hops: int = 0
    #: whether a loss that takes edges takes those inside of clusters, too
    inner_edges: bool = True


def save_graph(graph: NodeGraph, folder: Path) -> None:
    """Writes the arrays of a graph, for processes that load it."""
    for name in ("x", "edge_index", "y"):
        np.save(folder / f"{name}.npy", graph[name].numpy())


def load_graph(folder: Path) -> NodeGraph:
    """Reads a graph into memory."""
    return NodeGraph.of(
        Data(**{name: torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("x", "edge_index", "y")})
    )


class PeakMemory:
    """Measures how far memory rises while a block runs, in MiB: what the kernel notes, where it may be asked to.

    The mark of the kernel is of all resident pages. Those of files are the libraries, which lie there before where the
    same work has been done once; where the mark cannot be set back, anonymous pages are sampled instead.
    """

    def __init__(self) -> None:
        self.before = self.rise = 0.0
        self.measured_by = "VmHWM"
        self._watch = MemoryWatch()

    def __enter__(self) -> PeakMemory:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before must not hide what is taken now
        with MemoryWatch() as watch:
            pass
        self.before = watch.peak_anon_mib
        try:
            _CLEAR.write_text("5")
        except OSError:
            self.measured_by = "samples of anonymous pages"
        self._resident = _status("VmRSS")
        self._watch.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._watch.__exit__(*error)
        sampled = self._watch.peak_anon_mib - self.before
        self.rise = _status("VmHWM") - self._resident if self.measured_by == "VmHWM" else sampled


def train(graph: NodeGraph, setting: Setting) -> tuple[ContrastiveTask, Trainer, PeakMemory]:
    """Trains as `graphkit train` does; returns what did, and the memory that it took."""
    method = METHODS[setting.loss]
    task = ContrastiveTask(
        graph,
        method.encoder(graph.x.shape[1], dim=setting.dim),
        loss=method.loss(dim=setting.dim),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3, weight_decay=5e-4),
        seed=setting.seed,
        form=setting.form,
        epochs=method.epochs if setting.epochs is None else setting.epochs,
        clusters=setting.clusters,
        partition=setting.partition,
        pooled_hops=setting.pooled_hops,
        inner_edges=setting.inner_edges,
        splits=setting.splits,
    )
    with tempfile.TemporaryDirectory() as folder, PeakMemory() as memory:
        schedule = Schedule(max_steps=task.steps, checkpoint_every=task.steps, threads=setting.threads)
        trainer = Trainer(task, Run.create(Path(folder) / "run"), schedule)
        trainer.fit()
    return task, trainer, memory


def measure(setting: Setting) -> dict[str, Any]:
    """Trains after a short warm-up; returns times in seconds, memory in MiB, and accuracies if probed."""
    train(planted_communities(nodes=_WARM_UP, edges=4 * _WARM_UP), replace(setting, clusters=_WARM_UP // 8, epochs=2))
    graph = load_graph(Path(setting.graph))
    task, trainer, memory = train(graph, setting)
    start = time.perf_counter()
    measured = task.measure()
    probe, spent = measured.get("probe"), measured["train"]
    return {
        "seconds": spent["partition_seconds"] + trainer.progress.seconds,
        "cpu_seconds": spent["partition_cpu_seconds"] + trainer.progress.cpu_seconds,
        **spent,
        "steps": trainer.progress.step,
        "memory_mib": memory.rise,
        "memory_measured_by": memory.measured_by,
        "loaded_anon_mib": memory.before,
        "embed_and_probe_seconds": time.perf_counter() - start,
        **({key: probe[key] for key in ("accuracy_mean", "accuracy_std", "splits", "no_training")} if probe else {}),
        "partition": measured["partition"],
    }


def main() -> int:
    """Reads a setting, trains and prints."""
    try:
        setting = Setting(**json.loads(sys.argv[1]))
        torch.set_num_threads(setting.threads)
        print(json.dumps(measure(setting)))
    except GraphkitError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _status(key: str) -> float:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[key].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
