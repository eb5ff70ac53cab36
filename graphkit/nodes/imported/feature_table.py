"""The features of a user's graph: which columns they are, and their rows, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from graphkit.errors import GraphkitError
from graphkit.graph import Vocabulary
from graphkit.nodes.imported.lookup import as_arrow, id_place
from graphkit.nodes.imported.tables import (
    Columns,
    archive_names,
    is_number,
    read_array,
    read_columns,
    suffix_of,
    texts_of,
)
from graphkit.nodes.npz import read_arrays

#: What the array of features in an archive is called, and that of ids.
_FEATURES = ("features", "x", "node_features")
_IDS = ("ids", "node_ids")
_BLOCK_VALUES = 1 << 22


@dataclass(frozen=True)
class FeatureTable:
    """Features as a file holds them."""

    path: Path
    #: (N, F)
    shape: tuple[int, int]
    #: Returns some rows, [·, F] of any type of real numbers; columns of a table are put together here alone.
    read_rows: Callable[[slice], NDArray[Any]]
    ids: Vocabulary | None
    #: The name of each feature, where the file has names.
    names: tuple[str, ...] | None
    layout: str

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yields all rows as float32, some at a time.

        Raises:
            GraphkitError: a value is missing, NaN or infinite, also where float32 has no such number.
        """
        nodes, width = self.shape
        rows = max(1, _BLOCK_VALUES // width)
        for start in range(0, nodes, rows):
            given = self.read_rows(slice(start, start + rows))
            with np.errstate(over="ignore"):  # named below
                block = np.asarray(given, np.float32)
            if not np.isfinite(block).all():
                row, column = (int(place) for place in np.argwhere(~np.isfinite(block))[0])
                node = repr(self.ids.label(start + row)) if self.ids else str(start + row)
                feature = repr(self.names[column]) if self.names else str(column)
                raise GraphkitError(
                    f"{self.path}: feature {feature} of node {node} is {float(given[row, column])}, or missing; "
                    "features must be finite (as float32), so fill it in, with the column's mean, say"
                )
            yield block


def read_features(path: Path) -> FeatureTable:
    """Reads the features of a graph.

    A table may have a column of ids: one named id, node, index or like paper_id, a first one without a name below a
    header (as pandas writes its index), or a first column that is not all numbers. All others are features: numbers, or
    one column of lists of numbers of equal length.

    Raises:
        GraphkitError: the file cannot be read, holds no features, or an id is missing or occurs twice.
    """
    if suffix_of(path) in (".npy", ".npz"):
        return _of_array(path)
    table = read_columns(path)
    place = id_place(table, first=False)
    if place is None and not _all_numbers(table.columns[0]):
        place = 0
    where = f"{path}, {table.name(place)}" if place is not None else ""
    ids = _vocabulary(texts_of(table.columns[place], where), where) if place is not None else None
    rest = [other for other in range(len(table.columns)) if other != place]
    if not rest:
        raise GraphkitError(f"{path} has a column of ids and no features; add columns of numbers")
    names = tuple(table.names[other] for other in rest) if table.names else None
    if len(rest) == 1 and _is_list(table.columns[rest[0]].type):
        values = _of_lists(table.columns[rest[0]], f"{path}, {table.name(rest[0])}")
        return FeatureTable(path, values.shape, values.__getitem__, ids, None, table.layout)
    columns = [_numbers(table, other) for other in rest]
    if place is None and len(rest) > 1:
        _require_no_ids(columns[0], f"{path}, {table.name(0)}")

    def rows(some: slice) -> NDArray[Any]:
        return np.stack([column[some] for column in columns], axis=1)

    return FeatureTable(path, (len(columns[0]), len(columns)), rows, ids, names, table.layout)


def _require_no_ids(first: NDArray[Any], where: str) -> None:
    """Refuses a first feature that numbers the rows, from 0 or 1 and in any order.

    Edges would be taken for numbers of rows without a word. Other numbers that are meant for ids mostly show by edges
    that are out of range. Two rows are let through: 0 and 1 are as likely a flag.
    """
    if len(first) < 3:
        return
    low = int(first.min()) if first.min() in (0, 1) else None  # wide: low + rows may not fit the column's dtype
    if low is not None and np.array_equal(np.sort(first), np.arange(low, low + len(first))):
        raise GraphkitError(
            f"{where} holds the numbers {low} to {first.max():.0f}, each once, as ids do, and is not named so; "
            "name it id in a header, or put another column first if it is a feature"
        )


def _of_array(path: Path) -> FeatureTable:
    values = read_array(path, _FEATURES)
    if values.ndim != 2 or values.dtype.kind not in "biuf" or 0 in values.shape:
        raise GraphkitError(
            f"{path} holds features of {values.dtype}{list(values.shape)}; numbers of shape [nodes, "
            "features] are needed"
        )
    named = [name for name in _IDS if suffix_of(path) == ".npz" and name in archive_names(path)]
    ids = None
    if named:
        where = f"{path}, array {named[0]!r}"
        given = read_arrays(path, named[:1])[named[0]]
        if given.shape != (len(values),):
            raise GraphkitError(
                f"{where} has shape {list(given.shape)}, and there are {len(values):,} rows of features"
            )
        ids = _vocabulary(texts_of(as_arrow(given, where), where), where)
    return FeatureTable(path, values.shape, values.__getitem__, ids, None, path.suffix.removeprefix("."))


def _vocabulary(texts: pa.Array, where: str) -> Vocabulary:
    codes = texts.dictionary_encode()
    if len(codes.dictionary) < len(texts):
        rows = codes.indices.to_numpy()
        first = np.full(len(codes.dictionary), -1)
        first[rows[::-1]] = np.arange(len(rows))[::-1]
        row = int((first[rows] != np.arange(len(rows))).argmax())
        raise GraphkitError(
            f"{where}, row {row + 1}: the id {texts[row].as_py()!r} stands in row {first[rows[row]] + 1} already; each "
            "node needs one row of features"
        )
    return Vocabulary(texts, kind="node", checked=True)


def _all_numbers(column: pa.Array) -> bool:
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return not pa.types.is_dictionary(column.type)
    return all(text is None or text == "" or is_number(text) for text in column.to_pylist())


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_real(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _of_lists(column: pa.Array, where: str) -> NDArray[Any]:
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1 or not lengths[0] or not _is_real(column.type.value_type):
        raise GraphkitError(
            f"{where} holds {column.type} of {len(lengths)} lengths; lists of numbers, all of one length, are needed"
        )
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(len(column), lengths[0])


def _numbers(table: Columns, place: int) -> NDArray[Any]:
    """Returns a column of features, NaN where a value is missing; over the memory of the table where it can be."""
    column = table.columns[place]
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if pa.types.is_string(column.type):  # a first column that was read as text, or one with a text in it
        texts = column.to_pylist()
        odd = next((row for row, text in enumerate(texts) if text not in (None, "") and not is_number(text)), None)
        if odd is not None:
            raise GraphkitError(
                f"{table.path}, {table.name(place)}, row {odd + 1}: {texts[odd]!r} is no number; features are numbers, "
                "so encode texts (one column a value, say), or leave the column out"
            )
        return np.array([float(text) if text else np.nan for text in texts])
    if pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    if not _is_real(column.type):
        raise GraphkitError(f"{table.path}, {table.name(place)} holds {column.type}; features are numbers")
    return np.asarray(column.to_numpy(zero_copy_only=False))
