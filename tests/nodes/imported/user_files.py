"""Files as users have them, and what became of their import."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from graphkit.errors import GraphkitError
from graphkit.nodes import NodeGraph, NodeImportReport, import_nodes, open_store

PATH = np.array([[0, 1], [1, 2], [2, 1]])
X = np.array([[1, 0], [0, 2], [3, 3]])


def written(folder: Path, **contents: Any) -> dict[str, Path]:
    """Files by what they hold; a key is that and the suffix: ``edges_tsv``."""
    paths = {}
    for key, content in contents.items():
        name, suffix = key.split("_", 1)
        paths[name] = folder / f"{name}.{suffix.replace('_', '.')}"
        if isinstance(content, pa.Table):
            parquet.write_table(content, paths[name])
        elif isinstance(content, dict):
            np.savez(paths[name], **content)
        elif isinstance(content, np.ndarray):
            np.save(paths[name], content)
        else:
            raw = content.encode() if isinstance(content, str) else content
            paths[name].write_bytes(gzip.compress(raw) if suffix.endswith("gz") else raw)
    return paths


def imported(folder: Path, **contents: Any) -> tuple[NodeGraph, NodeImportReport]:
    paths = written(folder, **contents)
    report = import_nodes(paths.pop("edges"), paths.pop("features"), folder / "graph", **paths)
    return open_store(folder / "graph"), report


def complaint(folder: Path, **contents: Any) -> str:
    """The sentence that an import ends with, the folder left out; nothing is left behind."""
    with pytest.raises(GraphkitError) as error:
        imported(folder, **contents)
    assert not [path for path in folder.iterdir() if path.is_dir()]
    return str(error.value).replace(f"{folder}/", "")
