"""Queries on their way to vectors: what a model is asked, what it answers, and the order of its operators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from graphkit.queries import Anchor, Intersection, Negation, Node, Projection, Structure, Union


@dataclass(frozen=True)
class Asked:
    """Queries of one structure."""

    structure: Structure
    #: float32[B, anchors of the structure, D], encoded; None where those of all structures come in one
    #: (`by_columns`)
    anchors: Tensor | None
    #: int64[B, relations of the structure], directed
    relations: Tensor

    @staticmethod
    def by_columns(parts: Sequence[Tensor]) -> Tensor:
        """Returns the anchors of all queries in one, structure after structure and within it column after column.

        Args:
            parts: [B, anchors of the structure, ...] of each structure.

        Returns:
            [P, ...]. Operators of the first level take such rows as they are.
        """
        return _join([part.transpose(0, 1).flatten(0, 1) for part in parts])


@dataclass(frozen=True)
class Embedded:
    """B queries as a model sees them: a vector each, or several where unions leave several ways to answer."""

    #: float32[V, W], the vectors of a query side by side
    vectors: Tensor
    #: int64[V], ascending: the query of each vector; None where vector b is query b
    owners: Tensor | None
    #: B
    size: int

    @classmethod
    def join(cls, parts: Sequence[Embedded]) -> Embedded:
        """Returns the queries of all parts, one part after the other."""
        vectors = torch.cat([part.vectors for part in parts])
        size = sum(part.size for part in parts)
        if all(part.owners is None for part in parts):
            return cls(vectors, None, size)
        owners, first = [], 0
        for part in parts:
            own = torch.arange(part.size, device=vectors.device) if part.owners is None else part.owners
            owners.append(first + own)
            first += part.size
        return cls(vectors, torch.cat(owners), size)

    def split(self, sizes: Sequence[int]) -> list[Embedded]:
        """Returns the first `sizes[0]` queries, the next `sizes[1]` and so on, all of them; by one operation."""
        if len(sizes) == 1:
            return [self]
        if self.owners is None:
            parts = torch.split(self.vectors, list(sizes))
            return [Embedded(part, None, size) for part, size in zip(parts, sizes, strict=True)]
        ends = list(accumulate(sizes))
        return [self.select(end - size, end) for size, end in zip(sizes, ends, strict=True)]

    def select(self, start: int, stop: int) -> Embedded:
        """Returns queries `start` to `stop`."""
        stop = min(stop, self.size)
        if start == 0 and stop == self.size:
            return self  # the gradient of a slice would be copied
        if self.owners is None:
            return Embedded(self.vectors[start:stop], None, stop - start)
        ends = torch.searchsorted(self.owners, torch.tensor([start, stop], device=self.owners.device)).tolist()
        kept = slice(*ends)
        return Embedded(self.vectors[kept], self.owners[kept] - start, stop - start)


class Operators(Protocol):
    """What embedding needs of a model; see `Model`."""

    def start(self, encoded: Tensor) -> Tensor:
        """See `Model.start`."""

    def project(self, x: Tensor, relations: Tensor) -> Tensor:
        """See `Model.project`."""

    def intersect_groups(self, x: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:
        """See `Model.intersect_groups`."""

    def negate(self, x: Tensor) -> Tensor:
        """See `Model.negate`."""


#: Operators that are applied at once: their level, and their kind by its name. Anchors are at level 0.
_Key = tuple[int, str]


@dataclass(frozen=True)
class _Rows:
    """Rows of what the operators of a key have found."""

    key: _Key
    start: int
    stop: int


@dataclass(frozen=True)
class _Step:
    """An operator of the queries of one structure."""

    kind: type[Projection] | type[Intersection] | type[Negation]
    operands: tuple[_Rows, ...]
    #: B
    size: int
    #: int64[B], of a projection
    relations: Tensor | None


_ANCHORS: _Key = (0, "Anchor")


class _Schedule:
    """Operators of all queries, level by level; those of a level depend on lower levels alone.

    Rows that stand side by side where they were found, and where they are needed, are passed on without a copy.
    """

    def __init__(self, operators: Operators) -> None:
        self.operators = operators
        self._sizes: dict[_Key, int] = defaultdict(int)
        self._steps: dict[_Key, list[_Step]] = defaultdict(list)
        #: lists of rows that are needed together, after those that steps need
        self._wanted: list[Sequence[_Rows]] = []
        self._found: dict[_Rows, Tensor] = {}

    def add_anchors(self, size: int) -> _Rows:
        """Adds the next rows of the anchors."""
        return self._new(_ANCHORS, size)

    def add(self, node: Node, asked: Asked, anchors: Sequence[_Rows], place: dict[int, int]) -> _Rows:
        """Adds a node and what is below it; returns where its value will be."""
        match node:
            case Anchor():
                return anchors[place[node.entity]]
            case Projection():
                below = self.add(node.operand, asked, anchors, place)
                return self._step(Projection, (below,), asked.relations[:, place[node.relation]])
            case Intersection():
                return self._step(
                    Intersection, tuple(self.add(branch, asked, anchors, place) for branch in node.branches)
                )
            case Negation():
                return self._step(Negation, (self.add(node.operand, asked, anchors, place),))
            case Union():
                raise AssertionError("a disjunct has no unions")

    def want(self, rows: Sequence[_Rows]) -> None:
        """Says that rows will be asked for together."""
        self._wanted.append(rows)

    def run(self, anchors: Tensor) -> None:
        """Applies all operators, level by level, those of a kind at once."""
        keys = sorted(self._steps)
        operands = {key: [rows for step in self._steps[key] for rows in step.operands] for key in keys}
        runs: dict[_Key, list[_Rows]] = defaultdict(list)
        for rows in (*operands.values(), *self._wanted):
            for run in _runs(rows):
                runs[run.key].append(run)
        self._part(self.operators.start(anchors), runs[_ANCHORS])
        for key in keys:
            self._part(self._apply(self._steps[key], self.take(operands[key])), runs[key])

    def take(self, rows: Sequence[_Rows]) -> Tensor:
        """Returns rows that were asked for together, one after the other."""
        return _join([self._found[run] for run in _runs(rows)])

    def _apply(self, steps: list[_Step], x: Tensor) -> Tensor:
        kind = steps[0].kind
        if kind is Projection:
            return self.operators.project(x, _join([_of(step.relations) for step in steps]))
        if kind is Intersection:
            return self.operators.intersect_groups(x, [(len(step.operands), step.size) for step in steps])
        return self.operators.negate(x)

    def _part(self, found: Tensor, runs: list[_Rows]) -> None:
        runs = sorted(runs, key=lambda run: (run.start, run.stop))
        if [run.start for run in runs] == [0, *(run.stop for run in runs[:-1])]:
            parts = _split(found, [run.stop - run.start for run in runs])
        else:  # the anchor of several disjuncts is needed more than once; gradients of slices are padded with zeros
            parts = [found[run.start : run.stop] for run in runs]
        self._found.update(zip(runs, parts, strict=True))

    def _new(self, key: _Key, size: int) -> _Rows:
        start = self._sizes[key]
        self._sizes[key] += size
        return _Rows(key, start, start + size)

    def _step(
        self,
        kind: type[Projection] | type[Intersection] | type[Negation],
        operands: tuple[_Rows, ...],
        relations: Tensor | None = None,
    ) -> _Rows:
        key = (1 + max(rows.key[0] for rows in operands), kind.__name__)
        size = operands[0].stop - operands[0].start
        self._steps[key].append(_Step(kind, operands, size, relations))
        return self._new(key, size)


def embed_by_level(operators: Operators, asked: Sequence[Asked], anchors: Tensor | None = None) -> Embedded:
    """Embeds queries of several structures; see `Model.embed_all`."""
    schedule = _Schedule(operators)
    roots: list[list[_Rows]] = []
    for part in asked:
        size = len(part.relations)
        # Columns of a row count anchors and relations together; these tensors hold each kind alone.
        columns = [part.structure.columns(kind) for kind in ("anchor", "relation")]
        place = {column: i for some in columns for i, column in enumerate(some)}
        rows = [schedule.add_anchors(size) for _ in columns[0]]
        roots.append([schedule.add(tree, part, rows, place) for tree in part.structure.disjuncts])
    single = all(len(ways) == 1 for ways in roots)
    wanted = [[way for ways in roots for way in ways]] if single else [[way] for ways in roots for way in ways]
    for together in wanted:
        schedule.want(together)
    schedule.run(Asked.by_columns([_of(part.anchors) for part in asked]) if anchors is None else anchors)
    if single:
        return Embedded(schedule.take(wanted[0]), None, sum(len(part.relations) for part in asked))
    found = []
    for part, trees in zip(asked, roots, strict=True):
        size, ways = len(part.relations), [schedule.take([tree]) for tree in trees]
        if len(ways) == 1:
            found.append(Embedded(ways[0], None, size))
        else:
            owners = torch.arange(size, device=ways[0].device).repeat_interleave(len(ways))
            found.append(Embedded(torch.stack(ways, dim=1).flatten(0, 1), owners, size))
    return found[0] if len(found) == 1 else Embedded.join(found)


def _runs(rows: Sequence[_Rows]) -> list[_Rows]:
    """Returns rows, those that follow each other where they were found as one."""
    found: list[_Rows] = []
    for some in rows:
        if found and found[-1].key == some.key and found[-1].stop == some.start:
            some = _Rows(some.key, found.pop().start, some.stop)
        found.append(some)
    return found


def _split(found: Tensor, sizes: list[int]) -> Sequence[Tensor]:
    return [found] if len(sizes) == 1 else torch.split(found, sizes)


def _join(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _of(value: Tensor | None) -> Tensor:
    assert value is not None  # projections have relations, and anchors come in one or by structure
    return value
