"""The store's folder on disk: ``graph.json`` (versioned, checksummed) beside one file an array, mapped when opened."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from graphkit.atomic import new_folder, require_new
from graphkit.errors import GraphkitError
from graphkit.graph.vocabulary import Vocabulary

FORMAT = "graphkit-graph"
VERSION = 1
HEADER = "graph.json"

#: Checksums of stores up to this size are compared whenever they are opened; of larger ones on request, since
#: a mapped store of many gigabytes must open in under a second.
VERIFY_UP_TO_BYTES = 256 * 2**20

_CHUNK = 16 * 2**20


@dataclass(frozen=True)
class StoreContents:
    """All that a store holds, as read or to be written."""

    #: num_entities, num_relations, num_edges, duplicates
    counts: dict[str, int]
    #: index arrays and held-out triples by name
    arrays: dict[str, NDArray[Any]]
    #: "entities" and "relations", where the graph has labels
    vocabularies: dict[str, Vocabulary]
    #: CRC-32 of each file's bytes, by array or vocabulary name
    checksums: dict[str, int]
    #: whether reading compared the checksums
    verified: bool = False


def checksum(data: NDArray[Any]) -> int:
    """Returns the CRC-32 of the bytes of an array."""
    flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
    value = 0
    for start in range(0, len(flat), _CHUNK):
        value = zlib.crc32(flat[start : start + _CHUNK].data, value)
    return value


def _seal(header: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(header, sort_keys=True).encode())


def require_free(folder: Path, *, overwrite: bool) -> None:
    """Makes sure that a store may be written, before any work is done for it: nothing but a store is replaced.

    Raises:
        GraphkitError: the folder exists and `overwrite` is false, or it is no store.
    """
    require_new(folder, overwrite=overwrite)
    if folder.exists() and not (folder / HEADER).is_file():
        raise GraphkitError(f"{folder} is no graph store (it has no {HEADER}), so it is not replaced; choose another")


def write_store(folder: Path, contents: StoreContents, *, overwrite: bool) -> None:
    """Writes the store, whole or not at all.

    Raises:
        GraphkitError: the folder exists and `overwrite` is false, is no store, or cannot be written.
    """
    require_free(folder, overwrite=overwrite)
    with new_folder(folder, overwrite=overwrite) as part:
        files: dict[str, dict[str, Any]] = {}
        for name, array in contents.arrays.items():
            path = part / f"{name}.bin"
            _write_array(path, array)
            files[name] = array_entry(path, array.dtype, array.shape, contents.checksums[name])
        for name, vocabulary in contents.vocabularies.items():
            path = part / f"{name}.arrow"
            vocabulary.save(path)
            files[name] = {"file": path.name, "size": len(vocabulary), "crc32": checksum(_map_bytes(path))}
        write_header(part, contents.counts, files)


def array_entry(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], crc32: int) -> dict[str, Any]:
    """Returns what the header says of an array's file."""
    return {"file": path.name, "dtype": dtype.name, "shape": list(shape), "crc32": crc32}


def write_header(part: Path, counts: dict[str, int], files: dict[str, dict[str, Any]]) -> None:
    """Writes the header beside the files that it describes."""
    write_sealed(part / HEADER, {"format": FORMAT, "version": VERSION, **counts, "files": files})


def write_sealed(path: Path, header: dict[str, Any]) -> None:
    """Writes a header as JSON, with a checksum of itself."""
    path.write_text(json.dumps({**header, "checksum": _seal(header)}, indent=2), encoding="utf-8")


def _write_array(path: Path, array: NDArray[Any]) -> None:
    # Not array.tofile: that one ignores a disk that is full when its buffer is flushed.
    with path.open("wb") as file:
        file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def read_store(folder: Path, *, verify: bool | None) -> StoreContents:
    """Maps a store's arrays.

    Args:
        folder: what `write_store` made.
        verify: compare all checksums; by default only up to `VERIFY_UP_TO_BYTES`.

    Raises:
        GraphkitError: no store there, a newer version, or a damaged file.
    """
    header = _read_header(folder)
    files: dict[str, dict[str, Any]] = header["files"]
    size = sum(_size(folder / entry["file"]) for entry in files.values())
    verify = size <= VERIFY_UP_TO_BYTES if verify is None else verify
    arrays: dict[str, NDArray[Any]] = {}
    vocabularies: dict[str, Vocabulary] = {}
    for name, entry in files.items():
        path = folder / entry["file"]
        if verify and checksum(_map_bytes(path)) != entry["crc32"]:
            raise damaged(path, "its checksum differs from the one in graph.json")
        if "dtype" in entry:
            arrays[name] = _map_array(path, entry)
        else:
            try:
                vocabularies[name] = Vocabulary.load(path, kind="entity" if name == "entities" else "relation")
            except (pa.ArrowInvalid, OSError):
                raise damaged(path, "it cannot be read as an Arrow file") from None
    counts = {key: int(header[key]) for key in ("num_entities", "num_relations", "num_edges", "duplicates")}
    checksums = {name: int(entry["crc32"]) for name, entry in files.items()}
    return StoreContents(counts, arrays, vocabularies, checksums, verify)


def _size(path: Path) -> int:
    if not path.is_file():
        raise damaged(path, "it is missing")
    return path.stat().st_size


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    if not folder.exists():
        raise GraphkitError(f"the graph store {folder} does not exist; if it has moved, say graph.path=FOLDER")
    if not path.is_file():
        raise GraphkitError(f"{folder} is no graph store: it has no {HEADER}; make one with graphkit data import")
    return read_sealed(path, FORMAT, VERSION)


def read_sealed(path: Path, kind: str, version: int) -> dict[str, Any]:
    """Returns what `write_sealed` wrote, without the checksum.

    Args:
        path: the header.
        kind: what its ``format`` has to be.
        version: the newest that is known.

    Raises:
        GraphkitError: a newer version, or a damaged file.
    """
    try:
        header = json.loads(path.read_bytes())
        if not isinstance(header, dict):
            raise ValueError
        stated = header.pop("checksum", None)
    except ValueError:
        raise damaged(path, "it cannot be read as JSON") from None
    if header.get("format") == kind and isinstance(header.get("version"), int) and header["version"] > version:
        raise GraphkitError(
            f"{path} has version {header['version']}, and this graphkit reads up to {version}; install a newer "
            "graphkit or import the graph again"
        )
    if stated != _seal(header) or header.get("format") != kind:
        raise damaged(path, "its checksum differs from its content")
    return header


def _map_bytes(path: Path) -> NDArray[np.uint8]:
    if path.stat().st_size == 0:
        return np.empty(0, dtype=np.uint8)
    return np.memmap(path, dtype=np.uint8, mode="r")


def _map_array(path: Path, entry: dict[str, Any]) -> NDArray[Any]:
    dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
    expected = dtype.itemsize * int(np.prod(shape))
    if path.stat().st_size != expected:
        raise damaged(path, f"it has {path.stat().st_size} bytes instead of {expected}")
    if expected == 0:
        return np.empty(shape, dtype=dtype)
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=shape))


def damaged(path: Path, why: str) -> GraphkitError:
    """Returns what to tell a user whose store has a damaged file."""
    return GraphkitError(f"{path} is damaged: {why}; restore it from a copy or import the graph again")
