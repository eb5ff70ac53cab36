"""Published sets of multi-hop queries by name, with the graphs that they were made on.

Their relations come in pairs, 2k and its inverse 2k+1, which is how graphkit numbers directed relations, and their
graphs hold every edge in both directions. A `KnowledgeGraph` is made of the even relations, after checking that the
odd ones say the same.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from graphkit.data.named import labels_of, published_folder
from graphkit.errors import GraphkitError, did_you_mean
from graphkit.graph import SPLITS, KnowledgeGraph, Vocabulary
from graphkit.queries import STRUCTURES, AnswerSets, EasyAndHard, QueryTable

Ids = NDArray[np.int64]

_GRAPH_FILES = ("graph.npz", "entities.txt.gz", "relations.txt.gz")
_REVERSE = "_reverse"


@dataclass(frozen=True)
class PublishedQuerySet:
    """Where the files of one published set lie, below ``$GRAPHKIT_DATA``."""

    name: str
    queries: str
    graph: str
    #: the choice of ``graph=`` that loads the graph
    graph_name: str
    #: the splits with queries and answers
    splits: tuple[Literal["valid", "test"], ...]


#: The published query sets by name (Query2box: Ren et al., ICLR 2020; BetaE: Ren and Leskovec, NeurIPS 2020).
QUERY_SETS: dict[str, PublishedQuerySet] = {
    published.name: published
    for published in (
        PublishedQuerySet(
            "query2box_fb15k237",
            "queries/query2box-FB15k-237",
            "queries/query2box-FB15k-237",
            "q2b_fb15k237",
            ("valid", "test"),
        ),
        PublishedQuerySet(
            "query2box_nell995", "queries/query2box-NELL", "queries/query2box-NELL", "q2b_nell995", ("valid", "test")
        ),
        PublishedQuerySet("betae_nell995", "queries/betae-NELL", "queries/query2box-NELL", "q2b_nell995", ("test",)),
    )
}


@dataclass(frozen=True, eq=False)
class QuerySet:
    """A published set: its graph, and its queries, which are read split by split."""

    name: str
    graph: KnowledgeGraph
    folder: Path
    splits: tuple[Literal["valid", "test"], ...]

    def tables(self, split: Literal["valid", "test"] = "test") -> dict[str, QueryTable]:
        """Reads the queries of a split, by the name of their structure.

        Raises:
            GraphkitError: the set has no such split, or its file is damaged.
        """
        if split not in self.splits:
            raise GraphkitError(f"{self.name} has no {split} queries; it has those of {', '.join(self.splits)}")
        path = self.folder / f"{split}.npz"
        arrays = _read(path)
        names = [name.removesuffix("/query") for name in arrays if name.endswith("/query")]
        return {name: self._table(name, arrays, path) for name in sorted(names, key=_published_order)}

    def require_graph(self, graph: KnowledgeGraph) -> None:
        """Makes sure that `graph` is the one that the queries were made on.

        Raises:
            GraphkitError: its ids differ.
        """
        if graph.fingerprint != self.graph.fingerprint:
            raise GraphkitError(
                f"the query set {self.name} was made on the graph {self.graph.fingerprint} and this graph is "
                f"{graph.fingerprint}; its ids would mean something else, so use the set's own graph "
                f"(graph={QUERY_SETS[self.name].graph_name}), or another query set"
            )

    def _table(self, name: str, arrays: dict[str, Ids], path: Path) -> QueryTable:
        if name not in STRUCTURES:
            raise _damaged(path, f"it has the unknown structure {name!r}")
        structure = STRUCTURES[name]
        rows = np.ascontiguousarray(arrays[f"{name}/query"])
        if rows.ndim != 2 or rows.shape[1] != structure.width:
            raise _damaged(path, f"{name}/query has shape {rows.shape} instead of (B, {structure.width})")
        limits = {"anchor": self.graph.num_entities, "relation": 2 * self.graph.num_relations}
        size = np.array([limits[argument] for argument in structure.arguments])
        outside = ((rows < 0) | (rows >= size)).any(axis=0)
        if outside.any():
            column = int(np.argmax(outside))
            what = f"in column {column} ({structure.arguments[column]})"
            raise _damaged(path, f"{name}/query has an id outside 0 to {size[column] - 1} {what}")
        easy, hard = (self._answers(f"{name}/{part}", len(rows), arrays, path) for part in ("easy", "hard"))
        return QueryTable(structure, rows, EasyAndHard(easy, hard))

    def _answers(self, key: str, queries: int, arrays: dict[str, Ids], path: Path) -> AnswerSets:
        if key not in arrays or f"{key}_ptr" not in arrays:
            raise _damaged(path, f"it lacks {key} or {key}_ptr")
        values, offsets = arrays[key], arrays[f"{key}_ptr"]
        fits = offsets.shape == (queries + 1,) and offsets[0] == 0 and offsets[-1] == len(values)
        if not fits or (np.diff(offsets) < 0).any():
            raise _damaged(path, f"{key}_ptr does not part {len(values)} answers among {queries} queries")
        if values.size and not 0 <= values.min() <= values.max() < self.graph.num_entities:
            raise _damaged(path, f"{key} names an entity outside 0 to {self.graph.num_entities - 1}")
        # Ascending within a query is ours to promise, whatever order the file has.
        order = np.lexsort((values, np.repeat(np.arange(queries), np.diff(offsets))))
        return AnswerSets(values[order], offsets)


def load_queries(name: str, *, root: Path | None = None) -> QuerySet:
    """Loads a published query set by name: its graph now, its queries when asked for.

    Args:
        name: one of `QUERY_SETS`.
        root: the folder with the data sets; ``None`` takes the environment variable ``GRAPHKIT_DATA``.

    Raises:
        GraphkitError: an unknown name, files that are not there (with the files that are needed), or damaged files.
    """
    if name not in QUERY_SETS:
        raise GraphkitError(
            f"there is no query set named {name!r}{did_you_mean(name, QUERY_SETS)}; query sets: {', '.join(QUERY_SETS)}"
        )
    published = QUERY_SETS[name]
    folder = published_folder(name, published.queries, tuple(f"{split}.npz" for split in published.splits), root)
    graph_folder = published_folder(name, published.graph, _GRAPH_FILES, root)
    return QuerySet(name, _graph(graph_folder), folder, published.splits)


def load_query_graph(name: str, *, root: Path | None = None) -> KnowledgeGraph:
    """Loads the graph that a published query set was made on; see `load_queries`."""
    return load_queries(name, root=root).graph


def _graph(folder: Path) -> KnowledgeGraph:
    path = folder / "graph.npz"
    arrays = _read(path)
    entities = labels_of(folder / "entities.txt.gz")
    relations = labels_of(folder / "relations.txt.gz")
    names = relations.to_pylist()
    if names[1::2] != [f"{label}{_REVERSE}" for label in names[::2]]:
        raise _damaged(folder / "relations.txt.gz", f"label 2k+1 is not label 2k with {_REVERSE}")
    parts = []
    for split in SPLITS:
        if split not in arrays:
            raise _damaged(path, f"it lacks the {split} triples")
        parts.append(_forward(arrays[split], path, split))
    return KnowledgeGraph.from_triples(
        *parts,
        entities=Vocabulary(entities),
        relations=Vocabulary(relations.take(pa.array(range(0, len(names), 2))), kind="relation"),
    )


def _forward(edges: Ids, path: Path, split: str) -> Ids:
    """Returns the edges of even relations with raw ids; makes sure that the odd ones are exactly their inverses."""
    if edges.ndim != 2 or edges.shape[1] != 3:
        raise _damaged(path, f"its {split} edges have shape {edges.shape} instead of (M, 3)")
    odd = edges[:, 1] % 2 == 1
    forward: Ids = edges[~odd] // [1, 2, 1]
    inverse = edges[odd][:, ::-1] // [1, 2, 1]
    if not np.array_equal(np.unique(forward, axis=0), np.unique(inverse, axis=0)):
        raise _damaged(path, f"its {split} edges of odd relations are not the inverses of those of even ones")
    return forward


def _read(path: Path) -> dict[str, Ids]:
    try:
        # numpy leaves the file open if it cannot read it.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name].astype(np.int64) for name in arrays.files}
    except (ValueError, TypeError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, f"it cannot be read ({error})") from None


def _published_order(name: str) -> int:
    return list(STRUCTURES).index(name) if name in STRUCTURES else len(STRUCTURES)


def _damaged(path: Path, why: str) -> GraphkitError:
    return GraphkitError(f"{path} is no file of a published query set: {why}; put the published file there")
