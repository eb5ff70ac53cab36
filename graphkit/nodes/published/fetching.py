"""Attributed graphs that PyG's and OGB's own classes download, kept below ``$GRAPHKIT_DATA/node/fetched``.

Those classes read what they downloaded in ways of their own, pickles among them; they are given no other files.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Data

from graphkit.atomic import new_folder
from graphkit.data.named import VARIABLE
from graphkit.errors import GraphkitError
from graphkit.nodes.published.catalogue import FETCHED, FetchedDataset


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
    folder = dataset.folder(Path(given))
    if not folder.exists():
        with new_folder(folder) as part:
            _made(dataset, part, folder)
    return _with_splits(_made(dataset, folder, folder))


def _made(dataset: FetchedDataset, root: Path, folder: Path) -> Any:
    """Lets the library's class read its files in `root`, or download them there; they will lie in `folder`."""
    library = dataset.library
    try:
        return getattr(import_module(dataset.module), dataset.cls)(root=str(root), **dataset.keywords)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == library:
            raise GraphkitError(
                f"the graph {dataset.name} is read by {library}, which is not installed; pip install {library}"
            ) from None
        raise
    except Exception as error:  # of another library, and of the network below it: there is no telling which
        raise GraphkitError(
            f"the graph {dataset.name} cannot be read from {folder}, or downloaded to it, by {dataset.cls} "
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
