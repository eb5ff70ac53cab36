"""Labels and masks of a user's graph, in every layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from user_files import PATH, X, complaint, imported

from graphkit.nodes import mask_splits


@pytest.mark.parametrize("mark", ["", "NA", "NaN", "nan", "null", "None"])
def test_labels_that_are_missing_have_many_marks(tmp_path: Path, mark: str) -> None:
    for number, (label, classes) in enumerate((("good", [-1, 0, -1]), ("0", [-1, 0, -1]))):
        folder = tmp_path / str(number)
        folder.mkdir()
        graph, _ = imported(folder, edges_npy=PATH, features_npy=X, labels_csv=f"id,label\n0,{mark}\n1,{label}\n")
        assert graph.y.tolist() == classes


@pytest.mark.parametrize(
    ("labels", "expected"),
    [("label,split\n0,train\n1,test\n0,\n", [0, 1, 0]), ("label\n0\n\n1\n", [0, -1, 1])],
)
def test_labels_without_ids_are_one_a_node(tmp_path: Path, labels: str, expected: list[int]) -> None:
    graph, _ = imported(tmp_path, edges_npy=PATH, features_npy=X, labels_csv=labels)
    assert graph.y.tolist() == expected


def test_numbers_that_are_no_dense_classes_are_renumbered_and_keep_their_names(tmp_path: Path) -> None:
    graph, _ = imported(tmp_path, edges_npy=PATH, features_npy=X, labels_npy=np.array([7, 3, 7]))
    assert (graph.y.tolist(), graph.class_names) == ([1, 0, 1], ["3", "7"])


@pytest.mark.parametrize(
    "masks",
    [
        {"masks_csv": "train,val,test\ntrue,false,0\nFalse,True,0\n0,0,1\n"},
        {"masks_csv": "id,train_mask,test_mask,val_mask\n2,0,1,0\n0,1,0,0\n1,0,0,1\n"},
        {"masks_npz": {"train_mask": [1, 0, 0], "val_mask": [0, 1, 0], "test_mask": np.array([False, False, True])}},
        {"masks_parquet": pa.table({"split": ["train", "val", "test"]})},
    ],
)
def test_masks_of_every_kind(tmp_path: Path, masks: dict[str, Any]) -> None:
    graph, report = imported(tmp_path, edges_npy=PATH, features_npy=X, labels_npy=np.array([0, 1, 0]), **masks)
    found = [graph[f"{part}_mask"].tolist() for part in ("train", "val", "test")]
    assert found == np.eye(3, dtype=bool).tolist()
    assert report.splits == 1


def test_masks_of_several_splits(tmp_path: Path) -> None:
    by_split = {"train_masks": np.array([[1, 0, 0], [0, 1, 0]]), "test_masks": np.array([[0, 1, 1], [1, 0, 1]])}
    graph, report = imported(
        tmp_path, edges_npy=PATH, features_npy=X, labels_npy=np.array([0, 1, 0]), masks_npz=by_split
    )
    assert graph.train_mask.tolist() == [[True, False], [False, True], [False, False]]
    assert not graph.val_mask.any()
    assert (report.splits, len(mask_splits(graph))) == (2, 2)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"edges_npy": PATH, "features_npy": X, "labels_csv": "paper_id,kind,label\n1,a,x\n2,b,y\n"},
            "labels.csv has 3 columns (paper_id, kind, label), and which are ids and which labels is not clear; name "
            "them id and label, and leave others out",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_csv": "paper,split\n1,train\n2,test\n0,val\n"},
            "masks.csv has 2 columns (paper, split), and which are ids and which masks is not clear; name them id and "
            "split, or id, train, val and test, and leave others out",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_csv": "id,train,test\n1,1,0\n2,1,1\n"},
            "masks.csv: node 2 is in train and in test; take it out of one",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_csv": "id,train,test\n1,1,0\n2,0,1\n"},
            "masks.csv says which nodes train and test, and there are no labels to train on; give them too (--labels "
            "FILE)",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_npz": {"train_masks": np.ones((2, 4), bool)}},
            "masks.npz, array 'train_masks' is bool[2, 4], and there are 3 nodes; bool[splits, nodes] is needed",
        ),
        (
            {"edges_csv": "ann,bob\n", "features_csv": "ann,1\nbob,2\n", "labels_csv": "who,what\nann,good\n"},
            "labels.csv, column 1, row 1: the graph has no node 'who', nor one spelled like it; it has 2, e.g. ann, "
            "bob; every node needs its row of features; if row 1 is a header, name its columns id and label",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "labels_npy": np.array([0, 1])},
            "labels.npy has 2 rows, and the features have 3; give one label a node in the same order, or a column "
            "named id beside them",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "labels_csv": "1,good\n0,3\n"},
            "labels.csv, column 2 mixes numbers and texts, such as '3' and 'good'; labels are all of one kind, so name "
            "the header's columns (id and label), or mend the labels",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "labels_npy": np.array([-1, -1, -1])},
            "labels.npy has no labels: all are empty or -1; leave --labels out, or fill some in",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "labels_csv": "id,label\n0,\n1,\n"},
            "labels.csv, column 'label' has no labels: all are empty or -1; leave --labels out, or fill some in",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "labels_npy": np.array([0.5, 1, 1])},
            "labels.npy has the label 0.5; classes are texts or whole numbers from 0, and -1 or empty where unknown",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "labels_npy": np.array([0, 1, -2])},
            "labels.npy has the label -2; classes are texts or whole numbers from 0, and -1 or empty where unknown",
        ),
        (
            {"edges_csv": "ann,bob\n", "features_csv": "ann,1\nbob,2\n", "labels_csv": "ann,x\ncid,y\n"},
            "labels.csv, column 1, row 2: the graph has no node 'cid', nor one spelled like it; it has 2, e.g. ann, "
            "bob; every node needs its row of features",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "labels_csv": "1,x\n2,y\n1,y\n"},
            "labels.csv, column 1, row 3: node '1' has a label in row 1 already; leave one of the two",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "labels_csv": "id,a,b\n1,x,y\n"},
            "labels.csv has 3 columns (id, a, b), and which are ids and which labels is not clear; name them id and "
            "label, and leave others out",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_npy": np.array([1, 0, 0])},
            "masks.npy is one array, and masks are several; save them with numpy.savez(train_mask=…)",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_npz": {"train_mask": np.array([1, 0, 0])}},
            "masks.npz has masks of train; a probe needs train and test (columns or arrays train_mask, test_mask, "
            "perhaps val_mask, or a column named split)",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_npz": {"train_mask": np.array([1, 2, 0])}},
            "masks.npz, array 'train_mask' is int64[3], and there are 3 nodes; bool[nodes] or bool[nodes, splits] is "
            "needed",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_csv": "0,train\n1,test\n"},
            "masks.csv has no header; name its columns id and split, or id, train, val and test",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_csv": "id,split\n0,train\n1,dev\n"},
            "masks.csv, column 'split', row 2: 'dev' is no part; allowed: train, val, test, or empty",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_csv": "id,train,test\n0,yes,0\n"},
            "masks.csv, column 'train', row 1: 'yes' is neither true nor false (1 nor 0)",
        ),
        (
            {"edges_npy": PATH, "features_npy": X, "masks_csv": "train,test\n1,0\n"},
            "masks.csv has 1 rows, and the features have 3; give one mask a node in the same order, or a column named "
            "id beside them",
        ),
    ],
)
def test_what_is_wrong_with_labels_or_masks_is_said_and_nothing_is_left_behind(
    tmp_path: Path, files: dict[str, Any], expected: str
) -> None:
    assert complaint(tmp_path, **files) == expected
