"""Graphs that other libraries download: kept whole or not at all, read again from where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch_geometric.datasets
from node_files import planetoid_parts, write_planetoid
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.nodes import NODE_DATASETS, load


class Library:
    """What the classes of PyG and OGB have in common: they download into ``root`` what is not there."""

    downloads = 0

    def __init__(self, root: str, **keywords: Any) -> None:
        self.keywords = keywords
        if not (Path(root) / "data").exists():
            Path(root, "data").write_text("downloaded", encoding="utf-8")
            type(self).downloads += 1

    def __getitem__(self, place: int) -> Data:
        assert place == 0
        return Data(x=torch.ones(3, 2), edge_index=torch.tensor([[0], [1]]), y=torch.tensor([[0], [1], [0]]))


class WithSplits(Library):
    def get_idx_split(self) -> dict[str, torch.Tensor]:
        return {"train": torch.tensor([0]), "valid": torch.tensor([1]), "test": torch.tensor([2])}


def test_a_graph_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_geometric.datasets, "Amazon", type("Amazon", (Library,), {}))
    graph = load("photo", root=tmp_path)
    assert (graph.name, graph.y.tolist()) == ("photo", [0, 1, 0])
    assert load("photo", root=tmp_path).fingerprint == graph.fingerprint
    assert torch_geometric.datasets.Amazon.downloads == 1
    assert (tmp_path / "node/fetched/photo/data").is_file()


def test_splits_of_ogb_become_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_geometric.datasets, "WikiCS", WithSplits)
    graph = load("wikics", root=tmp_path)
    masks = [graph[f"{part}_mask"].tolist() for part in ("train", "val", "test")]
    assert masks == [[True, False, False], [False, True, False], [False, False, True]]


def test_a_download_that_fails_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, root: str, **keywords: Any) -> None:
            Path(root, "half").write_text("", encoding="utf-8")
            raise OSError("no route\nto host")

    monkeypatch.setattr(torch_geometric.datasets, "Coauthor", Broken)
    with pytest.raises(GraphkitError) as error:
        load("coauthor_cs", root=tmp_path)
    assert str(error.value) == (
        f"the graph coauthor_cs cannot be read from {tmp_path}/node/fetched/coauthor_cs, or downloaded to it, by "
        "Coauthor (OSError: no route to host); connect to the network, or copy that folder from a machine that has it"
    )
    assert list((tmp_path / "node/fetched").iterdir()) == []


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ogb", None)
    with pytest.raises(GraphkitError) as error:
        load("ogbn_arxiv", root=tmp_path)
    assert str(error.value) == "the graph ogbn_arxiv is read by ogb, which is not installed; pip install ogb"


def test_raw_files_that_lie_there_come_before_a_download(tmp_path: Path) -> None:
    folder = tmp_path / NODE_DATASETS["pubmed"].folder
    write_planetoid(folder, "pubmed", planetoid_parts())
    with pytest.raises(GraphkitError, match="does not hold the published pubmed"):
        load("pubmed", root=tmp_path)
