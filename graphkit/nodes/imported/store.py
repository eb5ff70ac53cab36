"""The folder of an attributed graph: ``nodes.json`` (versioned, checksummed) beside npy files, mapped when opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from graphkit.atomic import new_folder, require_new
from graphkit.errors import GraphkitError
from graphkit.graph import Vocabulary
from graphkit.graph.store import VERIFY_UP_TO_BYTES, checksum, damaged, read_sealed, write_sealed
from graphkit.nodes.checks import checked_edges
from graphkit.nodes.graph import MASKS, NodeGraph, sparse_rows
from graphkit.nodes.standardizing import Transform, standardized

FORMAT = "graphkit-nodes"
VERSION = 1
HEADER = "nodes.json"
IDS = "nodes.arrow"


@dataclass(frozen=True)
class NodeStoreContents:
    """All that is written into a store."""

    #: Blocks of rows of features, float32[·, F], N rows in all.
    features: Iterable[NDArray[np.float32]]
    #: (N, F)
    shape: tuple[int, int]
    #: int64[N + 1] and int64[E]: rows of the adjacency, symmetric, without loops.
    indptr: NDArray[np.int64]
    indices: NDArray[np.int64]
    #: int64[N], -1 where unknown, or None.
    labels: NDArray[np.int64] | None = None
    #: bool[3, N, S]: train, val and test, or None.
    masks: NDArray[np.bool_] | None = None
    node_ids: Vocabulary | None = None
    class_names: Sequence[str] | None = None


def require_free_store(folder: Path, *, overwrite: bool) -> None:
    """Makes sure that a store may be written, before any work is done for it: nothing but a store is replaced.

    Raises:
        GraphkitError: the folder exists and `overwrite` is false, or it is no store of an attributed graph.
    """
    require_new(folder, overwrite=overwrite)
    if folder.exists() and not (folder / HEADER).is_file():
        raise GraphkitError(
            f"{folder} is no store of an attributed graph (it has no {HEADER}), so it is not replaced; choose another"
        )


def write_store(folder: Path, contents: NodeStoreContents, *, overwrite: bool = False) -> None:
    """Writes the store, whole or not at all.

    Raises:
        GraphkitError: the folder exists and `overwrite` is false, is no store, or cannot be written.
    """
    require_free_store(folder, overwrite=overwrite)
    with new_folder(folder, overwrite=overwrite) as part:
        nodes, width = contents.shape
        mapped = np.lib.format.open_memmap(part / "features.npy", "w+", np.float32, contents.shape)
        start = 0
        for block in contents.features:
            mapped[start : start + len(block)] = block
            start += len(block)
        assert start == nodes
        mapped.flush()
        del mapped
        arrays: dict[str, NDArray[Any]] = {"indptr": contents.indptr, "indices": contents.indices}
        arrays |= {"labels": contents.labels} if contents.labels is not None else {}
        arrays |= {"masks": contents.masks} if contents.masks is not None else {}
        for name, array in arrays.items():
            np.save(part / f"{name}.npy", array, allow_pickle=False)
        if contents.node_ids is not None:
            contents.node_ids.save(part / IDS)
        files = sorted(path.name for path in part.iterdir())
        header = {
            "format": FORMAT,
            "version": VERSION,
            "nodes": nodes,
            "features": width,
            "edges": len(contents.indices) // 2,
            "class_names": list(contents.class_names) if contents.class_names is not None else None,
            "files": {name: _sum(part / name) for name in files},
        }
        write_sealed(part / HEADER, header)


def open_store(
    path: str | Path, *, verify: bool | None = None, standardize: Sequence[str | Transform] | None = None
) -> NodeGraph:
    """Opens an imported graph; features and structure (``adj_t``) stay mapped, not read.

    Args:
        path: the folder that ``graphkit data import-nodes`` made.
        verify: compare all checksums; by default for stores up to 256 MiB.
        standardize: as in `load`; what a transform changes is in memory.

    Raises:
        GraphkitError: no store there, a newer version, or a damaged file.
    """
    folder = Path(path)
    header = _read_header(folder)
    for name in header["files"]:
        if not (folder / name).is_file():
            raise damaged(folder / name, "it is missing")
    size = sum((folder / name).stat().st_size for name in header["files"])
    if verify or (verify is None and size <= VERIFY_UP_TO_BYTES):
        for name, stated in header["files"].items():
            if _sum(folder / name) != stated:
                raise damaged(folder / name, f"its checksum differs from the one in {HEADER}")
    nodes, width, entries = int(header["nodes"]), int(header["features"]), 2 * int(header["edges"])
    graph = NodeGraph()
    graph.name = folder.resolve().name
    graph.x = _mapped(folder, "features", np.float32, (nodes, width))
    indptr = _mapped(folder, "indptr", np.int64, (nodes + 1,))
    graph.adj_t = sparse_rows(indptr, _mapped(folder, "indices", np.int64, (entries,)))
    checked_edges(graph, nodes)
    if "labels.npy" in header["files"]:
        graph.y = _mapped(folder, "labels", np.int64, (nodes,))
    if "masks.npy" in header["files"]:
        masks = _mapped(folder, "masks", np.bool_, (3, nodes, None))
        for name, mask in zip(MASKS, masks, strict=True):
            graph[name] = mask[:, 0] if mask.size(1) == 1 else mask
    if IDS in header["files"]:
        try:
            graph.node_ids = Vocabulary.load(folder / IDS, kind="node")
        except (pa.ArrowInvalid, OSError):
            raise damaged(folder / IDS, "it cannot be read as an Arrow file") from None
    graph.class_names = header["class_names"]
    return standardized(graph, standardize)


def _mapped(folder: Path, name: str, dtype: Any, shape: tuple[int | None, ...]) -> torch.Tensor:
    path = folder / f"{name}.npy"
    try:
        # Copy on write: PyTorch warns of memory that it must not write to, and who does write has a copy of a page.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise damaged(path, "it cannot be read as an npy file") from None
    same = len(array.shape) == len(shape) and all(b in (a, None) for a, b in zip(array.shape, shape, strict=True))
    if array.dtype != dtype or not same:
        raise damaged(path, f"it holds {array.dtype}{list(array.shape)}, which {HEADER} does not say")
    return torch.from_numpy(np.asarray(array))


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    if not folder.exists():
        raise GraphkitError(f"the graph {folder} does not exist; if it has moved, say graph.path=FOLDER")
    if not path.is_file():
        raise GraphkitError(
            f"{folder} holds no attributed graph: it has no {HEADER}; make one with graphkit data import-nodes"
        )
    return read_sealed(path, FORMAT, VERSION)


def _sum(path: Path) -> int:
    return checksum(np.memmap(path, np.uint8, "r"))
