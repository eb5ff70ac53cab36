"""Features of a user's graph: which columns are ids, which features, and what is neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from user_files import PATH, X, complaint, imported


@pytest.mark.parametrize(
    "features",
    [
        {"features_csv": ",a,b\n1,5,5.5\n0,6,6.5\n2,7,7.5\n"},  # pandas' index, as to_csv and to_parquet write it
        {"features_csv": "Unnamed: 0,a,b\n1,5,5.5\n0,6,6.5\n2,7,7.5\n"},
        {"features_csv": "\n\npaper_id,a,b\n1,5,5.5\n0,6,6.5\n2,7,7.5\n"},
        {"features_parquet": pa.table({"a": [5, 6, 7], "b": [5.5, 6.5, 7.5], "__index_level_0__": [1, 0, 2]})},
        {
            "features_parquet": pa.table(
                {"index": [1, 0, 2], "x": pa.array([[5, 6], [7, 8], [9, 9]], pa.list_(pa.int64()))}
            )
        },
    ],
)
def test_columns_of_ids_go_by_many_names(tmp_path: Path, features: dict[str, Any]) -> None:
    graph, report = imported(tmp_path, edges_csv=" node_1 ,node_2\n1, 0\n0 ,2\n", **features)
    assert graph.node_ids is not None and graph.node_ids.labels.to_pylist() == ["1", "0", "2"]
    assert (report.features, report.edges) == (2, 2)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("paper,a\n1,5\n0,5\n2,7\n", "column 'paper' holds the numbers 0 to 2"),
        ("paper,a\n3,5\n1,5\n2,7\n", "column 'paper' holds the numbers 1 to 3"),
        ("2,5\n1.0,5\n0,7\n", "column 1 holds the numbers 0 to 2"),
    ],
)
def test_a_first_feature_that_numbers_the_rows_is_refused(tmp_path: Path, features: str, said: str) -> None:
    """Edges would be taken for numbers of rows, and every node would have the features of another."""
    assert complaint(tmp_path, edges_csv="0,1\n1,2\n", features_csv=features) == (
        f"features.csv, {said}, each once, as ids do, and is not named so; name it id in a header, or put another "
        "column first if it is a feature"
    )


@pytest.mark.parametrize("first", [[1, 1, 2], [0, 1, 3], [2, 3, 4], [0, 0.5, 1], [0, 1]])
def test_other_numbers_in_front_are_features(tmp_path: Path, first: list[float]) -> None:
    rows = "".join(f"{value},7\n" for value in first)
    graph, _ = imported(tmp_path, edges_csv="0,1\n", features_csv=f"a,b\n{rows}")
    assert (graph.x[:, 0].tolist(), graph.node_ids) == (first, None)


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int8()])
def test_a_narrow_first_column_is_a_feature_of_any_number_of_rows(tmp_path: Path, kind: pa.DataType) -> None:
    first = [row % 2 for row in range(300)]
    table = pa.table({"a": pa.array(first).cast(kind), "b": [0.5] * 300})
    graph, _ = imported(tmp_path, edges_csv="0,1\n", features_parquet=table)
    assert (graph.x[:, 0].tolist(), graph.node_ids) == (first, None)


def test_features_of_an_array_are_converted_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphkit.nodes.imported.feature_table._BLOCK_VALUES", 5)
    x = np.random.default_rng(0).random((101, 2))
    graph, _ = imported(tmp_path, edges_npy=PATH, features_npy=x)
    np.testing.assert_array_equal(graph.x.numpy(), x.astype(np.float32))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"edges_csv": "0,1\n", "features_csv": "index,paper_id,a\n0,7,1\n1,8,1\n"},
            "features.csv has several columns of ids, column 'index' and column 'paper_id'; leave one, and rename or "
            "drop the others",
        ),
        (
            {"edges_npy": PATH, "features_npy": np.ones(3)},
            "features.npy holds features of float64[3]; numbers of shape [nodes, features] are needed",
        ),
        (
            {"edges_npy": PATH, "features_npy": np.array([["a"], ["b"]])},
            "features.npy holds features of <U1[2, 1]; numbers of shape [nodes, features] are needed",
        ),
        (
            {"edges_npy": PATH, "features_npz": {"x": X, "ids": np.array(["a", "b"])}},
            "features.npz, array 'ids' has shape [2], and there are 3 rows of features",
        ),
        (
            {"edges_npy": PATH, "features_npy": np.array([[1, 2], [3, np.nan], [1, 1]])},
            "features.npy: feature 1 of node 1 is nan, or missing; features must be finite (as float32), so fill it "
            "in, with the column's mean, say",
        ),
        (
            {"edges_npy": PATH, "features_npy": np.array([[1, 2], [1e300, 3], [1, 1]])},
            "features.npy: feature 0 of node 1 is 1e+300, or missing; features must be finite (as float32), so fill it "
            "in, with the column's mean, say",
        ),
        (
            {"edges_csv": "ann,bob\n", "features_csv": "id,age\nann,\nbob,3\n"},
            "features.csv: feature 'age' of node 'ann' is nan, or missing; features must be finite (as float32), so "
            "fill it in, with the column's mean, say",
        ),
        (
            {"edges_csv": "ann,bob\n", "features_csv": "id,age,hair\nann,1,red\nbob,3,4\n"},
            "features.csv, column 'hair', row 1: 'red' is no number; features are numbers, so encode texts (one column "
            "a value, say), or leave the column out",
        ),
        (
            {"edges_csv": "ann,bob\n", "features_csv": "id,age\nann,1\nbob,3\nann,4\n"},
            "features.csv, column 'id', row 3: the id 'ann' stands in row 1 already; each node needs one row of "
            "features",
        ),
        (
            {"edges_csv": "ann,bob\n", "features_csv": "id,age\nann,1\n,3\n"},
            "features.csv, column 'id' has no id in row 2; fill it in, or take the row out",
        ),
        (
            {"edges_csv": "ann,bob\n", "features_csv": "id\nann\nbob\n"},
            "features.csv has a column of ids and no features; add columns of numbers",
        ),
    ],
)
def test_what_is_wrong_with_features_is_said_and_nothing_is_left_behind(
    tmp_path: Path, files: dict[str, Any], expected: str
) -> None:
    assert complaint(tmp_path, **files) == expected
