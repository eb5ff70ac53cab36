"""Embeddings of nodes as a file that any tool for tables reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from graphkit.atomic import new_file
from graphkit.errors import GraphkitError
from graphkit.graph import Vocabulary

#: Reals that are written together.
_REALS_AT_ONCE = 1 << 24


def write_embeddings(
    path: Path,
    embeddings: Tensor,
    ids: Vocabulary | None = None,
    *,
    y: Tensor | None = None,
    class_names: Sequence[str] | None = None,
) -> None:
    """Writes embeddings as Parquet, whole or not at all.

    Args:
        path: the file; one that is there is replaced.
        embeddings: float32[N, D].
        ids: the user's ids; None = the numbers of the nodes.
        y: int64[N], classes; -1 = none.
        class_names: of the classes, where they have names.

    The column ``id`` holds the ids (text, or int64), ``embedding`` lists of D float32 each, and where there are classes
    ``label`` each node's (text, or int64), or null.

    Raises:
        GraphkitError: the file cannot be written.
    """
    rows, width = embeddings.shape
    names = pa.array(np.arange(rows)) if ids is None else ids.labels
    labels = None if y is None else _labels(y, class_names)
    fields = {"id": names.type, "embedding": pa.list_(pa.float32(), width)}
    schema = pa.schema(fields if labels is None else {**fields, "label": labels.type})
    step = max(1, _REALS_AT_ONCE // width)
    with new_file(path) as part, pq.ParquetWriter(part, schema) as writer:
        for first in range(0, rows, step):
            values = embeddings[first : first + step].contiguous().numpy().reshape(-1)
            lists = pa.FixedSizeListArray.from_arrays(pa.array(values), width)
            columns = [names.slice(first, step), lists]
            columns += [] if labels is None else [labels.slice(first, step)]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def require_finite(embeddings: Tensor, whose: str) -> None:
    """Raises GraphkitError where a value is NaN or infinite."""
    if not all(math.isfinite(float(bound)) for bound in embeddings.aminmax()):  # both are NaN if a value is
        raise GraphkitError(
            f"the embeddings of {whose} have values that are not finite; train again with a lower optimizer.lr"
        )


def _labels(y: Tensor, class_names: Sequence[str] | None) -> pa.Array:
    """Returns the class of each node, null where it has none."""
    classes = y.numpy()
    numbers = pa.array(classes, mask=classes < 0)
    return numbers if class_names is None else pa.array(class_names, pa.string()).take(numbers)
