"""How a file lays out its triples: delimiter, header, and which column holds what."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from graphkit.data.sources import (
    DELIMITERS,
    READ_ERRORS,
    Record,
    check_file,
    delimiter_name,
    open_text,
    records,
    shown,
    unreadable,
)
from graphkit.errors import GraphkitError

#: Lines that are looked at, and characters of one line.
_SAMPLE_LINES = 200
_LINE_LIMIT = 1 << 16

_ROLES = {
    "h": {"head", "h", "subject", "subj", "s", "source", "src", "from", "start", "node1"},
    "r": {"relation", "rel", "r", "relationship", "predicate", "pred", "p", "property"}
    | {"relation_type", "edge_type", "edge", "type", "label"},
    "t": {"tail", "t", "object", "obj", "o", "target", "dst", "dest", "destination", "to", "end", "node2"},
}
_ROLE_SUFFIX = re.compile(r"_(id|name|label|entity|node|uri|iri)$")


@dataclass(frozen=True)
class FileFormat:
    """How one file lays out its triples, as given or as sniffed."""

    path: Path
    #: One character; a blank stands for any run of blanks and tabs.
    delimiter: str
    #: Whether the first line that is not empty names the columns.
    header: bool
    #: One letter a column: ``h`` head, ``r`` relation, ``t`` tail, ``-`` skipped.
    columns: str
    #: Lines up to the header, which is the last of them; 0 without one.
    skipped_lines: int = 0

    @property
    def positions(self) -> tuple[int, int, int]:
        """The 0-based columns of head, relation and tail."""
        return self.columns.index("h"), self.columns.index("r"), self.columns.index("t")

    def __str__(self) -> str:
        head = "a header" if self.header else "no header"
        return f"{self.path}: delimiter {delimiter_name(self.delimiter)}, {head}, columns {self.columns}"


def sniff(
    path: Path, *, delimiter: str | None = None, header: bool | None = None, columns: str | None = None
) -> FileFormat:
    """Find out how a file lays out its triples, from its first 200 lines.

    Args:
        path: A text file, plain or gzip-compressed.
        delimiter: One character, or ``tab``, ``comma``, ``semicolon``, ``pipe``, ``space``; or ``None``.
        header: Whether the first line names the columns; ``None`` to sniff (it does when it names a head, a
            relation and a tail, such as ``head,relation,tail`` or ``Subject;Predicate;Object``).
        columns: One letter a column, ``h``, ``r``, ``t`` once each and ``-`` for every other column (``hrt``,
            ``htr``, ``h-rt``); ``None`` takes them from the header when it names them, else ``hrt``.

    Returns:
        The format.

    Raises:
        GraphkitError: for a missing, empty or unreadable file, a file without three columns, or a bad option.
    """
    check_file(path)
    if columns is not None:
        check_columns(columns)
    character = None if delimiter is None else delimiter_character(delimiter)
    lines = _first_lines(path)
    if character is None:
        character = _sniff_delimiter(path, lines, columns)
    rows = [row for row in records(lines, character) if row.fields]
    if not rows:
        raise _empty(path)
    names_columns = _names_columns(rows[0], columns) if header is None else header
    if names_columns and len(rows) == 1:
        raise GraphkitError(f"{path} holds only a header, {shown(rows[0].text)}; expected triples below it")
    if columns is None:
        named = _columns_named(rows[0]) if names_columns else None
        columns = named or _default_columns(path, rows, character)
    skipped = rows[0].line + rows[0].text.count("\n") if names_columns else 0
    return FileFormat(path, character, names_columns, columns, skipped)


def delimiter_character(delimiter: str) -> str:
    r"""The character that a delimiter option means: itself, or the one spelt ``\t``, ``tab``, ``comma`` ….

    Raises:
        GraphkitError: if it is neither one character nor one of the names.
    """
    character = "\t" if delimiter == "\\t" else DELIMITERS.get(delimiter, delimiter)
    if len(character) != 1 or ord(character) > 127 or character in '\r\n"':
        allowed = ", ".join(DELIMITERS)
        raise GraphkitError(f"delimiter is {delimiter!r}; allowed are one ASCII character or one of {allowed}")
    return character


def check_columns(columns: str) -> None:
    """Check a column order.

    Raises:
        GraphkitError: unless it has ``h``, ``r`` and ``t`` once each and nothing else but ``-``.
    """
    if sorted(columns.replace("-", "")) != ["h", "r", "t"]:
        raise GraphkitError(
            f"columns is {columns!r}; it needs one letter a column, h, r and t once each and - for a column "
            "to skip, such as hrt, htr or h-rt"
        )


def _empty(path: Path) -> GraphkitError:
    return GraphkitError(f"{path} is empty; expected one triple a line (head, relation, tail)")


def _first_lines(path: Path) -> list[str]:
    lines: list[str] = []
    with open_text(path) as file:
        try:
            for _ in range(_SAMPLE_LINES):
                line = file.readline(_LINE_LIMIT)
                if not line:
                    break
                lines.append(line)
        except READ_ERRORS as error:
            raise unreadable(path, len(lines), error) from error
    return lines


def _sniff_delimiter(path: Path, lines: list[str], columns: str | None) -> str:
    shares = {character: _share(lines, character, columns) for character in DELIMITERS.values()}
    if shares["\t"] >= 0.5:  # labels hold blanks and commas, hardly ever a tab
        return "\t"
    best = max(shares, key=lambda character: shares[character])  # the first of equals
    if shares[best] >= 0.5:
        return best
    number, line = next(((i, line) for i, line in enumerate(lines, 1) if line.strip()), (0, ""))
    if not number:
        raise _empty(path)
    names = ", ".join(DELIMITERS)
    wanted = "three columns" if columns is None else f"the {len(columns)} columns of {columns}"
    raise GraphkitError(
        f"{path}, line {number}: no delimiter out of {names} gives {wanted} in {shown(line.rstrip())}; "
        "put head, relation and tail on each line, or set delimiter"
    )


def _share(lines: list[str], delimiter: str, columns: str | None) -> float:
    """The share of lines that have the usual number of columns, or 0 if that number cannot be right."""
    counts = Counter(len(row.fields) for row in records(lines, delimiter) if row.fields)
    usual, times = counts.most_common(1)[0] if counts else (0, 0)
    if columns is not None:
        times = counts[len(columns)]
    elif usual < 3:
        return 0.0
    return times / max(1, counts.total())


def _default_columns(path: Path, rows: list[Record], delimiter: str) -> str:
    usual = Counter(len(row.fields) for row in rows).most_common(1)[0][0]
    if usual == 3:
        return "hrt"
    row = next(row for row in rows if len(row.fields) == usual)
    where = f"{path}, line {row.line}: {count_phrase(usual)} under the delimiter {delimiter_name(delimiter)}"
    if usual < 3:
        raise GraphkitError(f"{where} in {shown(row.text)}; expected 3, so set delimiter to the one that is used")
    example = "hrt" + "-" * (usual - 3)
    raise GraphkitError(
        f"{where} in {shown(row.text)}; expected 3, so set columns to say which hold head, relation and "
        f"tail, such as {example}"
    )


def count_phrase(count: int) -> str:
    """A number of columns in words, for an error."""
    return "only one column" if count == 1 else f"{count} columns"


def _role(name: str) -> str:
    word = re.sub(r"[ \-]+", "_", name.strip().strip(":").lower())
    stem = _ROLE_SUFFIX.sub("", word)
    return next((role for role, words in _ROLES.items() if word in words or stem in words), "-")


def _columns_named(first: Record) -> str | None:
    named = "".join(_role(field) for field in first.fields)
    return named if sorted(named.replace("-", "")) == ["h", "r", "t"] else None


def _names_columns(first: Record, columns: str | None) -> bool:
    """Whether a first line names the columns: those that are read, whatever their order."""
    if columns is None:
        return _columns_named(first) is not None
    read = [_role(field) for field, letter in zip(first.fields, columns, strict=False) if letter != "-"]
    return sorted(read) == ["h", "r", "t"]
