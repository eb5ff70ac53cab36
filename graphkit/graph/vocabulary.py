"""Labels of entities and relations, as Arrow string arrays: label i belongs to id i."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from graphkit.errors import GraphkitError, nearest

#: Spelling suggestions look at this many labels at most: difflib compares pairs, and a slow error is a bad error.
_SUGGEST_AMONG = 200_000


class Vocabulary:
    """The labels of ids 0 to N-1, each once.

    Args:
        labels: N distinct labels; an Arrow string array is taken as it is.
        kind: what the labels name, for messages: "entity" or "relation".
        checked: the labels are known to be distinct, so that mapped ones need not be read.

    Raises:
        GraphkitError: a label occurs twice, or is missing (null).
    """

    def __init__(self, labels: pa.Array | Sequence[str], *, kind: str = "entity", checked: bool = False) -> None:
        array = labels if isinstance(labels, pa.Array) else pa.array(labels, type=pa.string())
        self.labels: pa.Array = array
        self.kind = kind
        if checked:
            return
        if array.null_count:
            raise GraphkitError(f"a vocabulary has an empty {kind} label at id {array.is_null().index(True).as_py()}")
        if pc.count_distinct(array).as_py() != len(array):
            counted = pc.value_counts(array)
            twice = counted.filter(pc.greater(counted.field("counts"), 1))[0]["values"].as_py()
            raise GraphkitError(f"a vocabulary has the {kind} label {twice!r} twice; each label may stand for one id")

    def __repr__(self) -> str:
        return f"Vocabulary({len(self):,} labels, kind={self.kind!r})"

    @classmethod
    def numbered(cls, labels: Sequence[str], *, kind: str = "entity") -> Vocabulary:
        """Returns the vocabulary of the distinct values of `labels`, in order of first appearance."""
        return cls(pa.array(labels, type=pa.string()).unique(), kind=kind)

    @classmethod
    def load(cls, path: Path, *, kind: str = "entity") -> Vocabulary:
        """Reads the Arrow file that `save` wrote; the labels stay mapped, not read."""
        with pa.memory_map(str(path)) as source:
            column = pa.ipc.open_file(source).read_all().column("label")
        chunks = column.chunks
        return cls(chunks[0] if len(chunks) == 1 else column.combine_chunks(), kind=kind, checked=True)

    def save(self, path: Path) -> None:
        """Writes the labels as an Arrow IPC file with the one column ``label``."""
        table = pa.table({"label": self.labels})
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    def __len__(self) -> int:
        return len(self.labels)

    def label(self, i: int) -> str:
        """Returns the label of id `i`."""
        return str(self.labels[i].as_py())

    def id(self, label: str) -> int:
        """Returns the id of `label`.

        Raises:
            GraphkitError: no such label; the nearest spellings are named.
        """
        found = int(pc.index(self.labels, pa.scalar(label, self.labels.type)).as_py())
        if found < 0:
            raise self._unknown(label)
        return found

    def ids(self, labels: pa.Array | Sequence[str]) -> NDArray[np.int64]:
        """Returns the ids (int64[M]) of M labels.

        Raises:
            GraphkitError: a label is unknown; the nearest spellings are named.
        """
        wanted = labels if isinstance(labels, pa.Array) else pa.array(labels, type=self.labels.type)
        found = pc.index_in(wanted, value_set=self.labels)
        if found.null_count:
            raise self._unknown(str(wanted[pc.index(found.is_null(), True).as_py()].as_py()))
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)

    def _unknown(self, label: str) -> GraphkitError:
        near = nearest(label, self.labels.slice(0, _SUGGEST_AMONG).to_pylist())
        what = f"the graph has no {self.kind} {label!r}"
        if near:
            return GraphkitError(f"{what}; nearest: {', '.join(near)}")
        return GraphkitError(f"{what}, nor one spelled like it; it has {len(self)}, e.g. {', '.join(self._examples())}")

    def _examples(self) -> list[str]:
        return [str(label) for label in self.labels.slice(0, 3).to_pylist()]
