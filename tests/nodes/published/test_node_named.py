"""Attributed graphs by name: each published layout on a small graph, the published files, and damaged ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from node_files import heterophilous_arrays, planetoid_parts, ppnp_arrays, write_planetoid
from scipy.sparse import csr_matrix

from graphkit.errors import GraphkitError
from graphkit.nodes import NODE_DATASETS, NodeGraph, adjacency, load, mask_splits, names
from graphkit.nodes.npz import read_arrays
from graphkit.nodes.published.archives import read_heterophilous, read_ppnp
from graphkit.nodes.published.planetoid import read_planetoid

ROOT = os.environ.get("GRAPHKIT_DATA")
with_files = pytest.mark.skipif(not ROOT, reason="GRAPHKIT_DATA is not set: no published data sets at hand")


def here(name: str) -> bool:
    return ROOT is not None and NODE_DATASETS[name].present(Path(ROOT))


# ---- layouts


def test_planetoid_files_are_put_together_as_published(tmp_path: Path) -> None:
    """Test nodes go to their places, and an id without a row is a node without features."""
    data = read_planetoid(write_planetoid(tmp_path, "tiny", planetoid_parts()), "tiny")
    assert data.x.tolist() == [[1, 0], [2, 0], [3, 0], [4, 0], [40, 1], [0, 0], [60, 1]]
    assert data.y.tolist() == [0, 1, 0, 1, 0, 0, 1]
    assert data.edge_index.T.tolist() == [[0, 1], [1, 0], [1, 6], [6, 1]]
    assert data.train_mask.nonzero().flatten().tolist() == [0, 1]
    assert data.val_mask.nonzero().flatten().tolist() == [2, 3, 4, 5, 6]  # 500 nodes, where there are as many
    assert data.test_mask.nonzero().flatten().tolist() == [4, 6]


@pytest.mark.parametrize(
    ("part", "value", "why"),
    [
        ("ally", np.eye(2)[[0, 1]], "allx and ally, or tx, ty and test.index, have different lengths"),
        ("test.index", [6, 4, 5], "allx and ally, or tx, ty and test.index, have different lengths"),
        ("test.index", [6, 3], "allx and ally, or tx, ty and test.index, have different lengths"),
        ("tx", np.ones((2, 3)), "the features of its parts have different numbers of columns"),
        ("y", [1, 2], "y is no matrix of numbers"),
        ("graph", {0: [7]}, "graph names a node outside of 0 to 6"),
        ("graph", [1, 2], "graph is no dictionary of lists of nodes"),
        ("graph", {0: ["a"]}, "graph is no dictionary of lists of nodes"),
        ("graph", {0: [0.5]}, "graph is no dictionary of lists of nodes"),
        ("test.index", [6, 9 * 10**14], "test.index names node 900000000000000, and there are rows of 6 nodes"),
        (
            "tx",
            csr_matrix((2, 10**12)),
            "tx: the shape [2, 1000000000000] has more than 268,435,456 values",
        ),
    ],
)
def test_planetoid_files_that_do_not_fit_together_are_refused(tmp_path: Path, part: str, value: Any, why: str) -> None:
    write_planetoid(tmp_path, "tiny", planetoid_parts() | {part: value})
    with pytest.raises(GraphkitError) as error:
        read_planetoid(tmp_path, "tiny")
    shown = tmp_path / "ind.tiny.*"
    assert str(error.value) == f"the files {shown} do not fit together: {why}; put the published files there"


def test_test_indices_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    for index, why in ((["six"], "holds something else than one number a line"), ([4, 4], "names a node twice")):
        write_planetoid(tmp_path, "tiny", planetoid_parts() | {"test.index": index})
        with pytest.raises(GraphkitError) as error:
            read_planetoid(tmp_path, "tiny")
        assert str(error.value) == f"{tmp_path / 'ind.tiny.test.index'} {why}; fetch it again"


def test_archives_of_ppnp_become_undirected_without_touching_objects(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **ppnp_arrays())
    graph = NodeGraph.of(read_ppnp(tmp_path / "a.npz"))
    assert graph.edge_index.T.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert graph.x.tolist() == [[1, 0], [0, 0], [0, 2]]
    assert graph.y.tolist() == [0, 1, 1]


def test_heterophilous_archives_get_both_directions_and_masks_by_node(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **heterophilous_arrays())
    graph = NodeGraph.of(read_heterophilous(tmp_path / "a.npz"))
    assert graph.edge_index.T.tolist() == [[0, 1], [1, 0], [1, 2], [2, 1]]
    assert graph.train_mask.tolist() == [[True, False], [False, True], [False, False]]
    assert [(split.train.tolist(), split.test.tolist()) for split in mask_splits(graph)] == [([0], [2]), ([1], [0])]


@pytest.mark.parametrize(
    ("arrays", "change", "said"),
    [
        (ppnp_arrays, {"labels": None}, "lacks the arrays labels; it has "),
        (
            ppnp_arrays,
            {"labels": np.array([0, 1])},
            "does not fit together: adj_matrix is [3, 3] and labels [2], with ",
        ),
        (ppnp_arrays, {"adj_matrix.indices": np.array([1, 2, 9])}, "is damaged: adj_matrix is no sparse matrix ("),
        (
            ppnp_arrays,
            {"labels": np.array([{}] * 3)},
            "cannot be read as an npz archive: Object arrays cannot be loaded",
        ),
        (
            ppnp_arrays,
            {"attr_matrix.shape": np.array([3, 10**12])},
            "is damaged: attr_matrix: the shape [3, 1000000000000] has more than 268,435,456 values; fetch it again",
        ),
        (
            ppnp_arrays,
            {"attr_matrix.data": np.array(["a", "b"])},
            "is damaged: attr_matrix is no sparse matrix (data is no vector of numbers); fetch it again",
        ),
        (ppnp_arrays, {"attr_matrix.shape": np.array(5)}, "is damaged: attr_matrix is no sparse matrix ("),
        (
            ppnp_arrays,
            {"adj_matrix.indptr": np.array([0, 3, 1, 3])},
            "is damaged: adj_matrix is no sparse matrix (indptr does not part the entries into its rows); fetch it ",
        ),
        (
            ppnp_arrays,
            {"labels": np.array(["a", "b", "c"])},
            "is damaged: labels holds <U1, and whole numbers are needed; fetch it again",
        ),
        (
            heterophilous_arrays,
            {"node_labels": np.array([0.5, np.nan, 1])},
            "is damaged: node_labels holds float64, and whole numbers are needed; fetch it again",
        ),
        (
            heterophilous_arrays,
            {"node_features": np.array([["a"]] * 3)},
            "is damaged: node_features: <U1[3, 1] is no matrix of numbers; fetch it again",
        ),
        (
            heterophilous_arrays,
            {"train_masks": np.array([["a"] * 3])},
            "is damaged: train_masks holds <U1, and whole numbers are needed; fetch it again",
        ),
        (
            heterophilous_arrays,
            {"edges": np.array([[0, 3]])},
            "does not fit together: an edge names a node outside of 0 to",
        ),
        (heterophilous_arrays, {"node_labels": np.array([0])}, "does not fit together: the arrays have shapes {"),
    ],
)
def test_archives_that_do_not_fit_together_are_refused(
    tmp_path: Path, arrays: Any, change: dict[str, Any], said: str
) -> None:
    read = read_ppnp if arrays is ppnp_arrays else read_heterophilous
    path = tmp_path / "a.npz"
    np.savez(path, **{name: array for name, array in (arrays() | change).items() if array is not None})
    with pytest.raises(GraphkitError) as error:
        read(path)
    assert str(error.value).startswith(f"{path} {said}")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.ones(1_000))
    whole = path.read_bytes()
    np.save(tmp_path / "b.npy", np.ones(3))
    for content in (b"", b"text", whole[: len(whole) // 2], (tmp_path / "b.npy").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(GraphkitError, match=r"cannot be read as an npz archive: .*; fetch it again"):
            read_arrays(path, ["a"])


# ---- by name


def test_every_name_can_be_looked_up_without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHKIT_DATA", raising=False)
    assert len(set(names())) == len(names())
    assert names()[-1] == "planted"
    for name in names()[:-1]:
        with pytest.raises(
            GraphkitError, match=f"the (data set|graph) {name} needs the environment variable GRAPHKIT_DATA"
        ):
            load(name)
    planted = load("planted", standardize=["largest_component"])
    assert planted.name == "planted"
    assert 1_900 < planted.num_nodes <= 2_000


def test_unknown_names_and_missing_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(GraphkitError) as error:
        load("cora_nl")
    assert str(error.value).startswith(
        "there is no attributed graph named 'cora_nl'; the nearest are cora_ml, cora, cornell, and all are cora, "
    )
    with pytest.raises(GraphkitError) as error:
        load("texas", root=tmp_path)
    assert str(error.value) == (
        f"the data set texas lacks texas.npz in {tmp_path}/node/heterophilous; put "
        f"node/heterophilous/{{texas.npz}} below {tmp_path}, or set GRAPHKIT_DATA to the folder that holds them"
    )


def test_files_of_another_graph_are_told_by_their_counts(tmp_path: Path) -> None:
    folder = tmp_path / "node/heterophilous"
    folder.mkdir(parents=True)
    np.savez(folder / "texas.npz", **heterophilous_arrays())
    with pytest.raises(GraphkitError) as error:
        load("texas", root=tmp_path)
    assert str(error.value) == (
        f"{folder} does not hold the published texas: nodes, edges, features and classes are 3 / 2 / 2 / 2 instead of "
        "183 / 279 / 1703 / 5; put the published files there, or import these with graphkit data import-nodes"
    )


@with_files
@pytest.mark.parametrize("name", [name for name in NODE_DATASETS if name != "pubmed"])
def test_published_files_hold_what_was_published(name: str) -> None:
    """`load` compares the counts of nodes, edges, features and classes."""
    if not here(name):
        pytest.skip(f"{name} is not below GRAPHKIT_DATA")
    graph = load(name)
    assert graph.name == name
    structure = adjacency(graph)
    assert structure.nnz == graph.edge_index.size(1)
    assert structure.indices.ctypes.data == graph.edge_index[1].data_ptr()
    if NODE_DATASETS[name].layout == "heterophilous":
        assert len(mask_splits(graph)) == 10


@with_files
@pytest.mark.parametrize(("name", "nodes", "edges"), [("citeseer_ppnp", 2_110, 3_668), ("cora_ml", 2_810, 7_981)])
def test_largest_components_are_those_of_the_paper(name: str, nodes: int, edges: int) -> None:
    if not here(name):
        pytest.skip(f"{name} is not below GRAPHKIT_DATA")
    graph = load(name, standardize=["largest_component"])
    assert (graph.num_nodes, adjacency(graph).nnz // 2) == (nodes, edges)


@with_files
@pytest.mark.filterwarnings("ignore:dtype.. align should be passed")  # NumPy, of the integers in old pickles
@pytest.mark.parametrize(("name", "published"), [("cora", "Cora"), ("citeseer", "CiteSeer")])
def test_planetoid_is_what_pyg_reads(name: str, published: str, tmp_path: Path) -> None:
    if not here(name):
        pytest.skip(f"{name} is not below GRAPHKIT_DATA")
    from torch_geometric.datasets import Planetoid
    from torch_geometric.utils import coalesce

    folder = Path(str(ROOT)) / NODE_DATASETS[name].folder
    shutil.copytree(folder, tmp_path / published / "raw")  # PyG writes beside its raw files
    expected = Planetoid(str(tmp_path), published)[0]
    graph = load(name)
    for key in ("x", "y", "train_mask", "val_mask", "test_mask"):
        assert torch.equal(graph[key], expected[key]), key
    assert torch.equal(graph.edge_index, coalesce(expected.edge_index))
