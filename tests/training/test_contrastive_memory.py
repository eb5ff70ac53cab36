"""What a step of contrastive training takes of memory."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from contrastive_tasks import DIM, LOSSES, encoder_of
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from graphkit.models import GCNEncoder, SGCEncoder
from graphkit.nodes import Partition, planted_communities
from graphkit.training import ContrastiveTask


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of what torch makes while it is on, and still is alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {part.untyped_storage()._cdata for part in tree_flatten((args, kwargs))[0] if _strided(part)}
        out = func(*args, **(kwargs or {}))
        for part in tree_flatten(out)[0]:
            if not _strided(part):
                continue
            storage = part.untyped_storage()
            if storage._cdata not in given and storage._cdata not in self._seen:
                self._seen.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._let_go, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return out

    def _let_go(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def _strided(part: Any) -> bool:
    return isinstance(part, Tensor) and part.layout == torch.strided


def step_bytes(task: ContrastiveTask) -> int:
    """The most bytes that tensors of one step take, beside what was there before it."""
    batches = task.batches()
    task.step(next(batches))
    task.step(next(batches))
    batch = next(batches)
    gc.collect()
    with LiveBytes() as live:
        task.step(batch)
    task.close()
    return live.peak


@pytest.mark.parametrize("loss", LOSSES)
def test_memory_of_a_step_does_not_depend_on_nodes_or_edges_once_they_are_pooled(loss: str) -> None:
    """With a second view, the ids of kept members come with the batch; their features are read, not copied."""
    peaks = []
    for nodes, edges in ((240, 300), (240, 6000), (960, 6000)):
        graph = planted_communities(nodes=nodes, edges=edges, features=32, communities=8, classes=2)
        clusters = Partition.of(torch.arange(nodes) % 24)
        task = ContrastiveTask(
            graph, encoder_of(graph, loss), loss=LOSSES[loss](), partition=clusters, epochs=4, labels_per_class=5
        )
        peaks.append(step_bytes(task))
    # What the negatives or the edges between 24 clusters take differs by their number alone.
    assert max(peaks) <= 1.15 * min(peaks), peaks


@pytest.mark.parametrize("loss", LOSSES)
def test_memory_of_a_step_grows_with_clusters_and_columns(loss: str) -> None:
    graph = planted_communities(nodes=960, edges=2000, features=16, communities=8, classes=2)
    peaks = {}
    for clusters, dim in ((64, 32), (256, 32), (256, 128)):
        encoder = (SGCEncoder if loss in ("sce", "coles") else GCNEncoder)(16, dim=dim)
        made_loss = type(LOSSES[loss]())(dim=dim)
        partition = Partition.of(torch.arange(960) % clusters)
        task = ContrastiveTask(graph, encoder, loss=made_loss, partition=partition, epochs=4, labels_per_class=5)
        peaks[clusters, dim] = step_bytes(task)
    views = 2 if loss in ("cca_ssg", "grace") else 1
    for (clusters, dim), peak in peaks.items():
        rows = 4 * views * clusters * (16 + dim)  # n'(d + D) reals of each view
        # The block of pairs that GRACE holds, what a random graph of 5 draws takes, weights with gradients and moments.
        pairs = 4 * (2 * clusters) ** 2 if loss == "grace" else 0
        other = 2 * pairs + 60 * 10 * clusters + 4 * 8 * dim * (dim + 16)
        assert rows / 2 < peak < 8 * rows + other, (clusters, dim, peak)


def test_the_full_graph_takes_memory_for_all_nodes() -> None:
    graph = planted_communities(nodes=960, edges=2000, features=16, communities=8, classes=2)
    shared: dict[str, Any] = {"loss": LOSSES["sce"](), "epochs": 4, "labels_per_class": 5}
    compressed = ContrastiveTask(graph, SGCEncoder(16, dim=DIM), clusters=48, partition="random", **shared)
    full = ContrastiveTask(graph, SGCEncoder(16, dim=DIM), form="full_graph", **shared)
    assert step_bytes(full) > 10 * step_bytes(compressed)
