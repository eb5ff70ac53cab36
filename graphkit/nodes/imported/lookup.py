"""Which node a row of a user's table speaks of: by id, or by its number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from graphkit.errors import GraphkitError
from graphkit.graph import Vocabulary
from graphkit.nodes.imported.tables import Columns, is_whole, texts_of

_Ids = NDArray[np.int64]
#: A number that int64 surely holds.
_NODE = re.compile(r"-?[0-9]{1,18}")


#: What the columns of a table of edges are called.
_EDGES = "source and target"


def _of_header(row: int, columns: str) -> str:
    """Returns what else may be wrong where a row is the first of its table."""
    return "" if row else f"; if row 1 is a header, name its columns {columns}"


@dataclass(frozen=True)
class NodeLookup:
    """The nodes of a graph, as other tables name them."""

    #: N
    nodes: int
    #: The ids, or None where a node is the number of its row in the features, 0 to N-1.
    ids: Vocabulary | None

    def find(self, column: pa.Array, where: str, *, columns: str = _EDGES) -> _Ids:
        """Returns the nodes (int64[M]) that a column of ids names.

        Args:
            column: the ids.
            where: the file and the column, for errors.
            columns: what columns of such a table are called, for errors.

        Raises:
            GraphkitError: an id is missing, unknown or out of range.
        """
        if self.ids is None:
            return self._numbers(column, where, columns)
        texts = texts_of(column, where)
        found = pc.index_in(texts, value_set=self.ids.labels.cast(texts.type))
        if found.null_count:
            row = pc.index(found.is_null(), True).as_py()
            try:
                self.ids.id(str(texts[row].as_py()))
            except GraphkitError as error:
                raise GraphkitError(
                    f"{where}, row {row + 1}: {error}; every node needs its row of features{_of_header(row, columns)}"
                ) from None
        return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)

    def _numbers(self, column: pa.Array, where: str, columns: str) -> _Ids:
        whole = is_whole(column.type) and not column.null_count
        texts = column if whole else texts_of(column, where)
        try:
            if not whole and not pc.all(pc.match_substring_regex(texts, f"^{_NODE.pattern}$")).as_py():
                raise pa.ArrowInvalid
            numbers = texts if whole else texts.cast(pa.int64())
        except pa.ArrowInvalid:
            listed = enumerate(texts.to_pylist())
            row, text = next((row, text) for row, text in listed if not _NODE.fullmatch(text))
            raise GraphkitError(
                f"{where}, row {row + 1}: {text!r} is no number of a node, and the features have no ids; give them a "
                f"column named id, or number nodes 0 to {self.nodes - 1}{_of_header(row, columns)}"
            ) from None
        found = np.asarray(numbers.to_numpy(zero_copy_only=False), np.int64)
        outside = (found < 0) | (found >= self.nodes)
        if outside.any():
            row = int(outside.argmax())
            raise GraphkitError(
                f"{where}, row {row + 1}: there is no node {found[row]}; the features have {self.nodes:,} rows, 0 to "
                f"{self.nodes - 1}, so add its row, or give the features a column named id"
            )
        return found

    def rows_of(self, table: Columns, what: str) -> tuple[_Ids, list[int]]:
        """Returns the node of each row of a table with one row a node, and the places of its other columns.

        The ids are the column that is named so, or else the first of several in a table without a header; a table
        without ids has a row for each node, in the order of the features.

        Raises:
            GraphkitError: an id is unknown or occurs twice, or rows without ids are more or fewer than nodes.
        """
        place = id_place(table, first=True)
        rest = [other for other in range(len(table.columns)) if other != place]
        if place is None:
            rows = len(table.columns[0])
            self.require_rows(rows, str(table.path), what)
            return np.arange(rows), rest
        where = f"{table.path}, {table.name(place)}"
        nodes = self.find(table.columns[place], where, columns="id and split" if what == "mask" else f"id and {what}")
        first = np.full(self.nodes, -1)
        first[nodes[::-1]] = np.arange(len(nodes))[::-1]
        again = first[nodes] != np.arange(len(nodes))
        if again.any():
            row = int(again.argmax())
            raise GraphkitError(
                f"{where}, row {row + 1}: node {table.columns[place][row].as_py()!r} has a {what} in row "
                f"{first[nodes[row]] + 1} already; leave one of the two"
            )
        return nodes, rest

    def require_rows(self, rows: int, where: str, what: str) -> None:
        """Makes sure that rows without ids are one a node.

        Raises:
            GraphkitError: they are more or fewer.
        """
        if rows != self.nodes:
            raise GraphkitError(
                f"{where} has {rows:,} rows, and the features have {self.nodes:,}; give one {what} a node in the same "
                "order, or a column named id beside them"
            )


def id_place(table: Columns, *, first: bool) -> int | None:
    """Returns the place of the column of ids: the one named so, or (if `first`) the first of several without names.

    Raises:
        GraphkitError: several columns are named so.
    """
    places = table.id_places()
    if len(places) > 1:
        raise GraphkitError(
            f"{table.path} has several columns of ids, {' and '.join(table.name(place) for place in places)}; leave "
            "one, and rename or drop the others"
        )
    if places:
        return places[0]
    return 0 if first and len(table.columns) > 1 and table.names is None else None


def as_arrow(array: NDArray[Any], where: str) -> pa.Array:
    """Returns a column of an array as Arrow.

    Raises:
        GraphkitError: it is of Python objects, or of another kind that has no texts or numbers.
    """
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "biufU":
        raise GraphkitError(f"{where} holds {array.dtype}; texts or numbers are needed")
    return pa.array(np.ascontiguousarray(array).tolist() if array.dtype.kind == "U" else np.ascontiguousarray(array))
