"""Small graphs in the layouts of published files."""

from __future__ import annotations

import io
import pickle
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_matrix


class _OldPickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes strings as Python 2 did, and names as SciPy and NumPy had them then."""

    def save_string(self, obj: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(obj)) + obj)
        self.memoize(obj)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        renamed = {"scipy.sparse._csr": "scipy.sparse.csr", "numpy._core.multiarray": "numpy.core.multiarray"}
        module = renamed.get(obj.__module__, obj.__module__)
        if module == obj.__module__:
            super().save_global(obj, name)
        else:
            self.write(b"c" + f"{module}\n{obj.__name__}\n".encode())
            self.memoize(obj)

    dispatch: ClassVar[dict[type, Any]] = {
        **pickle._Pickler.dispatch,  # type: ignore[attr-defined]
        type: save_global,
        type(len): save_global,
        bytes: save_string,
    }


def old_pickle(value: Any) -> bytes:
    """Protocol 2, as Python 2 wrote it."""
    file = io.BytesIO()
    _OldPickler(file, 2).dump(value)
    return file.getvalue()


def planetoid_parts() -> dict[str, Any]:
    """Seven nodes, two features, two classes: 0 to 3 in allx; tests 6 and 4; node 5 is isolated, without a row."""
    allx = np.array([[1, 0], [2, 0], [3, 0], [4, 0]], np.float32)
    tx = np.array([[60, 1], [40, 1]], np.float32)  # in the order of test.index
    ally, ty = np.eye(2, dtype=np.int32)[[0, 1, 0, 1]], np.eye(2, dtype=np.int32)[[1, 0]]
    parts: dict[str, Any] = {"allx": csr_matrix(allx), "x": csr_matrix(allx[:2]), "tx": csr_matrix(tx)}
    parts |= {"ally": ally, "y": ally[:2], "ty": ty, "test.index": [6, 4]}
    # One direction of 0 – 1 and both of 1 – 6; a repeated edge and a loop, as the published files have them.
    parts["graph"] = {0: [1, 1], 1: [6], 2: [2], 3: [], 4: [], 5: [], 6: [1]}
    return parts


def write_planetoid(folder: Path, prefix: str, parts: dict[str, Any]) -> Path:
    """Writes the files of a graph."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, value in parts.items():
        path = folder / f"ind.{prefix}.{part}"
        if part == "test.index":
            path.write_text("".join(f"{line}\n" for line in value), encoding="utf-8")
        else:
            path.write_bytes(value if isinstance(value, bytes) else old_pickle(value))
    return folder


def ppnp_arrays() -> dict[str, Any]:
    """Three nodes in a directed path 0 → 1 → 2, with a loop at 2."""
    edges = csr_matrix(np.array([[0, 1, 0], [0, 0, 1], [0, 0, 1]], np.float32))
    features = csr_matrix(np.array([[1, 0], [0, 0], [0, 2]], np.float32))
    arrays: dict[str, Any] = {"labels": np.array([0, 1, 1], np.int8), "metadata": np.array([{}], dtype=object)}
    for name, matrix in (("adj_matrix", edges), ("attr_matrix", features)):
        for part in ("data", "indices", "indptr", "shape"):
            arrays[f"{name}.{part}"] = np.asarray(getattr(matrix, part))
    return arrays


def heterophilous_arrays() -> dict[str, Any]:
    """Three nodes in a path, each edge once; two splits."""
    masks = np.array([[True, False, False], [False, True, False]])
    return {
        "node_features": np.array([[1, 0], [0, 0], [0, 2]], np.float32),
        "node_labels": np.array([0, 1, 1]),
        "edges": np.array([[1, 0], [1, 2]]),
        "train_masks": masks,
        "val_masks": np.roll(masks, 1, axis=1),
        "test_masks": np.roll(masks, 2, axis=1),
    }
