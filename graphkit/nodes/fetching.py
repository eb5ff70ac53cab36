"""Attributed graphs that PyG's and OGB's own classes download, kept below ``$GRAPHKIT_DATA/node/fetched``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from graphkit.atomic import new_folder
from graphkit.data.named import VARIABLE
from graphkit.errors import GraphkitError


@dataclass(frozen=True)
class FetchedDataset:
    """A graph that a class of another library downloads and reads."""

    #: The module of the class, which is imported when the graph is asked for.
    module: str
    cls: str
    #: Keywords beside ``root``.
    keywords: dict[str, Any] = field(default_factory=dict)


def _pyg(cls: str, **keywords: Any) -> FetchedDataset:
    return FetchedDataset("torch_geometric.datasets", cls, keywords)


def _ogb(name: str) -> FetchedDataset:
    return FetchedDataset("ogb.nodeproppred", "PygNodePropPredDataset", {"name": name})


#: By name.
FETCHED: dict[str, FetchedDataset] = {
    "pubmed": _pyg("Planetoid", name="PubMed"),
    "computers": _pyg("Amazon", name="Computers"),
    "photo": _pyg("Amazon", name="Photo"),
    "coauthor_cs": _pyg("Coauthor", name="CS"),
    "coauthor_physics": _pyg("Coauthor", name="Physics"),
    "wikics": _pyg("WikiCS"),
    "lastfm_asia": _pyg("LastFMAsia"),
    "roman_empire": _pyg("HeterophilousGraphDataset", name="Roman-empire"),
    "amazon_ratings": _pyg("HeterophilousGraphDataset", name="Amazon-ratings"),
    "tolokers": _pyg("HeterophilousGraphDataset", name="Tolokers"),
    "questions": _pyg("HeterophilousGraphDataset", name="Questions"),
    "ogbn_arxiv": _ogb("ogbn-arxiv"),
    "ogbn_products": _ogb("ogbn-products"),
}


def fetched_folder(name: str, root: Path) -> Path:
    """Returns the folder that holds a fetched graph, or will."""
    return root / "node" / "fetched" / name


def fetch(name: str, root: Path | None) -> Data:
    """Returns a graph of `FETCHED`, downloaded the first time; a download that fails leaves nothing behind.

    Args:
        name: of the graph.
        root: the folder with the data sets; None takes the environment variable ``GRAPHKIT_DATA``.

    Raises:
        GraphkitError: there is no such folder, the library is not installed, or the graph cannot be fetched or read.
    """
    given = root if root is not None else os.environ.get(VARIABLE)
    if not given:
        raise GraphkitError(
            f"the graph {name} needs the environment variable {VARIABLE}, which is not set; set it to a folder that it "
            "may be downloaded to"
        )
    dataset = FETCHED[name]
    try:
        make = getattr(import_module(dataset.module), dataset.cls)
    except ImportError:
        package = dataset.module.partition(".")[0]
        raise GraphkitError(
            f"the graph {name} is read by {package}, which is not installed; pip install {package}"
        ) from None
    folder = fetched_folder(name, Path(given))
    try:
        if not folder.exists():
            with new_folder(folder) as part:
                make(root=str(part), **dataset.keywords)
        return _with_splits(make(root=str(folder), **dataset.keywords))
    except GraphkitError:
        raise
    except Exception as error:  # of another library, and of the network below it: there is no telling which
        raise GraphkitError(
            f"the graph {name} is not in {folder}, or cannot be read or downloaded there by {dataset.cls} "
            f"({type(error).__name__}: {' '.join(str(error).split())}); connect to the network, or copy that folder "
            "from a machine that has it"
        ) from error


def _with_splits(dataset: Any) -> Data:
    """Returns the one graph of a data set; the splits of OGB, which are lists of nodes, become masks."""
    data = dataset[0]
    if hasattr(dataset, "get_idx_split"):
        for split, ids in dataset.get_idx_split().items():
            mask = torch.zeros(data.num_nodes, dtype=torch.bool)
            mask[torch.as_tensor(ids)] = True
            data["val_mask" if split == "valid" else f"{split}_mask"] = mask
    return data
