"""The index over all edges in both directions: vectorised look-ups on the native core.

Relations in this module are *directed*: 2k is relation k forward, 2k+1 its inverse, so that the edges into x under
relation k are the edges out of x under 2k+1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphkit import _native
from graphkit.errors import GraphkitError

Ids = NDArray[np.int64]

#: Offsets are 32 bits wide while directed edges, duplicates included, are fewer.
NARROW_OFFSETS_BELOW = 2**32


def as_ids(values: ArrayLike) -> Ids:
    """Returns `values` as a contiguous int64 vector."""
    return np.ascontiguousarray(np.atleast_1d(np.asarray(values)), dtype=np.int64)


@dataclass(frozen=True)
class EdgeArrays:
    """The arrays of an index, in memory or mapped; the narrowest types that fit."""

    #: uint32|uint64[N + 1], first run of each entity
    entity_runs: NDArray[np.unsignedinteger]
    #: uint16|uint32[runs], directed relation of each run, ascending within an entity
    run_relations: NDArray[np.unsignedinteger]
    #: uint32|uint64[runs + 1], first edge of each run
    run_starts: NDArray[np.unsignedinteger]
    #: uint32[2 E], other endpoint of each directed edge, ascending within a run
    targets: NDArray[np.uint32]

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Returns the names of the arrays, in the order of the native constructor."""
        return tuple(field.name for field in fields(cls))


class EdgeIndex:
    """Look-ups over the directed edges of one or more splits.

    Args:
        arrays: what `EdgeIndex.build` made or a store holds; kept, not copied.
        num_relations: R, the number of raw relations.
    """

    def __init__(self, arrays: EdgeArrays, num_relations: int) -> None:
        self.arrays = arrays
        self.num_relations = num_relations
        self.native = _native.Index(*(getattr(arrays, name) for name in EdgeArrays.names()))

    @classmethod
    def build(cls, triples: Ids, num_entities: int, num_relations: int) -> tuple[EdgeIndex, int]:
        """Builds the index of raw triples by a native radix sort.

        Args:
            triples: int64[M, 3] of (head, raw relation, tail).
            num_entities: N, below 2**32.
            num_relations: R, below 2**31.

        Returns:
            The index, and the number of triples that stood there more than once.

        Raises:
            GraphkitError: an id is negative or too large.
        """
        require_size(num_entities, num_relations)
        try:
            *arrays, duplicates = _native.build_index(
                np.ascontiguousarray(triples, dtype=np.int64).reshape(-1, 3),
                num_entities,
                num_relations,
                wide_relations=relation_dtype(num_relations) != np.uint16,
                wide_offsets=offset_dtype(len(triples)) != np.uint32,
            )
        except IndexError:
            require_ids(triples, num_entities, num_relations, "train")
            raise
        return cls(EdgeArrays(*arrays), num_relations), duplicates

    @property
    def num_entities(self) -> int:
        """N."""
        return int(self.native.num_entities)

    @property
    def num_edges(self) -> int:
        """Number of directed edges, twice the number of triples."""
        return int(self.native.num_edges)

    def neighbors(self, heads: ArrayLike, relations: ArrayLike) -> tuple[Ids, Ids]:
        """Looks up the answers of B one-hop queries (head, directed relation, ?).

        Args:
            heads: int64[B] entity ids.
            relations: int64[B] directed relations, or one for all.

        Returns:
            values int64[A] and offsets int64[B + 1]: the answers of query i, ascending, are
            ``values[offsets[i]:offsets[i + 1]]``.

        Raises:
            GraphkitError: an entity is out of range.
        """
        head, relation = self._pair(heads, relations)
        try:
            values, offsets = self.native.neighbors(head, relation)
        except IndexError as error:
            raise GraphkitError(f"{error}; the graph has {self.num_entities} entities") from None
        return values, offsets

    def has_edge(self, heads: ArrayLike, relations: ArrayLike, tails: ArrayLike) -> NDArray[np.bool_]:
        """Returns bool[B]: whether the directed edge (head, relation, tail) is in the graph."""
        head, relation = self._pair(heads, relations)
        tail = np.ascontiguousarray(np.broadcast_to(as_ids(tails), head.shape))
        try:
            found: NDArray[np.bool_] = self.native.has_edge(head, relation, tail)
        except IndexError as error:
            raise GraphkitError(f"{error}; the graph has {self.num_entities} entities") from None
        return found

    def degree(self, entities: ArrayLike) -> Ids:
        """Returns int64[B]: the number of directed edges that leave each entity (edges in either raw direction)."""
        try:
            degrees: Ids = self.native.degree(as_ids(entities))
        except IndexError as error:
            raise GraphkitError(f"{error}; the graph has {self.num_entities} entities") from None
        return degrees

    def triples(self) -> Ids:
        """Returns int64[E, 3]: the raw triples (head, raw relation, tail), sorted."""
        arrays = self.arrays
        runs_per_entity: Ids = np.diff(as_ids(arrays.entity_runs))
        edges_per_run: Ids = np.diff(as_ids(arrays.run_starts))
        run_heads = np.repeat(np.arange(self.num_entities, dtype=np.int64), runs_per_entity)
        forward = np.repeat(arrays.run_relations % 2 == 0, edges_per_run)
        columns = (
            np.repeat(run_heads, edges_per_run)[forward],
            np.repeat(arrays.run_relations // 2, edges_per_run)[forward],
            arrays.targets[forward],
        )
        return np.stack([column.astype(np.int64) for column in columns], axis=1)

    def check(self) -> None:
        """Walks all arrays once.

        Raises:
            GraphkitError: they do not describe an index, e.g. since a file was damaged.
        """
        try:
            self.native.check(2 * self.num_relations)
        except ValueError as error:
            raise GraphkitError(f"the index of the graph is damaged: {error}; import or save the graph again") from None

    @staticmethod
    def _pair(heads: ArrayLike, relations: ArrayLike) -> tuple[Ids, Ids]:
        head, relation = np.broadcast_arrays(as_ids(heads), as_ids(relations))
        return np.ascontiguousarray(head), np.ascontiguousarray(relation)


def relation_dtype(num_relations: int) -> np.dtype[np.unsignedinteger]:
    """Returns the narrowest type of directed relations."""
    return np.dtype(np.uint16 if 2 * num_relations <= 2**16 else np.uint32)


def offset_dtype(num_triples: int) -> np.dtype[np.unsignedinteger]:
    """Returns the narrowest type of offsets into the edges of so many triples, duplicates included."""
    return np.dtype(np.uint32 if 2 * num_triples < NARROW_OFFSETS_BELOW else np.uint64)


def require_size(num_entities: int, num_relations: int) -> None:
    """Makes sure that a store can number so many entities and relations.

    Raises:
        GraphkitError: it cannot.
    """
    if num_entities >= 2**32 or num_relations >= 2**31:
        raise GraphkitError(
            f"a graph of {num_entities} entities and {num_relations} relations is beyond the store's limits "
            f"of {2**32 - 1} and {2**31 - 1}; number fewer of them, or split the graph"
        )


def require_ids(triples: Ids, num_entities: int, num_relations: int, split: str, *, first_row: int = 0) -> None:
    """Makes sure that int64[M, 3] raw triples name entities 0 to N-1 and relations 0 to R-1; rows count from first_row.

    Raises:
        GraphkitError: the first triple that does not is named.
    """
    limits = np.array([num_entities, num_relations, num_entities])
    outside = ((triples < 0) | (triples >= limits)).any(axis=1)
    if not outside.any():
        return
    row = int(np.argmax(outside))
    found = tuple(int(value) for value in triples[row])
    raise GraphkitError(
        f"the {split} triple {first_row + row} is {found}, outside 0 to {num_entities - 1} for entities and 0 to "
        f"{num_relations - 1} for relations; give num_entities and num_relations that cover all ids, or number the "
        "ids from 0"
    )
