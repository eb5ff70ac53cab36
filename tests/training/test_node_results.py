"""Embeddings as a table: ids, vectors, and classes where they are known."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import graphkit.training.node_results as node_results
from graphkit.graph import Vocabulary
from graphkit.training.node_results import write_embeddings


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_results, "_REALS_AT_ONCE", 6)  # two rows of three


def test_a_row_is_a_node_with_its_number_and_vector(tmp_path: Path) -> None:
    embeddings = torch.arange(15.0).reshape(5, 3)
    write_embeddings(tmp_path / "e.parquet", embeddings)
    table = pq.read_table(tmp_path / "e.parquet")
    assert table.schema.types == [pa.int64(), pa.list_(pa.float32(), 3)]
    assert table.to_pydict() == {"id": list(range(5)), "embedding": embeddings.tolist()}
    assert [path.name for path in tmp_path.iterdir()] == ["e.parquet"]


def test_nodes_have_the_ids_and_the_classes_of_the_user(tmp_path: Path) -> None:
    ids, y = Vocabulary(["ann", "bob", "cid"], kind="node"), torch.tensor([1, -1, 0])
    path = tmp_path / "e.parquet"
    write_embeddings(path, torch.zeros(3, 3), ids, y=y, class_names=["cold", "warm"])
    found = pq.read_table(path).to_pydict()
    assert (found["id"], found["label"]) == (["ann", "bob", "cid"], ["warm", None, "cold"])
    write_embeddings(path, torch.zeros(3, 3), ids, y=y)
    assert pq.read_table(path)["label"].to_pylist() == [1, None, 0]
