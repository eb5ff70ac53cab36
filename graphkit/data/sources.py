"""Text files with triples: opened plain or gzip-compressed, split into lines and fields, quoted in errors.

What stands here is the slow, obvious way to read a file. It serves the first lines (sniffing) and the search
for the line at fault; the bulk goes through ``pyarrow.csv`` (see :mod:`graphkit.data.reading`).
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO, cast

from graphkit.errors import GraphkitError, nearest

#: The delimiters that are tried, in this order, by the name that the options and the errors use.
DELIMITERS: dict[str, str] = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}

#: Under these a field may stand in double quotation marks; under the others such a mark is a letter.
QUOTING = frozenset({",", ";"})

#: What Python's gzip and file objects raise on damaged or unreadable input.
READ_ERRORS = (OSError, EOFError, zlib.error)

_SHOWN = 80
_BLANKS = re.compile(r"[ \t]+")
_ESCAPED_BYTE = re.compile(r"\\udc([0-9a-f]{2})")


@dataclass(frozen=True)
class Record:
    """One line of a file, or several where a quoted field holds line ends."""

    #: 1-based number of its (first) line.
    line: int
    #: The line as it stands, without its end; bytes that are not UTF-8 are surrogates (``surrogateescape``).
    text: str
    #: The fields of the line; empty for an empty line.
    fields: list[str]


def delimiter_name(delimiter: str) -> str:
    """The name of a delimiter character: ``tab``, ``comma``, … or else the character in quotes."""
    return next((name for name, character in DELIMITERS.items() if character == delimiter), repr(delimiter))


def shown(text: str) -> str:
    """A line as errors show it: in quotes, tabs and odd bytes escaped, cut to 80 characters."""
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
    return _ESCAPED_BYTE.sub(r"\\x\1", repr(cut))


def check_file(path: Path) -> None:
    """Check that a file can be opened.

    Raises:
        GraphkitError: if it does not exist, is a folder, or may not be read.
    """
    if path.is_dir():
        raise GraphkitError(f"{path} is a folder; give the files in it that hold the triples, one triple a line")
    if not path.exists():
        folder = path.parent
        around = nearest(path.name, (entry.name for entry in folder.iterdir())) if folder.is_dir() else []
        hint = f"the nearest names in {folder} are {', '.join(around)}" if around else "check the path"
        raise GraphkitError(f"there is no file {path}; {hint}")
    if not path.is_file():
        raise GraphkitError(f"{path} is a pipe or a device, which is read only once; write it to a file first")
    try:
        path.open("rb").close()
    except OSError as error:
        raise GraphkitError(f"{path} cannot be opened: {error.strerror or error}; check its permissions") from error


def is_gzip(path: Path) -> bool:
    """Whether a file starts as gzip data does; its name does not matter."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def open_bytes(path: Path) -> IO[bytes]:
    """Open a plain or gzip-compressed file as uncompressed bytes."""
    return cast(IO[bytes], gzip.open(path, "rb")) if is_gzip(path) else path.open("rb")


def open_text(path: Path) -> TextIO:
    """Open a plain or gzip-compressed UTF-8 file as text lines.

    A byte order mark is dropped, CR and CRLF read as LF, and bytes that are not UTF-8 become surrogates.
    """
    return io.TextIOWrapper(open_bytes(path), encoding="utf-8-sig", errors="surrogateescape")


def unreadable(path: Path, line: int, error: BaseException) -> GraphkitError:
    """The error for a file whose bytes cannot be had beyond some line."""
    if isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile)):
        what = "the gzip data are cut short or damaged; fetch or compress the file again"
    else:
        what = f"{error}; check the disk and the permissions"
    return GraphkitError(f"{path} cannot be read beyond line {line}: {what}")


def records(lines: Iterable[str], delimiter: str) -> Iterator[Record]:
    """Split lines into fields, the same way as the fast reader does.

    Args:
        lines: The lines, each with its end.
        delimiter: One character; a space stands for any run of blanks and tabs.

    Yields:
        One record a line, empty lines included (their ``fields`` are empty).
    """
    if delimiter in QUOTING:
        yield from _quoted_records(lines, delimiter)
        return
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\n")
        if delimiter == " ":
            stripped = text.strip(" \t")
            yield Record(number, text, _BLANKS.split(stripped) if stripped else [])
        else:
            yield Record(number, text, text.split(delimiter) if text else [])


def _quoted_records(lines: Iterable[str], delimiter: str) -> Iterator[Record]:
    taken: list[str] = []

    def tapped() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    reader = csv.reader(tapped(), delimiter=delimiter)
    start = 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:  # a field beyond the csv module's limit: a quotation mark that nobody closed
            fields = [""]
        yield Record(start, "".join(taken).rstrip("\n"), fields)
        start += len(taken)
        taken.clear()


class BlanksSqueezed(io.RawIOBase):
    """A byte stream in which each run of blanks and tabs is one blank, with none at the ends of lines.

    It makes files that are aligned with blanks readable for ``pyarrow.csv``, whose delimiter is one
    character.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._pending = b""
        self._line_starts = True

    def readable(self) -> bool:
        """Always true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes of the squeezed stream; nothing at its end."""
        while True:
            chunk = self._source.read(size - len(self._pending) if size > 0 else -1)
            if not chunk:
                return b""
            whole = self._pending + chunk
            body = whole.rstrip(b" \t")
            self._pending = b" " if len(body) < len(whole) else b""
            squeezed = re.sub(rb"[ \t]*([\r\n])[ \t]*", rb"\1", body)
            squeezed = re.sub(rb"[ \t]+", b" ", squeezed)
            if self._line_starts:
                squeezed = squeezed.lstrip(b" ")
            if squeezed:
                self._line_starts = squeezed.endswith((b"\r", b"\n"))
                return squeezed

    def close(self) -> None:
        """Close the stream and its source."""
        if not self.closed:
            self._source.close()
        super().close()
