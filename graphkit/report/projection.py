"""Embeddings projected to the plane by principal components, a sample of the nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from graphkit.report.runs import damaged, embeddings_file

#: Rows that are read at a time.
_BLOCK = 4096


@dataclass(frozen=True)
class Projection:
    """Nodes on the plane."""

    points: NDArray[np.float64]  #: float64[S, 2]
    labels: list[str] | None  #: of each point, "" where it has none; None where no node of the run has one
    explained: tuple[float, float]  #: shares of the sample's variance
    nodes: int  #: how many there are to draw from


def project(folder: Path, *, most: int, seed: int = 0) -> Projection:
    """Projects the embeddings of a run on their first two principal components.

    Args:
        folder: of the run; ``embeddings.parquet`` is read in blocks, so that a large one costs no memory.
        most: nodes to draw, uniformly and without replacement, where there are more. The components are those of
            the drawn ones.
        seed: of the draw.

    Raises:
        GraphkitError: the embeddings are damaged.
    """
    file = embeddings_file(folder)
    nodes = file.metadata.num_rows
    drawn = np.arange(nodes)
    if nodes > most:
        drawn = np.sort(np.random.default_rng(seed).choice(nodes, most, replace=False))
    columns = ["embedding", *(["label"] if "label" in file.schema_arrow.names else [])]
    rows, first = [], 0
    labels: list[object] = []
    try:
        for batch in file.iter_batches(_BLOCK, columns=columns):
            inside = drawn[(first <= drawn) & (drawn < first + len(batch))] - first
            first += len(batch)
            taken = batch.take(pa.array(inside))
            embedding = taken.column(0)
            rows.append(np.asarray(embedding.flatten(), dtype=np.float64).reshape(len(inside), -1))
            labels += taken.column(1).to_pylist() if len(columns) > 1 else []
    except (OSError, ValueError, KeyError):
        raise damaged(folder / "embeddings.parquet") from None
    points, explained = principal_components(np.concatenate(rows))
    return Projection(points, _shown(labels), explained, nodes)


def principal_components(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Returns rows on their first two principal components, and the shares of variance that these explain.

    The sign of a component is that which makes its largest weight positive, so that a picture repeats.

    Args:
        rows: float64[S, D].
    """
    centred = rows - rows.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :2]
    axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0))
    points = centred @ axes
    if points.shape[1] < 2:
        points = np.column_stack([points, np.zeros(len(points))])
    total = max(float(variances.sum()), np.finfo(np.float64).tiny)
    shares = [*np.clip(variances[::-1][:2] / total, 0.0, 1.0), 0.0]
    return points, (float(shares[0]), float(shares[1]))


def _shown(labels: list[object]) -> list[str] | None:
    """Returns labels as texts; those below zero and null say that a node has none."""
    texts = ["" if label is None or (isinstance(label, int) and label < 0) else str(label) for label in labels]
    return texts if any(texts) else None
