"""`StoreBuilder`: the store of a graph whose triples do not fit in memory."""

from __future__ import annotations

import os
import tempfile
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphkit import _native
from graphkit.atomic import new_folder, write_error
from graphkit.errors import GraphkitError
from graphkit.graph.columns import Triples, three_columns
from graphkit.graph.edge_index import Ids, offset_dtype, relation_dtype, require_ids, require_size
from graphkit.graph.store import array_entry, require_free, write_header

#: Called with the pieces that are written, and the number of all.
Progress = Callable[[int, int], None]


class StoreBuilder:
    """Builds a store of streamed triples in bounded memory, byte for byte what `KnowledgeGraph.save` writes.

    The graph has integer ids and training triples alone: no labels, and nothing held out.

        with StoreBuilder("big", num_entities=86_054_151, num_relations=14_824) as builder:
            for block in blocks:  # int64[M, 3]
                builder.add(block)
            builder.finish()  # without it, leaving the block gives up what was added

    The directed edges are spilled to a nameless temporary file beside the store, 8 bytes each (16 where head,
    relation and target do not fit) in buckets by head. A bucket of more than `piece_edges` is split again, so that
    neither the number of edges nor a hub's degree bounds the graph: memory holds 64 MiB of buffers and `threads` + 1
    pieces of at most 24 bytes an edge (32), some 0.4 GiB for two threads, beside what numpy and Python take. The disk
    needs room for the temporary file, at least 16 bytes a triple, and the store.

    Args:
        folder: the store to make.
        num_entities: N, 1 to 2**32 - 1.
        num_relations: R, 1 to 2**31 - 1.
        overwrite: replace an existing store.
        threads: how many pieces are sorted at a time, at least 1; by default one a core.
        piece_edges: directed edges that are sorted in one piece, at least 1.

    Raises:
        GraphkitError: the folder exists and `overwrite` is false, is no store, or cannot be written; a number is out of
            range.
    """

    def __init__(
        self,
        folder: str | Path,
        num_entities: int,
        num_relations: int,
        *,
        overwrite: bool = False,
        threads: int | None = None,
        piece_edges: int = 2**22,
    ) -> None:
        require_size(num_entities, num_relations)
        if num_entities < 1 or num_relations < 1:
            raise GraphkitError(
                f"a graph of {num_entities} entities and {num_relations} relations has no triples; give at least one "
                "of each"
            )
        if piece_edges < 1 or (threads is not None and threads < 1):
            raise GraphkitError(
                f"the store is built with threads={threads} and piece_edges={piece_edges}, and at least 1 of each is "
                "needed"
            )
        self.folder = Path(folder)
        self.num_entities = num_entities
        self.num_relations = num_relations
        self._overwrite = overwrite
        self._threads = threads or os.cpu_count() or 1
        self._added = 0
        self._lock = threading.Lock()
        self._failure: GraphkitError | None = None
        require_free(self.folder, overwrite=overwrite)
        try:
            if not self.folder.parent.exists():
                self.folder.parent.mkdir(parents=True)
            self._spill = tempfile.TemporaryFile(dir=self.folder.parent, buffering=0)  # noqa: SIM115 (close is ours)
        except OSError as error:
            raise write_error(self.folder, error) from error
        self._sorter = _native.EdgeSorter(
            self._spill.fileno(), num_entities=num_entities, num_relations=num_relations, piece_edges=piece_edges
        )

    def __enter__(self) -> StoreBuilder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, triples: Triples) -> None:
        """Takes a block of training triples; several threads may call it.

        Args:
            triples: integer ids of (head, raw relation, tail), in any order: an array [M, 3], an Arrow table or pandas
                frame whose first three columns they are, or an iterable of 3-tuples. Duplicates are counted and
                dropped.

        Raises:
            GraphkitError: a wrong shape or type, or an id out of range, and nothing of the block is taken; or the disk
                is full, and the builder is closed.
        """
        table = three_columns(triples, "train")
        if table.dtype.kind not in "iu":
            raise GraphkitError(f"the train triples hold labels such as {table[0, 0]!r}; number them from 0 first")
        rows: Ids = np.ascontiguousarray(table, dtype=np.int64)
        with self._lock:
            self._require_open()
            try:
                self._sorter.add(rows)
            except IndexError:
                require_ids(rows, self.num_entities, self.num_relations, "train", first_row=self._added)
                raise
            except OSError as error:
                self._spill.close()
                self._failure = write_error(self.folder, error)
                raise self._failure from error
            self._added += len(rows)

    def finish(self, progress: Progress | None = None) -> dict[str, int]:
        """Sorts what was added and writes the store, whole or not at all; the builder is closed then.

        Args:
            progress: called with the number of pieces that are written, and of all.

        Returns:
            num_entities, num_relations, num_edges (distinct triples) and duplicates (triples that stood there before).

        Raises:
            GraphkitError: nothing was added, or the folder cannot be written (disk full, permissions).
        """
        self._require_open()
        if self._added == 0:
            raise GraphkitError(f"{self.folder} was given no triples; add some before it is finished")
        with self, new_folder(self.folder, overwrite=self._overwrite) as part, _IndexFiles(part, self) as files:
            with self._lock:
                pieces = self._sorter.finish()
            for done, piece in enumerate(self._sorted(pieces), start=1):
                files.append(piece)
                if progress is not None:
                    progress(done, pieces)
            return files.finish()

    def close(self) -> None:
        """Gives up what was added; the temporary file vanishes."""
        with self._lock:  # a file with the same number may be opened next: no thread may still write to this one
            self._spill.close()

    @property
    def num_added(self) -> int:
        """Triples added so far, duplicates included."""
        return self._added

    def _require_open(self) -> None:
        if self._failure is not None:  # what one thread met is told to all
            raise self._failure
        if self._spill.closed:
            raise GraphkitError(f"the builder of {self.folder} is closed; begin a new one")

    def _sorted(self, pieces: int) -> Iterator[_Piece]:
        """Yields the sorted pieces in order; others are sorted meanwhile."""
        with ThreadPoolExecutor(self._threads) as pool:
            ahead: deque[Future[Any]] = deque()
            for number in range(pieces):
                ahead.append(pool.submit(self._sorter.piece, number))
                if len(ahead) > self._threads:
                    yield _Piece(*ahead.popleft().result())
            while ahead:
                yield _Piece(*ahead.popleft().result())


@dataclass(frozen=True)
class _Piece:
    """Distinct directed edges in the order of the index; the first run may go on from the piece before."""

    #: uint32[runs]
    heads: NDArray[np.uint32]
    #: uint32[runs] directed
    relations: NDArray[np.uint32]
    #: uint32[runs] first edge of each run, counted from the first of the piece
    starts: NDArray[np.uint32]
    #: uint32[edges]
    targets: NDArray[np.uint32]
    #: directed edges that stood there before
    dropped: int


class _ArrayFile:
    """An array's file, written bit by bit, with the CRC-32 of what was written."""

    def __init__(self, path: Path, dtype: np.dtype[Any], *, columns: tuple[int, ...] = ()) -> None:
        self._path = path
        self._dtype = dtype
        self._columns = columns
        self._file = path.open("wb")
        self._crc32 = 0
        self._length = 0

    def append(self, values: NDArray[Any]) -> None:
        data = np.ascontiguousarray(values, dtype=self._dtype).view(np.uint8).data
        self._file.write(data)
        self._crc32 = zlib.crc32(data, self._crc32)
        self._length += len(values)

    def close(self) -> None:
        self._file.close()

    def entry(self) -> dict[str, Any]:
        return array_entry(self._path, self._dtype, (self._length, *self._columns), self._crc32)


class _IndexFiles:
    """The files of a store, appended to piece by piece."""

    _FILL = 2**20

    def __init__(self, part: Path, builder: StoreBuilder) -> None:
        self._part = part
        self._num_entities = builder.num_entities
        self._num_relations = builder.num_relations
        offset = offset_dtype(builder.num_added)
        triples = np.dtype(np.int64)
        #: In the order of the header.
        self._files: dict[str, _ArrayFile] = {}
        with ExitStack() as opened:
            for name, dtype, columns in (
                ("entity_runs", offset, ()),
                ("run_relations", relation_dtype(builder.num_relations), ()),
                ("run_starts", offset, ()),
                ("targets", np.dtype(np.uint32), ()),
                ("valid", triples, (3,)),
                ("test", triples, (3,)),
            ):
                self._files[name] = _ArrayFile(part / f"{name}.bin", dtype, columns=columns)
                opened.callback(self._files[name].close)
            self._opened = opened.pop_all()
        self._runs = self._edges = self._dropped = 0
        #: Entities whose first run is written.
        self._entities = 0
        self._last_run: tuple[int, int] | None = None

    def __enter__(self) -> _IndexFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def append(self, piece: _Piece) -> None:
        heads, relations, starts = piece.heads, piece.relations, piece.starts
        if self._last_run == (heads[0], relations[0]):
            heads, relations, starts = heads[1:], relations[1:], starts[1:]
        self._last_run = int(piece.heads[-1]), int(piece.relations[-1])
        if len(heads):
            self._start_entities(heads)
        self._files["run_relations"].append(relations)
        self._files["run_starts"].append(starts + np.uint64(self._edges))
        self._files["targets"].append(piece.targets)
        self._runs += len(heads)
        self._edges += len(piece.targets)
        self._dropped += piece.dropped

    def finish(self) -> dict[str, int]:
        self._start_empty_entities(self._num_entities + 1)
        self._files["run_starts"].append(np.array([self._edges], dtype=np.uint64))
        self._opened.close()  # what the files still buffer may be what a disk has no room for
        counts = {
            "num_entities": self._num_entities,
            "num_relations": self._num_relations,
            "num_edges": self._edges // 2,
            "duplicates": self._dropped // 2,  # every triple is there once in each direction
        }
        write_header(self._part, counts, {name: file.entry() for name, file in self._files.items()})
        return counts

    def _start_entities(self, heads: NDArray[np.uint32]) -> None:
        """Writes the first run of all entities up to the last head: the number of runs of those before."""
        first = int(heads[0])
        self._start_empty_entities(first + 1)
        before = np.cumsum(np.bincount(heads - np.uint32(first))[:-1])
        self._files["entity_runs"].append(before + self._runs)
        self._entities += len(before)

    def _start_empty_entities(self, end: int) -> None:
        while self._entities < end:
            size = min(end - self._entities, self._FILL)
            self._files["entity_runs"].append(np.full(size, self._runs, dtype=np.uint64))
            self._entities += size
