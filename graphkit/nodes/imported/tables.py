"""Files of a user's own graph as columns: npy, npz, Parquet, CSV and TSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv, parquet

from graphkit.data.sniffing import delimiter_character
from graphkit.data.sources import QUOTING, READ_ERRORS, check_file, delimiter_name, is_gzip, open_text, records
from graphkit.errors import GraphkitError
from graphkit.nodes.npz import brief, read_arrays

#: What files may be called, ``.gz`` after the last two aside.
SUFFIXES = (".npy", ".npz", ".parquet", ".csv", ".tsv")
#: What a column with ids of nodes is called.
ID_NAMES = frozenset({"id", "node", "nodeid", "node id", "index", "unnamed: 0", "__index_level_0__"})
#: A label that is not known; case does not matter.
MISSING = frozenset({"", "na", "nan", "null", "none"})

_SAMPLE_LINES = 50


@dataclass(frozen=True)
class Columns:
    """What a table holds."""

    path: Path
    #: The names of the columns, lower case, or None without a header.
    names: tuple[str, ...] | None
    #: One array a column. Texts of CSV are read as numbers where all of a column are, but for ids.
    columns: tuple[pa.Array, ...]
    #: How the file was laid out, for the report.
    layout: str

    def id_places(self) -> list[int]:
        """Returns which columns are called like ids; a first one without a name is one of pandas' index."""
        names = self.names or ()
        return [place for place, name in enumerate(names) if is_id(name) or (place == 0 and not name)]

    def name(self, place: int) -> str:
        """Returns how to speak of a column."""
        return f"column {self.names[place]!r}" if self.names else f"column {place + 1}"


def suffix_of(path: Path) -> str:
    """Returns which of `SUFFIXES` a file has.

    Raises:
        GraphkitError: it has none of them, or there is no such file.
    """
    check_file(path)
    stem = path.with_suffix("") if path.suffix == ".gz" else path
    suffix = stem.suffix.lower()
    if suffix not in SUFFIXES or (path.suffix == ".gz" and suffix not in (".csv", ".tsv")):
        raise GraphkitError(
            f"{path} is of no known kind; files of graphs end in {', '.join(SUFFIXES)} (.csv and .tsv also with .gz)"
        )
    return suffix


def read_array(path: Path, names: Sequence[str]) -> NDArray[Any]:
    """Returns the array of an npy file, mapped, or of an npz archive: the first of `names` that it has.

    Raises:
        GraphkitError: the file is damaged, has none of the arrays, or one of Python objects.
    """
    if suffix_of(path) == ".npz":
        found = [name for name in names if name in archive_names(path)]
        if not found:
            raise GraphkitError(
                f"{path} has the arrays {', '.join(archive_names(path)) or 'none'}, and none of them is called "
                f"{' or '.join(names)}; rename one"
            )
        return read_arrays(path, found[:1])[found[0]]
    try:
        return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise GraphkitError(
            f"{path} cannot be read as an npy file: {brief(error)}; write it with numpy.save"
        ) from error


def archive_names(path: Path) -> tuple[str, ...]:
    """Returns the names of the arrays of an npz archive.

    Raises:
        GraphkitError: the file is damaged.
    """
    read_arrays(path, [])
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return tuple(archive.files)


def read_columns(path: Path, *, roles: Sequence[frozenset[str]] = (), texts: Sequence[int] = (0,)) -> Columns:
    """Reads a table: Parquet, CSV or TSV.

    Args:
        path: the file.
        roles: for CSV and TSV, the names that tell a header from a first row: a first line without numbers that has a
            name out of each of them names the columns. Without roles, a text above a column of numbers does, or a name
            of ids.
        texts: for CSV and TSV, places of columns that hold ids and are read as texts, so that 007 is not 7; so are
            those whose name says it. A table of one column has no ids.

    Raises:
        GraphkitError: the file is empty, damaged, or its lines have different numbers of columns.
    """
    return _read_parquet(path) if suffix_of(path) == ".parquet" else _read_text(path, roles, texts)


def _read_parquet(path: Path) -> Columns:
    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise GraphkitError(f"{path} cannot be read as Parquet: {brief(error)}; write it again") from error
    names = tuple(name.strip().lower() for name in table.column_names)
    if not table.num_rows:
        raise GraphkitError(f"{path} has no rows; nothing can be made of it")
    columns = table.columns
    del table  # so that each column goes once it is joined
    return Columns(path, names, _joined(columns), "Parquet")


def _read_text(path: Path, roles: Sequence[frozenset[str]], texts: Sequence[int]) -> Columns:
    rows, delimiter, before = _first_rows(path)
    header = _is_header(rows, roles, texts)
    width = len(rows[0])
    keys = [f"c{place}" for place in range(width)]
    named = [field.strip().lower() for field in rows[0]] if header else [""] * width
    read_as_text = set(texts) if width > 1 else set()
    known = frozenset().union(*roles)
    read_as_text |= {place for place, name in enumerate(named) if is_id(name) or name in known}
    if header and len(rows) == 1:
        raise GraphkitError(f"{path} holds only a header; nothing can be made of it")
    quoting = delimiter in QUOTING
    try:
        file = pa.OSFile(str(path))
        columns = csv.read_csv(
            pa.CompressedInputStream(file, "gzip") if is_gzip(path) else file,
            read_options=csv.ReadOptions(column_names=keys, skip_rows=before + 1 if header else 0),
            parse_options=csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoting else False,
                ignore_empty_lines=width > 1,  # in one column, they are rows without a value
            ),
            convert_options=csv.ConvertOptions(
                column_types={keys[place]: pa.string() for place in read_as_text if place < width},
                strings_can_be_null=False,
            ),
        ).columns
    except (pa.ArrowException, *READ_ERRORS) as error:
        raise GraphkitError(
            f"{path} cannot be read with the delimiter {delimiter_name(delimiter)} and {width} columns: "
            f"{brief(error)}; mend the line"
        ) from error
    said = f"delimiter {delimiter_name(delimiter)}, {'a' if header else 'no'} header"
    return Columns(path, tuple(named) if header else None, _joined(columns), said)


def _first_rows(path: Path) -> tuple[list[list[str]], str, int]:
    """Returns the fields of the first lines, the delimiter, and how many empty lines come before them.

    The delimiter is that of the suffix, or else the one that parts best.
    """
    with open_text(path) as file:
        try:
            read = [line for line, _ in zip(file, range(_SAMPLE_LINES), strict=False)]
        except READ_ERRORS as error:
            raise GraphkitError(f"{path} cannot be read: {brief(error)}; fetch or write it again") from error
    lines = [line for line in read if line.strip()]
    if not lines:
        raise GraphkitError(f"{path} is empty; nothing can be made of it")
    if lines[0].startswith("#"):
        raise GraphkitError(
            f"{path} starts with {lines[0].strip()[:60]!r}, and comments are not known; take such lines out, and name "
            "columns without #"
        )
    usual = delimiter_character("tab" if ".tsv" in path.suffixes else "comma")
    delimiter = next((mark for mark in (usual, "\t", ",", ";") if mark in lines[0]), usual)
    fields = [record.fields for record in records(lines, delimiter) if record.fields]
    return fields, delimiter, next(place for place, line in enumerate(read) if line.strip())


def _is_header(rows: list[list[str]], roles: Sequence[frozenset[str]], texts: Sequence[int]) -> bool:
    """Whether the first line names columns; in doubt it does not, since a row that is lost would go unnoticed."""
    first = [field.strip().lower() for field in rows[0]]
    if any(is_number(field) for field in first):
        return False
    if roles:
        return all(any(field in role or (role > ID_NAMES and is_id(field)) for field in first) for role in roles)
    if any(is_id(field) for field in first):
        return True
    below = [row for row in rows[1:] if len(row) == len(first)]
    ids = texts if len(first) > 1 else ()
    return any(place not in ids and _numbers([row[place] for row in below]) for place in range(len(first)))


def _numbers(fields: list[str]) -> bool:
    filled = [field for field in fields if field != ""]
    return bool(filled) and all(is_number(field) for field in filled)


def is_id(name: str) -> bool:
    """Whether a column of this name (lower case) holds ids of nodes."""
    return name in ID_NAMES or name.endswith("_id")


def is_number(text: str) -> bool:
    """Whether a text reads as a number; 1_000 does not, as it does in Python alone."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def texts_of(column: pa.Array, where: str) -> pa.Array:
    """Returns the ids of a column as texts: whole numbers are written out, and blanks around texts are left out.

    Raises:
        GraphkitError: they are neither texts nor whole numbers, or one is missing.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or is_whole(column.type)):
        raise GraphkitError(f"{where} holds {column.type}; ids of nodes are texts or whole numbers")
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    empty = pc.or_(pc.is_null(texts), pc.equal(pc.fill_null(texts, ""), ""))
    if pc.any(empty).as_py():
        row = pc.index(empty, True).as_py()
        raise GraphkitError(f"{where} has no id in row {row + 1}; fill it in, or take the row out")
    return texts


def is_whole(kind: pa.DataType) -> bool:
    """Whether a type is one of whole numbers."""
    return bool(pa.types.is_integer(kind))


def _joined(columns: list[pa.ChunkedArray]) -> tuple[pa.Array, ...]:
    """Returns columns in one piece each; the list lets go of its own one by one, so give one nobody else holds."""
    joined: list[Any] = columns
    for place, column in enumerate(columns):
        whole = column.combine_chunks()
        joined[place] = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
        del column, whole
    return tuple(joined)
