"""Triples as users hold them (arrays, Arrow tables, pandas frames, tuples), turned into id arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from graphkit.errors import GraphkitError
from graphkit.graph.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd

#: What `KnowledgeGraph.from_triples` takes for a split.
Triples: TypeAlias = Union[NDArray[Any], pa.Table, "pd.DataFrame", Iterable[tuple[Any, Any, Any]]]


@dataclass(frozen=True)
class EncodedSplits:
    """Triples of all splits as ids, with the vocabularies that number them."""

    #: int64[M, 3] a split
    ids: dict[str, NDArray[np.int64]]
    entities: Vocabulary | None
    relations: Vocabulary | None


def encode_triples(
    parts: dict[str, Triples], entities: Vocabulary | None, relations: Vocabulary | None
) -> EncodedSplits:
    """Numbers the labels of all splits, in order of first appearance where no vocabulary is given.

    Raises:
        GraphkitError: a split is not made of three columns, mixes ids and labels, or has a label out of vocabulary.
    """
    tables = {name: three_columns(part, name) for name, part in parts.items()}
    filled = [table for table in tables.values() if len(table)]
    if all(table.dtype.kind in "iu" for table in filled):
        ids = {name: np.ascontiguousarray(table, dtype=np.int64) for name, table in tables.items()}
        return EncodedSplits(ids, entities, relations)
    if any(table.dtype.kind in "iu" for table in filled):
        raise GraphkitError("one split has integer ids and another labels; give all splits in one form")
    if entities is None:
        entities = Vocabulary.numbered(np.concatenate([table[:, [0, 2]].ravel() for table in filled]).tolist())
    if relations is None:
        names = np.concatenate([table[:, 1] for table in filled]).tolist()
        relations = Vocabulary.numbered(names, kind="relation")
    ids = {}
    for name, table in tables.items():
        ends = entities.ids(table[:, [0, 2]].ravel().tolist()).reshape(-1, 2)
        ids[name] = np.stack([ends[:, 0], relations.ids(table[:, 1].tolist()), ends[:, 1]], axis=1)
    return EncodedSplits(ids, entities, relations)


def three_columns(triples: Triples, split: str) -> NDArray[Any]:
    """Returns the split as an array [M, 3] of integers or of Python strings."""
    table = _as_array(triples)
    if table.size == 0:
        return np.empty((0, 3), dtype=np.int64)
    if table.ndim != 2 or table.shape[1] != 3:
        raise GraphkitError(
            f"the {split} triples have shape {table.shape}, and (M, 3) with columns head, relation, tail is needed"
        )
    if table.dtype.kind in "iu":
        return table
    values: NDArray[Any] = table.astype(object)
    if all(isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in values.flat):
        try:
            return values.astype(np.int64)
        except OverflowError:
            raise GraphkitError(f"the {split} triples have an id beyond 64 bits; number the ids from 0") from None
    for value in values.flat:
        if not isinstance(value, str):
            raise GraphkitError(
                f"the {split} triples hold {value!r} of type {type(value).__name__}; heads, relations and tails must "
                "all be integers or all be strings"
            )
    return values


def _as_array(triples: Triples) -> NDArray[Any]:
    if isinstance(triples, pa.Table):
        columns = [column.to_numpy() for column in triples.columns[:3]]
        return np.stack(columns, axis=1) if columns else np.empty((0, 3))
    if hasattr(triples, "iloc"):
        # Only the three columns: another of a different type would turn ids into floats.
        return np.asarray(triples.iloc[:, :3].to_numpy())
    if isinstance(triples, np.ndarray):
        return triples
    return np.array([tuple(triple) for triple in triples], dtype=object)
