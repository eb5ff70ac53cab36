"""From a user's files to a graph: every kind of file, ids of every kind, and a sentence for edges that are wrong."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from user_files import PATH, X, complaint, imported, written

from graphkit.errors import GraphkitError
from graphkit.nodes import adjacency, import_nodes, mask_splits, open_store

EDGES = "source\ttarget\nann\tbob\nbob\tcid\nbob\tann\ncid\tcid\n007\tann\n"
FEATURES = "id,age,height\nann,3,1.5\nbob,4,0\ncid,0,0\n007,1,2\n"
LABELS = "id,label\nann,good\nbob,bad\n007,good\n"


def test_tables_with_ids_of_texts(tmp_path: Path) -> None:
    masks = "id,split\nbob,train\nann,test\n007,valid\n"
    graph, report = imported(tmp_path, edges_tsv=EDGES, features_csv=FEATURES, labels_csv=LABELS, masks_csv=masks)
    assert graph.node_ids is not None and graph.node_ids.labels.to_pylist() == ["ann", "bob", "cid", "007"]
    assert graph.x.tolist() == [[3, 1.5], [4, 0], [0, 0], [1, 2]]
    assert (graph.y.tolist(), graph.class_names) == ([1, 0, -1, 1], ["bad", "good"])
    assert adjacency(graph).toarray().tolist() == [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]]
    assert graph.train_mask.tolist() == [False, True, False, False]
    assert graph.val_mask.tolist() == [False, False, False, True]
    assert [(split.train.tolist(), split.test.tolist()) for split in mask_splits(graph)] == [([1], [0])]
    assert report.lines() == [
        f"{tmp_path}/edges.tsv: delimiter tab, a header",
        f"{tmp_path}/features.csv: delimiter comma, a header, features age, height",
        "4 nodes under their own ids, 2 features",
        "3 undirected edges of 5 rows; left out: 1 repeated (in either direction), 1 self-loops",
        "3 nodes have labels, of 2 classes",
        "masks of 1 split, which task.labels_per_class=null takes in place of random ones",
        "warning: 1 nodes have features that are all zero",
        "warning: a class has 1 label, and random splits need at least 2: one to train, one to test",
        f"saved in {tmp_path}/graph",
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"edges_npy": PATH, "features_npy": X, "labels_npy": np.array([0, 1, -1])},
        {
            "edges_npy": np.array([[0, 1, 1], [1, 2, 0]]),
            "features_npy": X.astype(np.float64),
            "labels_npy": np.array([[0], [1], [-1]]),
        },
        {"edges_npz": {"edge_index": PATH.T}, "features_npz": {"x": X}, "labels_npz": {"y": np.array([0, 1, np.nan])}},
        {"edges_npz": {"edges": PATH}, "features_npz": {"features": X}, "labels_tsv": "0\n1\n-1\n"},
        {"edges_csv": "0,1\n1,2\n", "features_csv": "1,0\n0,2\n3,3\n", "labels_csv": 'label\n0\n1\n""\n'},
        {"edges_csv": "u;v\n0;1\n1;2\n", "features_csv": "a,b\n1,0\n0,2\n3,3\n", "labels_csv": "1,1\n0,0\n"},
        {
            "edges_tsv_gz": "0\t1\n1\t2\n",
            "features_tsv": "1\t0\n0\t2\n3\t3\n",
            "labels_csv": "node_id,class\n1,1.0\n0,0.0\n",
        },
        {
            "edges_parquet": pa.table({"weight": [0.5, 0.5], "src": [0, 1], "dst": [1, 2]}),
            "features_parquet": pa.table({"a": [1.0, 0, 3], "b": pa.array([0, 2, 3], pa.int8())}),
            "labels_parquet": pa.table({"label": pa.array([0, 1, None], pa.int64())}),
        },
    ],
)
def test_rows_without_ids_are_numbered(tmp_path: Path, files: dict[str, Any]) -> None:
    """0 – 1 – 2 with the labels 0, 1 and none, in every kind of file."""
    graph, report = imported(tmp_path, **files)
    assert graph.x.tolist() == X.tolist()
    assert adjacency(graph).toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert graph.y.tolist() == [0, 1, -1]
    assert (graph.node_ids, graph.class_names, report.classes) == (None, None, 2)
    assert "3 nodes numbered 0 to 2, 2 features" in report.lines()


@pytest.mark.parametrize(
    "files",
    [
        {"edges_csv": "10,20\n20,30\n", "features_csv": "node,a\n10,1\n20,2\n30,3\n"},
        {
            "edges_csv": "10,20\n20,30\n",
            "features_npz": {"x": np.array([[1], [2], [3]]), "ids": np.array([10, 20, 30])},
        },
        {
            "edges_npy": np.array([["10", "20"], ["20", "30"], ["10", "20"]]),
            "features_tsv": "a\tid\n1\t10\n2\t20\n3\t30\n",
        },
        {
            "edges_parquet": pa.table({"a": [10, 20], "b": ["20", "30"]}),
            "features_parquet": pa.table({"id": [10, 20, 30], "a": [1, 2, 3]}),
        },
        {  # as embeddings are written
            "edges_parquet": pa.table({"from": ["10", "20"], "to": ["20", "30"]}),
            "features_parquet": pa.table(
                {"id": ["10", "20", "30"], "embedding": pa.array([[1.0], [2.0], [3.0]], pa.list_(pa.float32(), 1))}
            ),
        },
    ],
)
def test_ids_that_are_numbers_are_looked_up(tmp_path: Path, files: dict[str, Any]) -> None:
    graph, _ = imported(tmp_path, **files)
    assert graph.node_ids is not None and graph.node_ids.labels.to_pylist() == ["10", "20", "30"]
    assert graph.x.tolist() == [[1], [2], [3]]
    assert adjacency(graph).toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_a_first_column_of_texts_is_one_of_ids_and_007_is_not_7(tmp_path: Path) -> None:
    graph, _ = imported(tmp_path, edges_csv="007,7\n7,b\n", features_csv="007,1\n7,2\nb,3\n", labels_csv="b,x\n007,y\n")
    assert graph.node_ids is not None and graph.node_ids.labels.to_pylist() == ["007", "7", "b"]
    assert adjacency(graph).toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert graph.y.tolist() == [1, -1, 0]


def test_two_edges_in_an_archive_are_read_as_its_key_says(tmp_path: Path) -> None:
    for key, ends in (("edges", [[0, 1], [0, 2]]), ("edge_index", [[0, 0], [1, 2]])):
        folder = tmp_path / key
        folder.mkdir()
        graph, _ = imported(folder, edges_npz={key: np.array(ends)}, features_npy=X)
        assert adjacency(graph).toarray().tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]


def test_a_first_row_of_texts_is_no_header_where_ids_or_labels_are_numbers_below(tmp_path: Path) -> None:
    """A row that was taken for a header would be lost without a word."""
    graph, report = imported(
        tmp_path, edges_csv="a,b\n1,2\n", features_csv="a,5\nb,6\n1,7\n2,8\n", labels_csv="a,x\n1,y\n"
    )
    assert (report.nodes, report.edges, report.labelled) == (4, 2, 2)
    assert graph.x.flatten().tolist() == [5, 6, 7, 8]


def test_what_deserves_a_look_is_said(tmp_path: Path) -> None:
    _, report = imported(tmp_path, edges_npy=np.array([[1, 1], [2, 2], [0, 0]]), features_npy=X)
    assert [line for line in report.lines() if line.startswith("warning")] == [
        "warning: there are no edges, so nothing can be learnt of the structure",
        "warning: without labels embeddings are made, but none are probed; --labels FILE gives them",
    ]
    assert "0 undirected edges of 3 rows; left out: 3 self-loops" in report.lines()
    (tmp_path / "more").mkdir()
    labels = np.repeat([0, 1], [25, 8])
    _, report = imported(tmp_path / "more", edges_npy=PATH, features_npy=np.ones((33, 1)), labels_npy=labels)
    assert [line for line in report.lines() if line.startswith("warning")] == [
        "warning: 30 nodes have no edge",
        "warning: a class has 8 labels, and random splits take 20 of each class to train; train with "
        "task.labels_per_class=4",
    ]


def test_columns_of_edges_beside_their_ends_are_left_out_and_named(tmp_path: Path) -> None:
    _, report = imported(tmp_path, edges_csv="weight,source,target,year\n0.5,0,1,2001\n", features_npy=X)
    assert report.left_out == ("weight", "year")
    assert "warning: edges have two ends and nothing else here; left out of their table: weight, year" in report.lines()


def test_a_folder_is_replaced_only_when_told_to_and_only_one_of_this_kind(tmp_path: Path) -> None:
    imported(tmp_path, edges_npy=PATH, features_npy=X)
    files = {"edges": tmp_path / "edges.npy", "features": tmp_path / "features.npy"}
    with pytest.raises(GraphkitError) as error:
        import_nodes(**files, out=tmp_path / "graph")
    assert str(error.value) == (
        f"{tmp_path}/graph exists already; choose another folder or say overwrite (--overwrite)"
    )
    np.save(files["features"], X + 1)
    import_nodes(**files, out=tmp_path / "graph", overwrite=True)
    assert open_store(tmp_path / "graph").x.tolist() == (X + 1).tolist()
    (tmp_path / "photos").mkdir()
    with pytest.raises(GraphkitError) as error:
        import_nodes(**files, out=tmp_path / "photos", overwrite=True)
    assert str(error.value) == (
        f"{tmp_path}/photos is no store of an attributed graph (it has no nodes.json), so it is not replaced; choose "
        "another"
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"edges_txt": "0 1\n", "features_npy": X},
            "edges.txt is of no known kind; files of graphs end in .npy, .npz, .parquet, .csv, .tsv (.csv and .tsv "
            "also with .gz)",
        ),
        (
            {"edges_npy": np.array([1, 2, 3]), "features_npy": X},
            "edges.npy holds edges of shape [3]; [edges, 2] or [2, edges] is needed",
        ),
        (
            {"edges_npy": np.array([[0.0, 1.0]]), "features_npy": X},
            "edges.npy, column 1 holds double; ids of nodes are texts or whole numbers",
        ),
        (
            {"edges_npz": {"lines": PATH}, "features_npy": X},
            "edges.npz has the arrays lines, and none of them is called edges or edge_index; rename one",
        ),
        (
            {"edges_npy": np.array([[0, 1], [1, 3], [1, 2]]), "features_npy": X},
            "edges.npy, column 2, row 2: there is no node 3; the features have 3 rows, 0 to 2, so add its row, or give "
            "the features a column named id",
        ),
        (
            {"edges_csv": "0,1\n-1,2\n", "features_npy": X},
            "edges.csv, column 1, row 2: there is no node -1; the features have 3 rows, 0 to 2, so add its row, or "
            "give the features a column named id",
        ),
        (
            {"edges_csv": "0,1\nann,2\n", "features_npy": X},
            "edges.csv, column 1, row 2: 'ann' is no number of a node, and the features have no ids; give them a "
            "column named id, or number nodes 0 to 2",
        ),
        (
            {"edges_csv": "citing,cited\nann,bob\n", "features_csv": "ann,1\nbob,2\n"},
            "edges.csv, column 1, row 1: the graph has no node 'citing', nor one spelled like it; it has 2, e.g. ann, "
            "bob; every node needs its row of features; if row 1 is a header, name its columns source and target",
        ),
        (
            {"edges_csv": "ann,bob\nann,rob\n", "features_csv": "ann,1\nbob,2\n"},
            "edges.csv, column 2, row 2: the graph has no node 'rob'; nearest: bob; every node needs its row of "
            "features",
        ),
        (
            {"edges_csv": "ann,bob\nann,\n", "features_csv": "ann,1\nbob,2\n"},
            "edges.csv, column 2 has no id in row 2; fill it in, or take the row out",
        ),
        (
            {"edges_csv": "a,b,c\n0,1,2\n", "features_npy": X},
            "edges.csv has 3 columns (delimiter comma, no header), a, b, c; edges need two, or a header that names one "
            "of them source and one target",
        ),
        (
            {"edges_csv": "0\n1\n", "features_npy": X},
            "edges.csv has 1 column (delimiter comma, no header), 0; edges need two, or a header that names one of "
            "them source and one target",
        ),
        (
            {"edges_csv": "source,weight,dest_id\n0,1,2\n", "features_npy": X},
            "edges.csv has 3 columns (delimiter comma, no header), source, weight, dest_id; edges need two, or a "
            "header that names one of them source and one target",
        ),
        (
            {"edges_csv": "id1,from,to\n0,1,2\n", "features_npy": X},
            "edges.csv has 3 columns (delimiter comma, a header), id1, from, to; edges need two, or a header that "
            "names one of them source and one target",
        ),
        (
            {"edges_npy": np.array([[0, 1], [1, 2]]), "features_npy": X},
            "edges.npy holds edges of shape [2, 2], which may be [edges, 2] or [2, edges]; save them with "
            "numpy.savez(edges=…) or numpy.savez(edge_index=…)",
        ),
        (
            {"edges_csv": "0,1\n99999999999999999999,2\n", "features_npy": X},
            "edges.csv, column 1, row 2: '99999999999999999999' is no number of a node, and the features have no ids; "
            "give them a column named id, or number nodes 0 to 2",
        ),
        (
            {"edges_csv": "0,1\n--4,2\n", "features_npy": X},
            "edges.csv, column 1, row 2: '--4' is no number of a node, and the features have no ids; give them a "
            "column named id, or number nodes 0 to 2",
        ),
        (
            {"edges_csv": "# a comment\n0,1\n", "features_npy": X},
            "edges.csv starts with '# a comment', and comments are not known; take such lines out, and name columns "
            "without #",
        ),
        ({"edges_csv": "", "features_npy": X}, "edges.csv is empty; nothing can be made of it"),
        (
            {"edges_csv": "source,target\n", "features_npy": X},
            "edges.csv holds only a header; nothing can be made of it",
        ),
        (
            {
                "edges_parquet": pa.table({"a": pa.array([], pa.int64()), "b": pa.array([], pa.int64())}),
                "features_npy": X,
            },
            "edges.parquet has no rows; nothing can be made of it",
        ),
    ],
)
def test_what_is_wrong_with_edges_is_said_and_nothing_is_left_behind(
    tmp_path: Path, files: dict[str, Any], expected: str
) -> None:
    assert complaint(tmp_path, **files) == expected


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", x=np.ones((50, 50)))
    cut = (tmp_path / "whole.npz").read_bytes()[:500]
    for number, (suffix, content) in enumerate(
        {"npz": cut, "npy": b"\x93NUMPY", "parquet": b"PAR1", "csv": b"1,2\n3\n", "csv_gz": b"1,2\n"}.items()
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = written(folder, edges_npy=PATH, **{f"features_{suffix}": content})
        if suffix == "csv_gz":
            paths["features"].write_bytes(gzip.compress(b"1,2\n" * 999)[:-9])
        with pytest.raises(GraphkitError, match=rf"^{paths['features']} cannot be read") as error:
            import_nodes(paths["edges"], paths["features"], folder / "graph")
        assert "\n" not in str(error.value)
        assert not (folder / "graph").exists()


def test_python_objects_in_arrays_are_never_read(tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "edges.npy", PATH)
    with pytest.raises(GraphkitError, match=r"cannot be read as an npy file: .*Python objects"):
        import_nodes(tmp_path / "edges.npy", tmp_path / "features.npy", tmp_path / "graph")


def test_a_missing_file_is_said_before_any_work(tmp_path: Path) -> None:
    paths = written(tmp_path, edges_npy=PATH, features_npy=X)
    with pytest.raises(GraphkitError) as error:
        import_nodes(paths["edges"], paths["features"], tmp_path / "graph", labels=tmp_path / "labels.csv")
    assert str(error.value).startswith(f"there is no file {tmp_path}/labels.csv; ")
