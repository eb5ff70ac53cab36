"""Which labelled nodes a probe learns from and which it is judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphkit.errors import GraphkitError
from graphkit.nodes.graph import NodeGraph


@dataclass(frozen=True)
class NodeSplit:
    """One split of the labelled nodes of a graph."""

    #: int64[·]: nodes whose labels are learnt from, ascending.
    train: Tensor
    #: int64[·]: nodes that the probe is judged by, ascending; none is in train.
    test: Tensor


def random_splits(y: Tensor, *, number: int = 50, per_class: int = 20, seed: int = 0) -> list[NodeSplit]:
    """Returns splits with equally many training nodes of each class, drawn at random; all others are for testing.

    The protocol of 20 labels a class without validation nodes: Shchur et al. 2018, "Pitfalls of graph neural network
    evaluation", section 3, without its validation nodes. Split i depends on the seed and on i alone.

    Args:
        y: int64[N]: the class of each node; nodes with -1 are in neither part.
        number: S: how many splits.
        per_class: training nodes of each class.
        seed: of the draws.

    Raises:
        GraphkitError: no labels, a class without enough of them, or an option that is no positive number.
    """
    for what, value in (("the number of splits", number), ("per_class", per_class)):
        if value < 1:
            raise GraphkitError(f"{what} is {value}; at least 1 is needed")
    labelled = (y >= 0).nonzero().flatten()
    if not len(labelled):
        raise GraphkitError("no node has a label; splits need labels, so give y (or import with --labels)")
    classes = [(y == number).nonzero().flatten() for number in torch.unique(y[labelled]).tolist()]
    fewest = min(classes, key=len)
    if len(fewest) <= per_class:
        raise GraphkitError(
            f"class {int(y[fewest[0]])} has {len(fewest)} labelled nodes, and splits need {per_class} to train and at "
            f"least one more to test; take fewer (task.labels_per_class={len(fewest) - 1}), or label more nodes"
        )
    splits = []
    for place in range(number):
        generator = torch.Generator().manual_seed(_seed_of(seed, place))
        drawn = [nodes[torch.randperm(len(nodes), generator=generator)[:per_class]] for nodes in classes]
        train = torch.cat(drawn).sort().values
        testing = y >= 0
        testing[train] = False
        splits.append(NodeSplit(train, testing.nonzero().flatten()))
    return splits


def mask_splits(graph: NodeGraph) -> list[NodeSplit]:
    """Returns the splits that a graph brings along: one of each column of ``train_mask`` and ``test_mask``.

    Nodes without a label are left out. Where only one of the two has several columns, the other serves all of them.

    Raises:
        GraphkitError: the graph has no such masks or no labels, the two have different numbers of columns, or a
            column has no labelled node or shares one with the other mask.
    """
    train, test, y = graph.get("train_mask"), graph.get("test_mask"), graph.get("y")
    name = graph.name or "the graph"
    if train is None or test is None or y is None:
        lacking = [key for key, part in (("train_mask", train), ("test_mask", test), ("y", y)) if part is None]
        raise GraphkitError(
            f"{name} has no {' and no '.join(lacking)}, so it has no splits of its own; draw random ones "
            "(task.labels_per_class=20), or give it masks"
        )
    columns = [mask[:, None] if mask.dim() == 1 else mask for mask in (train, test)]
    widths = {mask.size(1) for mask in columns}
    if len(widths - {1}) > 1:
        raise GraphkitError(
            f"train_mask of {name} has {columns[0].size(1)} splits and test_mask {columns[1].size(1)}; they must agree"
        )
    number = max(widths)
    labelled = y >= 0
    splits = []
    for place in range(number):
        parts = [(mask[:, min(place, mask.size(1) - 1)] & labelled).nonzero().flatten() for mask in columns]
        for key, part in zip(("train_mask", "test_mask"), parts, strict=True):
            if not len(part):
                raise GraphkitError(f"split {place} of {key} of {name} has no labelled node; mend the mask")
        both = columns[0][:, min(place, columns[0].size(1) - 1)] & columns[1][:, min(place, columns[1].size(1) - 1)]
        if bool((both & labelled).any()):
            node = int((both & labelled).nonzero()[0])
            raise GraphkitError(
                f"node {node} of {name} is in train_mask and in test_mask of split {place}; take it out of one"
            )
        splits.append(NodeSplit(*parts))
    return splits


def _seed_of(seed: int, place: int) -> int:
    """Returns a seed for one split that no other (seed, place) shares but by chance."""
    return int(np.random.SeedSequence([seed, place]).generate_state(1, np.uint64)[0] >> 1)
