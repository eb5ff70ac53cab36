"""The linear probe: logistic regression on frozen embeddings, over many splits of the labels.

The protocol of StructComp (Zhang et al., ICLR 2024) and of those before it: one-vs-rest, L2, liblinear, C = 1, features
as they are; the mean and the population deviation over the splits.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphkit.errors import GraphkitError
from graphkit.nodes.propagation import hop_features

if TYPE_CHECKING:
    from graphkit.nodes.splits import NodeSplit

#: The share of entries other than 0 below which embeddings are taken as sparse: liblinear walks over these alone, and
#: on Cora's features after three hops (0.39) a probe takes half as long.
SPARSE_BELOW = 0.5
#: What a probe learns from without training: features after 0, 1, 2 and 3 hops.
UNTRAINED = ("X", "AX", "A2X", "A3X")


@dataclass(frozen=True)
class ProbeResult:
    """How well a linear classifier reads labels off embeddings."""

    accuracies: NDArray[np.float64]  #: float64[S], the share of right answers on the test side of each split
    unconverged: int  #: classifiers (one for each split and class) that met `max_iter`

    @property
    def mean(self) -> float:
        """The mean over the splits."""
        return float(self.accuracies.mean())

    @property
    def std(self) -> float:
        """The population deviation over the splits."""
        return float(self.accuracies.std())


def linear_probe(
    embeddings: Tensor, y: Tensor, splits: Sequence[NodeSplit], *, c: float = 1.0, max_iter: int = 400
) -> ProbeResult:
    """Fits a classifier to the training side of each split, and counts what it gets right on the test side.

    Nodes without a label are on neither side. A test node whose class no training node has counts as wrong.

    Args:
        embeddings: float32[N, D]; taken as sparse where most entries are 0.
        y: int64[N], classes; -1 = no label.
        splits: at least one.
        c: the inverse weight of the L2 penalty.
        max_iter: iterations of a fit; those that end there are counted in the result, and warned of.

    Returns:
        The accuracy on each split.

    Raises:
        GraphkitError: embeddings that are not finite or not N rows, no splits, a side without labelled nodes, or a
            training side of one class.
    """
    _check(embeddings, y, splits)
    rows = _rows(embeddings)
    labels = y.numpy()
    accuracies, unconverged = np.empty(len(splits)), 0
    for number, split in enumerate(splits):
        train, test = (_labelled(side, labels, number, name) for side, name in _sides(split))
        classes, weights, biases, short = _fit(rows[train], labels[train], number, c=c, max_iter=max_iter)
        unconverged += short
        scores = np.asarray(rows @ weights.T.astype(np.float32))[test] + biases
        accuracies[number] = np.mean(classes[scores.argmax(axis=1)] == labels[test])
    if unconverged:
        warnings.warn(
            f"{unconverged} classifiers of a linear probe did not converge in {max_iter} iterations", stacklevel=2
        )
    return ProbeResult(accuracies, unconverged)


def no_training(
    x: Tensor, adjacency: Tensor, y: Tensor, splits: Sequence[NodeSplit], *, c: float = 1.0, max_iter: int = 400
) -> dict[str, ProbeResult]:
    """Probes the features themselves, after 0, 1, 2 and 3 hops: what any trained embedding has to be compared with.

    Args:
        x: float32[N, F].
        adjacency: sparse CSR float32[N, N], Â of `graphkit.nodes.propagation.normalized`.
        y: int64[N], classes; -1 = no label.
        splits: as in `linear_probe`.
        c: as in `linear_probe`.
        max_iter: as in `linear_probe`.

    Returns:
        A result for each of X, AX, A2X and A3X.
    """
    hops = hop_features(adjacency, x, len(UNTRAINED) - 1)
    return {
        name: linear_probe(features, y, splits, c=c, max_iter=max_iter)
        for name, features in zip(UNTRAINED, hops, strict=True)
    }


def _check(embeddings: Tensor, y: Tensor, splits: Sequence[NodeSplit]) -> None:
    if embeddings.shape[:1] != y.shape:
        raise GraphkitError(
            f"the probe got {len(embeddings)} embeddings and {len(y)} labels; give one label for each (-1 for none)"
        )
    if not splits:
        raise GraphkitError("the probe got no splits; give at least one")
    finite = torch.isfinite(embeddings).all(dim=1)
    if not finite.all():
        row = int(finite.logical_not().nonzero()[0])
        raise GraphkitError(
            f"the embedding of node {row} is not finite ({int(finite.logical_not().sum())} of {len(y)} are not); "
            "look for NaN in the features, or lower optimizer.lr"
        )


def _rows(embeddings: Tensor) -> Any:
    """Returns the embeddings as numpy's, or as scipy's CSR where most entries are 0."""
    from scipy.sparse import csr_array

    rows = embeddings.detach().numpy()
    return csr_array(rows) if np.count_nonzero(rows) < SPARSE_BELOW * rows.size else rows


def _sides(split: NodeSplit) -> tuple[tuple[Tensor, str], tuple[Tensor, str]]:
    return (split.train, "training"), (split.test, "test")


def _labelled(side: Tensor, labels: NDArray[np.int64], number: int, name: str) -> NDArray[np.int64]:
    nodes: NDArray[np.int64] = side.numpy()
    nodes = nodes[labels[nodes] >= 0]
    if not len(nodes):
        raise GraphkitError(f"the {name} side of split {number} has no labelled node; at least one is needed")
    return nodes


def _fit(
    rows: Any, labels: NDArray[np.int64], number: int, *, c: float, max_iter: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], int]:
    """Fits one classifier to each class.

    Returns:
        int64[C] classes; float64[C, D] weights; float64[C] biases; how many classifiers met `max_iter`.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    if (labels == labels[0]).all():
        raise GraphkitError(
            f"the training side of split {number} has nodes of class {labels[0]} alone; at least 2 classes are needed"
        )
    probe = OneVsRestClassifier(LogisticRegression(solver="liblinear", C=c, max_iter=max_iter))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # counted below
        probe.fit(rows.astype(np.float64), labels)
    fits = probe.estimators_
    short = sum(int(fit.n_iter_.max()) >= max_iter for fit in fits)
    weights, biases = np.concatenate([fit.coef_ for fit in fits]), np.concatenate([fit.intercept_ for fit in fits])
    if len(fits) == 1:  # of two classes, one classifier is the other turned round
        weights, biases = np.concatenate([-weights, weights]), np.concatenate([-biases, biases])
    return probe.classes_, weights, biases, short
