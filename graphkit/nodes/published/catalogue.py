"""The attributed graphs that have a name: where their files lie, what they hold, and who else can fetch them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

#: The graph that comes with the package and needs no files.
BUILT_IN = "planted"

#: The parts of a graph of Planetoid: ``ind.NAME.PART``.
PLANETOID_PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")


@dataclass(frozen=True)
class NodeDataset:
    """One published graph that graphkit reads itself."""

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
        if self.layout == "planetoid":
            return tuple(f"ind.{self.stem}.{part}" for part in PLANETOID_PARTS)
        return (f"{self.stem}.npz",)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Nodes, undirected edges, features and classes."""
        return self.nodes, self.edges, self.features, self.classes

    def present(self, root: Path) -> bool:
        """Whether all files lie below a folder of data sets."""
        return all((root / self.folder / file).is_file() for file in self.files)


@dataclass(frozen=True)
class FetchedDataset:
    """A graph that a class of another library downloads and reads."""

    name: str
    #: The module of the class, which is imported when the graph is asked for.
    module: str
    cls: str
    #: Keywords beside ``root``.
    keywords: dict[str, Any] = field(default_factory=dict)

    @property
    def library(self) -> str:
        """What has to be installed."""
        return self.module.partition(".")[0]

    def folder(self, root: Path) -> Path:
        """Returns the folder that holds the graph, or will."""
        return root / "node" / "fetched" / self.name


def _heterophilous(name: str, nodes: int, edges: int, features: int, classes: int = 5) -> NodeDataset:
    return NodeDataset(name, "heterophilous", "node/heterophilous", name, nodes, edges, features, classes)


def _pyg(name: str, cls: str, /, **keywords: Any) -> FetchedDataset:
    return FetchedDataset(name, "torch_geometric.datasets", cls, keywords)


def _ogb(name: str) -> FetchedDataset:
    return FetchedDataset(name, "ogb.nodeproppred", "PygNodePropPredDataset", {"name": name.replace("_", "-")})


_PUBLISHED = (
    NodeDataset("cora", "planetoid", "node/planetoid/Cora/raw", "cora", 2_708, 5_278, 1_433, 7),
    NodeDataset("citeseer", "planetoid", "node/planetoid/CiteSeer/raw", "citeseer", 3_327, 4_552, 3_703, 6),
    NodeDataset("pubmed", "planetoid", "node/planetoid/PubMed/raw", "pubmed", 19_717, 44_324, 500, 3),
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

_FETCHED = (
    _pyg("pubmed", "Planetoid", name="PubMed"),
    _pyg("computers", "Amazon", name="Computers"),
    _pyg("photo", "Amazon", name="Photo"),
    _pyg("coauthor_cs", "Coauthor", name="CS"),
    _pyg("coauthor_physics", "Coauthor", name="Physics"),
    _pyg("wikics", "WikiCS"),
    _pyg("lastfm_asia", "LastFMAsia"),
    _pyg("roman_empire", "HeterophilousGraphDataset", name="Roman-empire"),
    _pyg("amazon_ratings", "HeterophilousGraphDataset", name="Amazon-ratings"),
    _pyg("tolokers", "HeterophilousGraphDataset", name="Tolokers"),
    _pyg("questions", "HeterophilousGraphDataset", name="Questions"),
    _ogb("ogbn_arxiv"),
    _ogb("ogbn_products"),
)

#: The published graphs that graphkit reads itself, by name.
NODE_DATASETS: dict[str, NodeDataset] = {dataset.name: dataset for dataset in _PUBLISHED}

#: The graphs that PyG or OGB download, by name; one that stands above too is read from its files where they lie.
FETCHED: dict[str, FetchedDataset] = {dataset.name: dataset for dataset in _FETCHED}


def names() -> tuple[str, ...]:
    """The names that `load` knows, the built-in one last."""
    return (*NODE_DATASETS, *(name for name in FETCHED if name not in NODE_DATASETS), BUILT_IN)
