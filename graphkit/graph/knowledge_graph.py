"""`KnowledgeGraph`: the triples of a graph with its splits, labels and index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphkit import _native
from graphkit.errors import GraphkitError
from graphkit.graph.columns import Triples, encode_triples
from graphkit.graph.edge_index import EdgeArrays, EdgeIndex, Ids, as_ids, require_ids
from graphkit.graph.store import StoreContents, checksum, read_store, write_store
from graphkit.graph.vocabulary import Vocabulary

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
#: Entities of an index beyond which, on recorded runs, a look-up that finds nothing waits for memory.
SHORTCUTS_FROM = 2**23
_HELD_OUT: tuple[Split, ...] = ("valid", "test")


class KnowledgeGraph:
    """Labelled or numbered triples in three splits, with one index over the training edges in both directions.

    Build it with `from_triples` or `open`. The training split is held as an index and may be mapped from a file;
    valid and test are plain arrays. Relations of look-ups are *directed*: 2k is relation k forward, 2k+1 its inverse.
    """

    def __init__(
        self,
        index: EdgeIndex,
        held_out: dict[Split, Ids],
        *,
        entities: Vocabulary | None = None,
        relations: Vocabulary | None = None,
        duplicates: int = 0,
        checksums: dict[str, int] | None = None,
    ) -> None:
        self.index = index
        self.entities = entities
        self.relations = relations
        self.duplicates = duplicates
        self._held_out = held_out
        self._checksums = checksums
        self._indexes: dict[frozenset[Split], EdgeIndex] = {}

    @classmethod
    def from_triples(
        cls,
        train: Triples,
        valid: Triples | None = None,
        test: Triples | None = None,
        *,
        entities: Vocabulary | Sequence[str] | None = None,
        relations: Vocabulary | Sequence[str] | None = None,
        num_entities: int | None = None,
        num_relations: int | None = None,
    ) -> KnowledgeGraph:
        """Builds a graph from triples in memory.

        Args:
            train: integer ids or labels of (head, relation, tail): an array [M, 3], an Arrow table or pandas frame
                whose first three columns they are, or an iterable of 3-tuples. Duplicates are counted and dropped.
            valid: held-out triples of the same form.
            test: held-out triples of the same form.
            entities: labels of ids 0 to N-1; with label triples made from them, in order of first appearance.
            relations: labels of relation ids, likewise.
            num_entities: N for integer triples without labels; by default the largest id + 1.
            num_relations: R, likewise.

        Raises:
            GraphkitError: no triples, a wrong shape or dtype, an id out of range, an unknown label.
        """
        parts: dict[str, Triples] = {"train": train}
        parts |= {name: part for name, part in (("valid", valid), ("test", test)) if part is not None}
        encoded = encode_triples(parts, _vocabulary(entities, "entity"), _vocabulary(relations, "relation"))
        ids = encoded.ids
        size = _size("entities", num_entities, encoded.entities, ids, (0, 2))
        kinds = _size("relations", num_relations, encoded.relations, ids, (1,))
        if len(ids["train"]) == 0:
            raise GraphkitError("the training split has no triples; a graph needs at least one")
        index, duplicates = EdgeIndex.build(ids["train"], size, kinds)
        held_out: dict[Split, Ids] = {}
        for split in _HELD_OUT:
            held_out[split] = ids.get(split, np.empty((0, 3), dtype=np.int64)).copy()  # the caller's may change
            require_ids(held_out[split], size, kinds, split)
        return cls(index, held_out, entities=encoded.entities, relations=encoded.relations, duplicates=duplicates)

    @classmethod
    def open(cls, path: str | Path, *, resident: bool = False, verify: bool | None = None) -> KnowledgeGraph:
        """Opens a saved graph; its arrays are mapped, not read.

        Args:
            path: the folder that `save` made.
            resident: copy the index into anonymous huge pages, for speed at the price of memory; with more than
                `SHORTCUTS_FROM` entities, the index is walked once to check it, and shortcuts of look-ups are made
                beside it (8 bytes an entity, or 16 where offsets have 64 bits, and 4 a triple).
            verify: compare all checksums and walk the index once; by default for stores up to 256 MiB.

        Raises:
            GraphkitError: no store there, a newer version, or a damaged file.
        """
        contents = read_store(Path(path), verify=verify)
        arrays = {name: contents.arrays[name] for name in EdgeArrays.names()}
        if resident:
            arrays = {name: _resident(array) for name, array in arrays.items()}
        index = EdgeIndex(EdgeArrays(**arrays), contents.counts["num_relations"])
        shortcuts = resident and index.num_entities > SHORTCUTS_FROM
        if contents.verified or shortcuts:  # shortcuts are made by a walk of the index
            index.check()
        if shortcuts:
            index.native.add_shortcuts()
        return cls(
            index,
            {split: contents.arrays[split] for split in _HELD_OUT},
            entities=contents.vocabularies.get("entities"),
            relations=contents.vocabularies.get("relations"),
            duplicates=contents.counts["duplicates"],
            checksums=contents.checksums,
        )

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Writes the graph into a new folder, whole or not at all.

        Raises:
            GraphkitError: the folder exists and `overwrite` is false, or cannot be written (disk full, permissions).
        """
        counts = {
            "num_entities": self.num_entities,
            "num_relations": self.num_relations,
            "num_edges": self.num_edges,
            "duplicates": self.duplicates,
        }
        vocabularies = {"entities": self.entities, "relations": self.relations}
        present = {name: vocabulary for name, vocabulary in vocabularies.items() if vocabulary is not None}
        write_store(Path(folder), StoreContents(counts, self._arrays(), present, self.checksums), overwrite=overwrite)

    @property
    def num_entities(self) -> int:
        """N."""
        return self.index.num_entities

    @property
    def num_relations(self) -> int:
        """R: raw relations; the directed relations are 0 to 2R-1."""
        return self.index.num_relations

    @property
    def num_edges(self) -> int:
        """E: distinct training triples."""
        return self.index.num_edges // 2

    def triples(self, split: Split = "train") -> Ids:
        """Returns int64[M, 3] of (head, raw relation, tail); training triples come sorted and without duplicates."""
        return self.index.triples() if split == "train" else self._held_out[split]

    def neighbors(self, heads: ArrayLike, relations: ArrayLike) -> tuple[Ids, Ids]:
        """Answers of one-hop queries on the training edges; see `EdgeIndex.neighbors`."""
        return self.index.neighbors(heads, relations)

    def has_edge(self, heads: ArrayLike, relations: ArrayLike, tails: ArrayLike) -> NDArray[np.bool_]:
        """Whether directed training edges exist; see `EdgeIndex.has_edge`."""
        return self.index.has_edge(heads, relations, tails)

    def degree(self, entities: ArrayLike) -> Ids:
        """Directed training edges at each entity; see `EdgeIndex.degree`."""
        return self.index.degree(entities)

    def answers(self, heads: ArrayLike, relations: ArrayLike, splits: Iterable[Split] = SPLITS) -> tuple[Ids, Ids]:
        """Answers of B one-hop queries in the union of `splits`, in the form of `neighbors`."""
        head, relation = np.broadcast_arrays(as_ids(heads), as_ids(relations))
        values, queries = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for split in splits:
            found, offsets = self.index_over((split,)).neighbors(head, relation)
            values.append(found)
            queries.append(np.repeat(np.arange(len(head)), np.diff(offsets)))
        query, value = np.concatenate(queries), np.concatenate(values)
        keys = np.unique(query * self.num_entities + value)
        counts = np.bincount(keys // self.num_entities, minlength=len(head))
        return keys % self.num_entities, np.concatenate([[0], np.cumsum(counts)])

    def index_over(self, splits: Iterable[Split]) -> EdgeIndex:
        """Returns one index over the edges of several splits; it is built in memory once and kept.

        Raises:
            GraphkitError: a split has another name than train, valid or test, or none is given.
        """
        wanted = frozenset(splits)
        if not wanted or not wanted <= set(SPLITS):
            found = ", ".join(sorted(map(str, wanted))) or "none"
            raise GraphkitError(f"the splits given are {found}; name some of {', '.join(SPLITS)}, as a tuple")
        filled = frozenset(split for split in wanted if split == "train" or len(self._held_out[split]))
        if filled == {"train"}:
            return self.index
        if filled not in self._indexes:
            parts = [self.triples(split) for split in SPLITS if split in filled]
            triples = np.concatenate(parts) if parts else np.empty((0, 3), dtype=np.int64)
            self._indexes[filled], _ = EdgeIndex.build(triples, self.num_entities, self.num_relations)
        return self._indexes[filled]

    @cached_property
    def checksums(self) -> dict[str, int]:
        """CRC-32 of each array, by name."""
        if self._checksums is not None:
            return self._checksums
        return {name: checksum(array) for name, array in self._arrays().items()}

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that tell this graph from another: of all splits' ids, not of the labels."""
        sums = {name: self.checksums[name] for name in (*EdgeArrays.names(), *_HELD_OUT)}
        counts = [self.num_entities, self.num_relations]
        return hashlib.sha256(json.dumps([counts, sums], sort_keys=True).encode()).hexdigest()[:16]

    def save_vocabulary(self, folder: Path) -> None:
        """Writes the labels that the graph has into an existing folder: ``entities.arrow``, ``relations.arrow``."""
        for name, vocabulary in (("entities", self.entities), ("relations", self.relations)):
            if vocabulary is not None:
                vocabulary.save(folder / f"{name}.arrow")

    def entity_label(self, i: int) -> str:
        """Returns the label of entity `i`, or its number in a graph without labels."""
        return self.entities.label(i) if self.entities is not None else str(i)

    def relation_label(self, i: int) -> str:
        """Returns the label of raw relation `i`, or its number in a graph without labels."""
        return self.relations.label(i) if self.relations is not None else str(i)

    def __repr__(self) -> str:
        held_out = ", ".join(f"{len(self._held_out[split]):,} {split}" for split in _HELD_OUT)
        return (
            f"KnowledgeGraph({self.num_entities:,} entities, {self.num_relations:,} relations, "
            f"{self.num_edges:,} train, {held_out} triples)"
        )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        arrays = {name: getattr(self.index.arrays, name) for name in EdgeArrays.names()}
        return arrays | {split: self._held_out[split] for split in _HELD_OUT}


def _vocabulary(labels: Vocabulary | Sequence[str] | None, kind: str) -> Vocabulary | None:
    return labels if labels is None or isinstance(labels, Vocabulary) else Vocabulary(labels, kind=kind)


def _size(
    what: str, stated: int | None, vocabulary: Vocabulary | None, ids: dict[str, Ids], columns: tuple[int, ...]
) -> int:
    if vocabulary is None:
        largest = max((int(part[:, columns].max()) for part in ids.values() if len(part)), default=-1)
        return largest + 1 if stated is None else stated
    if stated is not None and stated != len(vocabulary):
        raise GraphkitError(f"num_{what} is {stated}, and there are {len(vocabulary)} labels of {what}; leave it out")
    return len(vocabulary)


def _resident(array: NDArray[Any]) -> NDArray[Any]:
    return _native.copy_resident(array).view(array.dtype) if array.nbytes else array.copy()
