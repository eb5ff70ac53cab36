"""Triples from text files: TSV, CSV and their like, plain or gzip-compressed, streamed into ids."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from graphkit.data.encoding import LabelEncoder
from graphkit.data.sniffing import FileFormat, count_phrase, sniff
from graphkit.data.sources import (
    QUOTING,
    READ_ERRORS,
    BlanksSqueezed,
    Record,
    delimiter_name,
    is_gzip,
    open_bytes,
    open_text,
    records,
    shown,
    unreadable,
)
from graphkit.errors import GraphkitError

#: One path or several.
Files = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

#: Bytes of text in a batch: large enough to thin out repeated labels, small against the vocabulary.
_BLOCK_BYTES = 16 << 20

#: The byte order marks of UTF-16, as bytes that are not UTF-8 are read.
_UTF16_MARKS = ("\udcff\udcfe", "\udcfe\udcff")

_PART = {"h": "head", "r": "relation", "t": "tail"}


@dataclass(frozen=True)
class EncodedTriples:
    """Triples read from files, as ids, with the labels that the ids stand for."""

    #: int64[M, 3]: head, relation, tail of every line, repeated ones included, in the order of the files.
    ids: npt.NDArray[np.int64]
    #: Arrow string array: the label of entity i at position i, in the order of first appearance.
    entities: pa.Array
    #: Arrow string array: the label of relation i at position i, in the order of first appearance.
    relations: pa.Array
    #: How each file was laid out.
    formats: tuple[FileFormat, ...]


class TripleReader:
    """Reads triples into ids; all that one reader reads, split after split, shares one vocabulary.

    Args:
        delimiter: One character, or ``tab``, ``comma``, ``semicolon``, ``pipe``, ``space`` (any run of
            blanks); ``None`` sniffs it from each file. Comma and semicolon allow fields in double quotation
            marks.
        header: Whether the first line of each file names the columns; ``None`` to sniff.
        columns: One letter a column: ``h``, ``r``, ``t``, and ``-`` for a column to skip (``hrt``, ``htr``,
            ``h-rt``); ``None`` takes the order from the header when it names one, else ``hrt``.
    """

    def __init__(self, *, delimiter: str | None = None, header: bool | None = None, columns: str | None = None) -> None:
        self._options: dict[str, Any] = {"delimiter": delimiter, "header": header, "columns": columns}
        self._entities = LabelEncoder()
        self._relations = LabelEncoder()

    @property
    def entities(self) -> pa.Array:
        """The entity labels met so far, an Arrow string array; label i has id i."""
        return self._entities.labels()

    @property
    def relations(self) -> pa.Array:
        """The relation labels met so far, an Arrow string array; label i has id i."""
        return self._relations.labels()

    def read(self, files: Files) -> tuple[npt.NDArray[np.int64], tuple[FileFormat, ...]]:
        """Read one split.

        Args:
            files: One file or several; their triples follow one another.

        Returns:
            ``(M, 3) int64`` ids of head, relation and tail, one row a line, and the layout of each file.

        Raises:
            GraphkitError: for a file that is missing, empty or unreadable, and for the first line that is not
                a triple, with its number.
        """
        formats = tuple(sniff(path, **self._options) for path in file_list(files))
        parts: list[npt.NDArray[np.int32]] = []
        for layout in formats:
            for batch in _batches(layout):
                heads, relations, tails = (batch.column(place) for place in range(3))
                head_ids, tail_ids = self._entities.encode(heads, tails)
                (relation_ids,) = self._relations.encode(relations)
                parts.append(np.stack([head_ids, relation_ids, tail_ids], axis=1).astype(np.int32))
        return _joined(parts), formats


def read_triples(
    files: Files, *, delimiter: str | None = None, header: bool | None = None, columns: str | None = None
) -> EncodedTriples:
    """Read triples from TSV, CSV and similar files, plain or gzip-compressed, in bounded memory.

    Labels are kept as they stand, blanks included; a byte order mark and CRLF line ends are not part of them.

    Args:
        files: One file or several.
        delimiter: See :class:`TripleReader`.
        header: See :class:`TripleReader`.
        columns: See :class:`TripleReader`.

    Returns:
        The triples as ids with their labels; repeated triples are kept.

    Raises:
        GraphkitError: for a file that is missing, empty or unreadable, and for the first line that is not a
            triple.
    """
    reader = TripleReader(delimiter=delimiter, header=header, columns=columns)
    ids, formats = reader.read(files)
    return EncodedTriples(ids, reader.entities, reader.relations, formats)


def file_list(files: Files) -> tuple[Path, ...]:
    """One path or several as a tuple of paths.

    Raises:
        GraphkitError: if there is none.
    """
    paths = (Path(files),) if isinstance(files, (str, os.PathLike)) else tuple(Path(file) for file in files)
    if not paths:
        raise GraphkitError("no file was named to read triples from; give one or more TSV or CSV files")
    return paths


def _joined(parts: list[npt.NDArray[np.int32]]) -> npt.NDArray[np.int64]:
    """All parts in one array; empties the list on the way, so that the ids never stand in memory twice."""
    ids = np.empty((sum(len(part) for part in parts), 3), np.int64)
    end = len(ids)
    while parts:
        part = parts.pop()
        ids[end - len(part) : end] = part
        end -= len(part)
    return ids


def _batches(layout: FileFormat) -> Iterator[pa.RecordBatch]:
    """The head, relation and tail columns of a file, batch by batch; the first line at fault is an error."""
    names = [f"c{place}" for place in range(len(layout.columns))]
    wanted = [names[place] for place in layout.positions]
    quoting = layout.delimiter in QUOTING
    try:
        with (
            _byte_stream(layout) as stream,
            csv.open_csv(
                stream,
                read_options=csv.ReadOptions(
                    block_size=_BLOCK_BYTES, column_names=names, skip_rows=layout.skipped_lines
                ),
                parse_options=csv.ParseOptions(
                    delimiter=layout.delimiter,
                    quote_char='"' if quoting else False,
                    newlines_in_values=quoting,
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.string()),
                    include_columns=wanted,
                    strings_can_be_null=False,
                ),
            ) as reader,
        ):
            for batch in reader:
                if any(pc.any(pc.equal(pc.binary_length(column), 0)).as_py() for column in batch.columns):
                    raise pa.ArrowInvalid("an empty label")
                yield batch
    except (pa.ArrowException, *READ_ERRORS) as error:
        raise _first_fault(layout, error) from error


def _byte_stream(layout: FileFormat) -> Any:
    if layout.delimiter == " ":
        return pa.PythonFile(BlanksSqueezed(open_bytes(layout.path)), mode="r")
    file = pa.OSFile(str(layout.path))
    return pa.CompressedInputStream(file, "gzip") if is_gzip(layout.path) else file


def _first_fault(layout: FileFormat, error: BaseException) -> GraphkitError:
    """Go through a file that could not be read, line by line, for the first line at fault."""
    last = 0
    try:
        with open_text(layout.path) as lines:
            for record in records(lines, layout.delimiter):
                fault = None
                if record.line > layout.skipped_lines and record.fields:
                    fault = _fault(layout, record)
                if fault is not None:
                    for _ in lines:  # damaged gzip data can look like a bad line; reading on tells
                        pass
                    return fault
                last = record.line
    except READ_ERRORS as broken:
        return unreadable(layout.path, last, broken)
    return GraphkitError(f"{layout.path} cannot be read: {' '.join(str(error).split())}; check the file's format")


def _fault(layout: FileFormat, record: Record) -> GraphkitError | None:
    where, count = f"{layout.path}, line {record.line}", len(record.fields)
    if count != len(layout.columns):
        first, *further = record.text.split("\n")
        if further:
            return GraphkitError(
                f"{where}: a quotation mark is not closed on the line {shown(first)}; "
                "close or double it, or set delimiter to tab, under which quotation marks are letters"
            )
        name = delimiter_name(layout.delimiter)
        return GraphkitError(
            f"{where}: {count_phrase(count)} under the delimiter {name} in {shown(record.text)}; expected "
            f"{len(layout.columns)} ({layout.columns}), so mend the line, or set delimiter or columns"
        )
    for letter, place in zip("hrt", layout.positions, strict=True):
        field = record.fields[place]
        if not field:
            return GraphkitError(
                f"{where}: the {_PART[letter]} is empty in {shown(record.text)}; a triple needs a head, a "
                "relation and a tail, so fill it in or take the line out"
            )
        if any("\udc80" <= character <= "\udcff" for character in field):
            encoding = "utf-16" if record.text.startswith(_UTF16_MARKS) else "latin1"
            return GraphkitError(
                f"{where}: the {_PART[letter]} is not UTF-8 in {shown(record.text)}; convert the file, for "
                f"instance with iconv -f {encoding} -t utf-8"
            )
    return None
