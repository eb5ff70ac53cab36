"""Train, valid and test out of one set of triples, so that training meets every entity and every relation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from graphkit.errors import GraphkitError


@dataclass(frozen=True)
class Split:
    """A partition of triples; each part keeps the order that the triples had."""

    #: int64[M_train, 3]: head, relation, tail.
    train: npt.NDArray[np.int64]
    #: int64[M_valid, 3].
    valid: npt.NDArray[np.int64]
    #: int64[M_test, 3].
    test: npt.NDArray[np.int64]
    #: Triples that the fractions asked for in train, valid and test.
    wanted: tuple[int, int, int]

    @property
    def counts(self) -> tuple[int, int, int]:
        """Triples that train, valid and test have; valid and test may have fewer than were wanted."""
        return len(self.train), len(self.valid), len(self.test)


def entity_covering_split(
    triples: npt.NDArray[np.int64],
    num_entities: int,
    num_relations: int,
    *,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    groups: npt.NDArray[np.int64] | None = None,
) -> Split:
    """Deal triples out so that each entity and each relation that has a triple has one in train.

    The triples are ranked at random; the first of each entity (as head or as tail) and of each relation is
    pinned to train, and valid and test come out of the last ranks that are not pinned. Where too few are
    free, valid and test shrink in proportion.

    Args:
        triples: ``(M, 3) int64`` head, relation, tail.
        num_entities: N; entity ids are below it.
        num_relations: R; relation ids are below it.
        fractions: Shares of train, valid and test; they sum to 1.
        seed: Of the random order (NumPy's PCG64): the same seed, the same split.
        groups: ``(M,) int64``; triples with the same number stay in one part, which may then fall short of
            its share by less than one group. ``None``: each triple for itself.

    Returns:
        The split.

    Raises:
        GraphkitError: for fractions that are no shares, ids out of range, or arrays of another shape.
    """
    check_fractions(fractions)
    _check_triples(triples, num_entities, num_relations, groups)
    rows = len(triples)
    group, sizes = _numbered(rows, groups)
    random = np.random.Generator(np.random.PCG64(seed))
    rank = random.permutation(len(sizes))
    pinned = _pinned(triples, num_entities, num_relations, rank[group], len(sizes))
    by_rank = np.empty_like(rank)
    by_rank[rank] = np.arange(len(rank))
    # Free groups, the last rank first: those are all but a fair sample. The first ranks among the free belong
    # to entities with many triples (a test has the figures).
    free = by_rank[~pinned][::-1]
    held_out = [_share(rows, fraction) for fraction in fractions[1:]]
    part = _dealt(free, sizes, held_out, random)[group]
    wanted = (rows - sum(held_out), held_out[0], held_out[1])
    return Split(triples[part == 0], triples[part == 1], triples[part == 2], wanted)


def symmetric_groups(triples: npt.NDArray[np.int64], relations: Iterable[int]) -> npt.NDArray[np.int64]:
    """Number triples so that both directions of a symmetric relation have one number.

    With these as ``groups`` of :func:`entity_covering_split`, (b, borders, a) in train never
    gives (a, borders, b) in test away.

    Args:
        triples: ``(M, 3) int64`` head, relation, tail.
        relations: The ids of the symmetric relations.

    Returns:
        ``(M,) int64`` numbers; a triple of another relation shares its number with its duplicates only.
    """
    symmetric = np.isin(triples[:, 1], np.fromiter(relations, np.int64))
    ends = triples[:, [0, 2]]
    keyed = triples.copy()
    keyed[:, [0, 2]] = np.where(symmetric[:, None], np.sort(ends, axis=1), ends)
    return np.unique(triple_keys(keyed), return_inverse=True)[1].astype(np.int64)


def triple_keys(triples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """One number a triple: equal for equal triples, different for different ones.

    Args:
        triples: ``(M, 3) int64`` ids, none negative.

    Returns:
        ``(M,) int64`` keys; they compare only with keys of the same call.
    """
    if not len(triples):
        return np.empty(0, np.int64)
    heads, relations, tails = (int(column.max()) + 1 for column in triples.T)
    pairs = triples[:, 0] * tails + triples[:, 2]
    if heads * tails * relations > np.iinfo(np.int64).max:  # Python's integers do not overflow
        pairs = np.unique(pairs, return_inverse=True)[1]
    return pairs * relations + triples[:, 1]


def distinct(triples: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The triples, ``(M, 3) int64``, without repeated ones; each stays where it first stands."""
    first = np.unique(triple_keys(triples), return_index=True)[1]
    return triples[np.sort(first)] if len(first) < len(triples) else triples


def check_fractions(fractions: tuple[float, float, float]) -> None:
    """Check the shares of train, valid and test.

    Raises:
        GraphkitError: unless they are three numbers from 0 to 1 with sum 1 and the first is positive.
    """
    shares = tuple(fractions)
    sound = len(shares) == 3 and all(0 <= share <= 1 for share in shares) and shares[0] > 0
    if not sound or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise GraphkitError(
            f"the split is {', '.join(f'{share:g}' for share in shares)}; it needs three shares from 0 to 1 "
            "for train, valid and test that sum to 1, train's above 0, such as 0.8, 0.1, 0.1"
        )


def _share(rows: int, fraction: float) -> int:
    """The whole number of rows in a fraction; 1e-9 keeps 0.1 of 30 at 3."""
    return int(rows * fraction + 1e-9)


def _check_triples(
    triples: npt.NDArray[np.int64],
    num_entities: int,
    num_relations: int,
    groups: npt.NDArray[np.int64] | None,
) -> None:
    if triples.ndim != 2 or triples.shape[1] != 3:
        raise GraphkitError(f"triples have the shape {triples.shape}; a split needs (M, 3): head, relation, tail")
    if groups is not None and groups.shape != (len(triples),):
        raise GraphkitError(f"groups have the shape {groups.shape}; {len(triples)} triples need ({len(triples)},)")
    for name, columns, limit in (("entity", [0, 2], num_entities), ("relation", [1], num_relations)):
        ids = triples[:, columns]
        if ids.size and not (ids.min() >= 0 and ids.max() < limit):
            worst = int(ids.min() if ids.min() < 0 else ids.max())
            raise GraphkitError(f"a triple names the {name} {worst}; allowed are ids from 0 to {limit - 1}")


def _numbered(rows: int, groups: npt.NDArray[np.int64] | None) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The groups numbered from 0: the number of each row, and the size of each group."""
    if groups is None:
        return np.arange(rows), np.ones(rows, np.int64)
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return group.astype(np.int64), sizes.astype(np.int64)


def _pinned(
    triples: npt.NDArray[np.int64],
    num_entities: int,
    num_relations: int,
    rank: npt.NDArray[np.int64],
    ranks: int,
) -> npt.NDArray[np.bool_]:
    """Which ranks hold the first triple of an entity or a relation: ``(ranks,) bool``."""
    pinned = np.zeros(ranks + 1, np.bool_)
    for columns, count in (((0, 2), num_entities), ((1,), num_relations)):
        first = np.full(count, ranks, np.int64)  # an id without a triple points past the end
        for column in columns:
            np.minimum.at(first, triples[:, column], rank)
        pinned[first] = True
    return pinned[:ranks]


def _dealt(
    free: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    held_out: list[int],
    random: np.random.Generator,
) -> npt.NDArray[np.int8]:
    """The part of each group, 0 for train: valid and test are dealt from the front of the free groups."""
    room = min(1.0, int(sizes[free].sum()) / max(1, sum(held_out)))
    limits = [int(count * room) for count in held_out]
    # Dealt in a fresh order, so that valid and test are alike.
    chosen = random.permutation(free[np.cumsum(sizes[free]) <= sum(limits)])
    part = np.zeros(len(sizes), np.int8)
    for number, limit in enumerate(limits, 1):
        fitting = int(np.searchsorted(np.cumsum(sizes[chosen]), limit, side="right"))
        part[chosen[:fitting]] = number
        chosen = chosen[fitting:]
    return part
