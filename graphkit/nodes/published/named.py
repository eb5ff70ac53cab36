"""Attributed graphs by name: published files below ``$GRAPHKIT_DATA``, and those that PyG and OGB know how to fetch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from torch_geometric.data import Data

from graphkit.data.named import VARIABLE, published_folder
from graphkit.errors import GraphkitError, nearest
from graphkit.nodes.graph import NodeGraph
from graphkit.nodes.planted import planted_communities
from graphkit.nodes.published.archives import read_heterophilous, read_ppnp
from graphkit.nodes.published.catalogue import BUILT_IN, FETCHED, NODE_DATASETS, NodeDataset, names
from graphkit.nodes.published.fetching import fetch
from graphkit.nodes.published.planetoid import read_planetoid
from graphkit.nodes.standardizing import Transform, standardized


def load(name: str, *, root: Path | None = None, standardize: Sequence[str | Transform] | None = None) -> NodeGraph:
    """Loads an attributed graph by name, with the splits that it was published with.

    Edges of the graphs in `NODE_DATASETS` are undirected, without loops; those that PyG or OGB fetch are as there
    (`adjacency` makes any of them undirected). Components and features stay as they were published, unless
    `standardize` changes them.

    Args:
        name: one of `names`.
        root: the folder with the data sets; None takes the environment variable ``GRAPHKIT_DATA``. ``planted`` needs
            none.
        standardize: standard forms to bring the graph into, in order, such as ``["largest_component"]``; see
            `STANDARD_FORMS`. Transforms of PyG will do too.

    Raises:
        GraphkitError: an unknown name, files that are not there or hold other counts than the published graph, or a
            graph of PyG's or OGB's that cannot be fetched.
    """
    if name == BUILT_IN:
        graph = planted_communities()
    elif name in FETCHED and not _present(name, root):
        graph = NodeGraph.of(fetch(name, root))
    elif name in NODE_DATASETS:
        graph = _published(NODE_DATASETS[name], root)
    else:
        near = nearest(name, names())
        hint = f"the nearest are {', '.join(near)}, and all are" if near else "there are"
        raise GraphkitError(f"there is no attributed graph named {name!r}; {hint} {', '.join(names())}")
    graph.name = name
    return standardized(graph, standardize)


def _present(name: str, root: Path | None) -> bool:
    given = root if root is not None else os.environ.get(VARIABLE)
    return name in NODE_DATASETS and bool(given) and NODE_DATASETS[name].present(Path(str(given)))


def _published(dataset: NodeDataset, root: Path | None) -> NodeGraph:
    folder = published_folder(dataset.name, dataset.folder, dataset.files, root)
    graph = NodeGraph.of(_read(dataset, folder))
    found = (len(graph.x), graph.edge_index.size(1) // 2, graph.x.size(1), graph.num_classes)
    if found != dataset.counts:
        listed = (" / ".join(str(count) for count in counts) for counts in (found, dataset.counts))
        raise GraphkitError(
            f"{folder} does not hold the published {dataset.name}: nodes, edges, features and classes are "
            f"{' instead of '.join(listed)}; put the published files there, or import these with graphkit data "
            "import-nodes"
        )
    return graph


def _read(dataset: NodeDataset, folder: Path) -> Data:
    if dataset.layout == "planetoid":
        return read_planetoid(folder, dataset.stem)
    read = read_ppnp if dataset.layout == "ppnp" else read_heterophilous
    return read(folder / f"{dataset.stem}.npz")
