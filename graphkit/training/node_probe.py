"""How embeddings of nodes are judged in training: a linear probe of few labels, beside features without training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from graphkit.errors import GraphkitError
from graphkit.evaluation import linear_probe, no_training
from graphkit.nodes.graph import NodeGraph
from graphkit.nodes.splits import NodeSplit, mask_splits, random_splits

#: Random splits are the same in every run, whatever its seed, so that runs may be compared.
SPLIT_SEED = 0


class NodeProbe:
    """Probes embeddings of a graph's nodes over splits of their labels.

    Args:
        graph: the graph; without labels nothing is probed.
        splits: S; 0 = nothing is probed.
        labels_per_class: of random splits, to train on, all others being for testing; None = the first S of the
            graph's own masks.

    Raises:
        GraphkitError: a number is out of range, a class has too few labels, or the graph has no masks.
    """

    def __init__(self, graph: NodeGraph, *, splits: int = 50, labels_per_class: int | None = 20) -> None:
        if splits < 0:
            raise GraphkitError(f"task.splits is {splits}, and 0 (no probe) or more is needed")
        if labels_per_class is not None and labels_per_class < 1:
            raise GraphkitError(
                f"task.labels_per_class is {labels_per_class}, and at least 1 is needed; null takes the graph's masks"
            )
        self.graph, self.number, self.labels_per_class = graph, splits, labels_per_class
        if self.possible:
            self.splits(1)  # before anything is trained

    @property
    def possible(self) -> bool:
        """Whether there are labels, and splits are wanted."""
        y = self.graph.y
        return self.number > 0 and y is not None and bool((y >= 0).any())

    def splits(self, number: int) -> list[NodeSplit]:
        """Returns the first splits, at most so many."""
        if self.labels_per_class is None:
            return mask_splits(self.graph)[:number]
        return random_splits(self.graph.y, number=number, per_class=self.labels_per_class, seed=SPLIT_SEED)

    def measure(self, adjacency: Tensor, embeddings: Iterable[Tensor]) -> dict[str, Any]:
        """Probes embeddings, and features after 0 to 3 hops.

        Args:
            adjacency: Â, sparse CSR float32[N, N].
            embeddings: float32[N, D] of each encoder; one is looked at at a time.

        Returns:
            ``accuracy_mean`` and ``accuracy_std`` over all encoders and splits together (the deviation is that of the
            population), ``splits``, ``encoders``, and ``no_training``, the mean of each of X, AX, A2X and A3X.
        """
        splits, y = self.splits(self.number), self.graph.y
        results = [linear_probe(each, y, splits) for each in embeddings]
        accuracies = torch.cat([torch.from_numpy(result.accuracies) for result in results])
        untrained = no_training(self.graph.x, adjacency, y, splits)
        return {
            "accuracy_mean": float(accuracies.mean()),
            "accuracy_std": float(accuracies.std(correction=0)),
            "splits": len(splits),
            "encoders": len(results),
            "no_training": {name: result.mean for name, result in untrained.items()},
        }
