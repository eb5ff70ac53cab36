"""Attributed graphs by name: published files below ``$GRAPHKIT_DATA``, and those that PyG and OGB know how to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch_geometric.data import Data

from graphkit.data.named import published_folder
from graphkit.errors import GraphkitError, nearest
from graphkit.nodes.archives import read_heterophilous, read_ppnp
from graphkit.nodes.fetching import FETCHED, fetch
from graphkit.nodes.graph import NodeGraph
from graphkit.nodes.planetoid import planetoid_files, read_planetoid
from graphkit.nodes.planted import planted_communities
from graphkit.nodes.standardizing import Transform, standardized

#: The graph that comes with the package and needs no files.
BUILT_IN = "planted"


@dataclass(frozen=True)
class NodeDataset:
    """One published graph: where its files lie and what they hold."""

    name: str
    #: How the files are laid out.
    layout: Literal["planetoid", "ppnp", "heterophilous"]
    #: The folder below ``$GRAPHKIT_DATA``.
    folder: str
    #: What the file is called, or what the files are called after ``ind.``.
    stem: str
    nodes: int
    #: Undirected edges, without loops and repeated ones.
    edges: int
    features: int
    classes: int

    @property
    def files(self) -> tuple[str, ...]:
        """The files in the folder."""
        return planetoid_files(self.stem) if self.layout == "planetoid" else (f"{self.stem}.npz",)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Nodes, undirected edges, features and classes."""
        return self.nodes, self.edges, self.features, self.classes

    def read(self, folder: Path) -> Data:
        """Reads the files."""
        if self.layout == "planetoid":
            return read_planetoid(folder, self.stem)
        read = read_ppnp if self.layout == "ppnp" else read_heterophilous
        return read(folder / f"{self.stem}.npz")


def _heterophilous(name: str, nodes: int, edges: int, features: int, classes: int = 5) -> NodeDataset:
    return NodeDataset(name, "heterophilous", "node/heterophilous", name, nodes, edges, features, classes)


_PUBLISHED = (
    NodeDataset("cora", "planetoid", "node/planetoid/Cora/raw", "cora", 2_708, 5_278, 1_433, 7),
    NodeDataset("citeseer", "planetoid", "node/planetoid/CiteSeer/raw", "citeseer", 3_327, 4_552, 3_703, 6),
    NodeDataset("citeseer_ppnp", "ppnp", "node/ppnp", "citeseer", 3_312, 4_536, 3_703, 6),
    NodeDataset("cora_ml", "ppnp", "node/ppnp", "cora_ml", 2_995, 8_158, 2_879, 7),
    _heterophilous("actor", 7_600, 26_659, 932),
    _heterophilous("chameleon", 2_277, 31_371, 2_325),
    _heterophilous("chameleon_filtered", 890, 8_854, 2_325),
    _heterophilous("squirrel", 5_201, 198_353, 2_089),
    _heterophilous("squirrel_filtered", 2_223, 46_998, 2_089),
    _heterophilous("cornell", 183, 277, 1_703),
    _heterophilous("texas", 183, 279, 1_703),
    _heterophilous("wisconsin", 251, 450, 1_703),
    _heterophilous("minesweeper", 10_000, 39_402, 7, 2),
)

#: The published graphs that graphkit reads itself, by name.
NODE_DATASETS: dict[str, NodeDataset] = {dataset.name: dataset for dataset in _PUBLISHED}


def names() -> tuple[str, ...]:
    """The names that `load` knows, the built-in one last."""
    return (*NODE_DATASETS, *FETCHED, BUILT_IN)


def load(name: str, *, root: Path | None = None, standardize: Sequence[str | Transform] | None = None) -> NodeGraph:
    """Loads an attributed graph by name, with the splits that it was published with.

    Edges are undirected, without loops. What the published files leave apart (components, features as they are) stays
    so, unless `standardize` changes it.

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
        return standardized(planted_communities(), standardize)
    if name in FETCHED:
        graph = NodeGraph.of(fetch(name, root))
    elif name in NODE_DATASETS:
        dataset = NODE_DATASETS[name]
        folder = published_folder(name, dataset.folder, dataset.files, root)
        graph = NodeGraph.of(dataset.read(folder))
        _compare(dataset, graph, folder)
    else:
        near = nearest(name, names())
        hint = f"the nearest are {', '.join(near)}, and all are" if near else "there are"
        raise GraphkitError(f"there is no attributed graph named {name!r}; {hint} {', '.join(names())}")
    graph.name = name
    return standardized(graph, standardize)


def _compare(dataset: NodeDataset, graph: NodeGraph, folder: Path) -> None:
    found = (len(graph.x), graph.edge_index.size(1) // 2, graph.x.size(1), graph.num_classes)
    if found != dataset.counts:
        listed = (" / ".join(str(count) for count in counts) for counts in (found, dataset.counts))
        raise GraphkitError(
            f"{folder} does not hold the published {dataset.name}: nodes, edges, features and classes are "
            f"{' instead of '.join(listed)}; put the published files there, or import these with graphkit data "
            "import-nodes"
        )
