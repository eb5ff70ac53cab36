"""The folder of an attributed graph: what is written comes back mapped, and damage is found."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphkit.errors import GraphkitError
from graphkit.graph import Vocabulary
from graphkit.nodes import adjacency, open_store, planted_communities
from graphkit.nodes.imported.store import NodeStoreContents, write_store


def contents(**changes: Any) -> NodeStoreContents:
    graph = planted_communities(nodes=60, edges=150, features=3, communities=6, classes=2)
    structure = adjacency(graph)
    parts: dict[str, Any] = {
        "features": iter([graph.x[:20].numpy(), graph.x[20:].numpy()]),
        "shape": (60, 3),
        "indptr": structure.indptr.astype(np.int64),
        "indices": structure.indices.astype(np.int64),
        "labels": graph.y.numpy(),
        "masks": np.arange(60 * 3 * 2).reshape(3, 60, 2) % 3 == 0,
        "node_ids": Vocabulary([f"n{i}" for i in range(60)], kind="node"),
        "class_names": ["a", "b"],
    }
    return NodeStoreContents(**(parts | changes))


def test_what_is_written_is_opened_over_its_files(tmp_path: Path) -> None:
    write_store(tmp_path / "graph", contents())
    graph, made = (
        open_store(tmp_path / "graph"),
        planted_communities(nodes=60, edges=150, features=3, communities=6, classes=2),
    )
    assert graph.fingerprint == made.fingerprint
    assert (graph.name, graph.class_names, graph.num_classes) == ("graph", ["a", "b"], 2)
    assert graph.node_ids is not None and graph.node_ids.label(59) == "n59"
    masks = torch.stack([graph.train_mask, graph.val_mask, graph.test_mask])
    np.testing.assert_array_equal(masks.numpy(), contents().masks)
    assert adjacency(graph).indices.ctypes.data == graph.adj_t.col_indices().data_ptr()
    mapped = Path("/proc/self/maps")
    if mapped.exists():
        assert {"features.npy", "indices.npy"} <= {line.rpartition("/")[2] for line in mapped.read_text().splitlines()}


def test_writing_to_a_mapped_tensor_changes_no_file(tmp_path: Path) -> None:
    write_store(tmp_path / "graph", contents())
    before = (tmp_path / "graph/features.npy").read_bytes()
    open_store(tmp_path / "graph").x.zero_()
    assert (tmp_path / "graph/features.npy").read_bytes() == before


def test_only_structure_and_features_are_needed(tmp_path: Path) -> None:
    write_store(tmp_path / "graph", contents(labels=None, masks=None, node_ids=None, class_names=None))
    graph = open_store(tmp_path / "graph")
    assert (graph.y, graph.node_ids, graph.class_names, "train_mask" in graph) == (None, None, None, False)


def test_standard_forms_are_applied_when_opened(tmp_path: Path) -> None:
    write_store(tmp_path / "graph", contents())
    graph = open_store(tmp_path / "graph", standardize=["normalize_features"])
    assert torch.allclose(graph.x.sum(dim=1), torch.ones(60))
    assert graph.node_ids is not None and len(graph.node_ids) == 60


@pytest.mark.parametrize(
    "name", ["features.npy", "indices.npy", "indptr.npy", "labels.npy", "masks.npy", "nodes.arrow"]
)
def test_damage_to_any_file_is_found(tmp_path: Path, name: str) -> None:
    write_store(tmp_path / "graph", contents())
    path = tmp_path / "graph" / name
    whole = bytearray(path.read_bytes())
    whole[-9] ^= 1
    path.write_bytes(whole)
    assert complaint(tmp_path / "graph") == (
        f"{path} is damaged: its checksum differs from the one in nodes.json; restore it from a copy or import the "
        f"graph again"
    )
    path.unlink()
    assert complaint(tmp_path / "graph") == (
        f"{path} is damaged: it is missing; restore it from a copy or import the graph again"
    )


def complaint(folder: Path, **options: Any) -> str:
    with pytest.raises(GraphkitError) as error:
        open_store(folder, **options)
    return str(error.value)


def test_what_is_mapped_is_looked_at_where_checksums_are_not_compared(tmp_path: Path) -> None:
    write_store(tmp_path / "graph", contents())
    np.save(tmp_path / "graph/labels.npy", np.zeros(59, np.int64))
    assert complaint(tmp_path / "graph", verify=False).startswith(
        f"{tmp_path}/graph/labels.npy is damaged: it holds int64[59], which nodes.json does not say; "
    )
    (tmp_path / "graph/labels.npy").write_bytes(b"")
    assert "labels.npy is damaged: it cannot be read as an npy file; " in complaint(tmp_path / "graph", verify=False)
    indices = np.load(tmp_path / "graph/indices.npy")
    indices[3] = 60
    np.save(tmp_path / "graph/indices.npy", indices)
    assert complaint(tmp_path / "graph", verify=False).startswith("an edge names node 60, and there are features of 60")


def test_headers_are_checked(tmp_path: Path) -> None:
    folder = tmp_path / "graph"
    assert complaint(folder) == f"the graph {folder} does not exist; if it has moved, say graph.path=FOLDER"
    folder.mkdir()
    assert complaint(folder) == (
        f"{folder} holds no attributed graph: it has no nodes.json; make one with graphkit data import-nodes"
    )
    folder.rmdir()
    write_store(folder, contents())
    header = json.loads((folder / "nodes.json").read_text())
    for change, said in (
        ({"nodes": 7}, "is damaged: its checksum differs from its content"),
        ({"format": "other"}, "is damaged: its checksum differs from its content"),
        (
            {"version": 2},
            "has version 2, and this graphkit reads up to 1; install a newer graphkit or import the graph",
        ),
    ):
        (folder / "nodes.json").write_text(json.dumps(header | change))
        assert complaint(folder).startswith(f"{folder}/nodes.json {said}")
    for text in ("[1]", "{"):
        (folder / "nodes.json").write_text(text)
        assert "nodes.json is damaged: it cannot be read as JSON; " in complaint(folder)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Any:
        yield np.zeros((20, 3), np.float32)
        raise GraphkitError("no more")

    with pytest.raises(GraphkitError, match="no more"):
        write_store(tmp_path / "graph", contents(features=broken()))
    assert list(tmp_path.iterdir()) == []


def test_checksums_are_those_of_the_files(tmp_path: Path) -> None:
    write_store(tmp_path / "graph", contents())
    header = json.loads((tmp_path / "graph/nodes.json").read_text())
    assert len(header["files"]) == 6
    for name, stated in header["files"].items():
        assert zlib.crc32((tmp_path / "graph" / name).read_bytes()) == stated
