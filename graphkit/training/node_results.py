"""Embeddings of nodes as a file that any tool for tables reads."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from graphkit.atomic import write_error
from graphkit.graph import Vocabulary

#: Reals that are written together.
_REALS_AT_ONCE = 1 << 24


def write_embeddings(path: Path, embeddings: Tensor, ids: Vocabulary | None = None) -> None:
    """Writes embeddings as Parquet, whole or not at all.

    Args:
        path: the file; one that is there is replaced.
        embeddings: float32[N, D].
        ids: the user's ids; None = the numbers of the nodes.

    The column ``id`` holds the ids (text, or int64), ``embedding`` lists of D float32 each.

    Raises:
        GraphkitError: the file cannot be written.
    """
    rows, width = embeddings.shape
    names = pa.array(np.arange(rows)) if ids is None else ids.labels
    schema = pa.schema({"id": names.type, "embedding": pa.list_(pa.float32(), width)})
    part = path.with_name(f".{path.name}.part-{os.getpid()}")
    step = max(1, _REALS_AT_ONCE // width)
    try:
        with pq.ParquetWriter(part, schema) as writer:
            for first in range(0, rows, step):
                values = embeddings[first : first + step].contiguous().numpy().reshape(-1)
                lists = pa.FixedSizeListArray.from_arrays(pa.array(values), width)
                writer.write_batch(pa.record_batch([names.slice(first, step), lists], schema=schema))
        part.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        part.unlink(missing_ok=True)
