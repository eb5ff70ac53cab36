"""Exact symbolic execution of queries on the native core: all answers, and which of them are hard.

Memory is bounded by the answers and, for each thread, a bitmap of N bits and the sets of one query. Complements of
negations are never written out: the next intersection subtracts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphkit import _native
from graphkit.errors import GraphkitError
from graphkit.graph import SPLITS, KnowledgeGraph, Split
from graphkit.queries.query import Ids, Query, checked_rows
from graphkit.queries.structures import Structure
from graphkit.queries.tree import Anchor, Intersection, Negation, Node, Projection, Union, post_order

#: In the order of the native enumeration.
_OPERATIONS: tuple[type[Node], ...] = (Anchor, Projection, Intersection, Union, Negation)


@dataclass(frozen=True, eq=False)
class AnswerSets:
    """Entity sets of B queries, one after another."""

    #: int64[A], ascending within a query
    values: Ids
    #: int64[B + 1]; the answers of query i are ``values[offsets[i]:offsets[i + 1]]``
    offsets: Ids

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> Ids:
        if not 0 <= i < len(self):
            raise IndexError(f"there is no query {i} among {len(self)}")
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    @property
    def sizes(self) -> Ids:
        """int64[B], number of answers of each query."""
        return np.diff(self.offsets)

    def block(self, start: int, stop: int) -> tuple[Ids, Ids]:
        """Returns int64[a] query numbers, counted from `start`, and int64[a] answers of queries `start` to `stop`."""
        entities = self.values[self.offsets[start] : self.offsets[stop]]
        return np.repeat(np.arange(stop - start), self.sizes[start:stop]), entities

    def take(self, queries: Ids) -> AnswerSets:
        """Returns the sets of int64[b] `queries`, in that order."""
        sizes = self.sizes[queries]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[queries] - offsets[:-1], sizes)
        return AnswerSets(self.values[places], offsets)

    def _keys(self, num_entities: int) -> Ids:
        """Returns int64[A]: one ascending number for each pair of query and answer."""
        return np.repeat(np.arange(len(self)), self.sizes) * num_entities + self.values

    def _select(self, kept: NDArray[np.bool_]) -> AnswerSets:
        before = np.concatenate([[0], np.cumsum(kept)])
        return AnswerSets(self.values[kept], before[self.offsets])


@dataclass(frozen=True, eq=False)
class EasyAndHard:
    """Answers of B queries on a full graph, parted by what a smaller graph gives away."""

    #: answers on the smaller graph too
    easy: AnswerSets
    #: answers that the smaller graph does not give: what a model has to predict
    hard: AnswerSets

    def everything(self) -> AnswerSets:
        """Returns all answers on the full graph, easy and hard ones together."""
        span = 1 + max(int(part.values.max(initial=0)) for part in (self.easy, self.hard))
        keys = np.union1d(self.easy._keys(span), self.hard._keys(span))
        return AnswerSets(keys % span, np.searchsorted(keys, span * np.arange(len(self.easy) + 1)))


@dataclass(frozen=True, eq=False)
class QueryTable:
    """B queries of one structure with their answers: what a model of multi-hop queries is evaluated on.

    A set of your own is ``QueryTable(structure, rows, easy_and_hard(structure, rows, graph))``.

    Raises:
        GraphkitError: the parts do not speak of equally many queries, or rows have another width.
    """

    structure: Structure
    #: int64[B, structure.width], ids in the structure's layout
    rows: Ids
    #: easy: answers on train (valid queries) or train and valid (test queries); hard: what the next split adds
    answers: EasyAndHard

    def __post_init__(self) -> None:
        sizes = (len(self.rows), len(self.answers.easy), len(self.answers.hard))
        if self.rows.shape != (sizes[0], self.structure.width) or len(set(sizes)) > 1:
            raise GraphkitError(
                f"a table of {self.structure.name} queries has rows of shape {self.rows.shape}, {sizes[1]} sets of "
                f"easy and {sizes[2]} of hard answers; rows of shape (B, {self.structure.width}) and B sets of each "
                "are needed"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, queries: Ids) -> QueryTable:
        """Returns the table of int64[b] `queries`, in that order."""
        answers = EasyAndHard(self.answers.easy.take(queries), self.answers.hard.take(queries))
        return QueryTable(self.structure, self.rows[queries], answers)


def answers(
    query: Query, graph: KnowledgeGraph, splits: Iterable[Split] = ("train",), *, complement: bool = False
) -> Ids:
    """Returns all answers of a query on the union of splits.

    Args:
        query: e.g. of `parse`.
        graph: the graph that the ids belong to.
        splits: whose edges count.
        complement: whether an unbounded query is welcome; its answers are nearly all entities.

    Returns:
        int64[A] entity ids, ascending.

    Raises:
        GraphkitError: an id is out of range, or the query is unbounded.
    """
    rows = np.array([query.row], dtype=np.int64)
    return answer_sets(query.structure, rows, graph, splits, complement=complement).values


def answer_sets(
    structure: Structure,
    rows: ArrayLike,
    graph: KnowledgeGraph,
    splits: Iterable[Split] = ("train",),
    *,
    threads: int = 1,
    complement: bool = False,
) -> AnswerSets:
    """Returns all answers of B queries of one structure; see `answers`.

    Args:
        structure: of all queries.
        rows: int64[B, structure.width], ids in the structure's layout.
        graph: the graph that the ids belong to.
        splits: whose edges count.
        threads: native threads; any number gives the same result.
        complement: whether an unbounded structure is welcome.

    Raises:
        GraphkitError: rows of another width or type, an id out of range, or an unbounded structure.
    """
    if threads < 1:
        raise GraphkitError(f"threads is {threads}, and at least 1 is needed")
    if not complement:
        structure.require_bounded()
    checked = checked_rows(structure, rows, graph)
    index = graph.index_over(splits)
    return AnswerSets(*_native.execute(index.native, program_code(structure), checked, threads=threads))


def easy_and_hard(
    structure: Structure,
    rows: ArrayLike,
    graph: KnowledgeGraph,
    *,
    known: Iterable[Split] = ("train", "valid"),
    full: Iterable[Split] = SPLITS,
    threads: int = 1,
) -> EasyAndHard:
    """Parts the answers of B queries on the `full` splits by whether the `known` ones give them already.

    The defaults are those of test queries; validation queries have ``known=("train",), full=("train", "valid")``.
    With a negation the known edges can give answers that the full ones refute; these are in neither set.

    Args:
        structure: of all queries.
        rows: int64[B, structure.width], ids in the structure's layout.
        graph: the graph that the ids belong to.
        known: splits of the smaller graph.
        full: splits of the whole graph.
        threads: native threads.

    Raises:
        GraphkitError: as `answer_sets` does, or `known` is not a part of `full`.
    """
    known, full = tuple(known), tuple(full)
    if not set(known) <= set(full):
        raise GraphkitError(
            f"the known splits {', '.join(known)} are not all among the full ones, {', '.join(full)}; add them there"
        )
    everything = answer_sets(structure, rows, graph, full, threads=threads)
    given = answer_sets(structure, rows, graph, known, threads=threads)
    keys, known_keys = everything._keys(graph.num_entities), given._keys(graph.num_entities)
    place = np.searchsorted(known_keys, keys)
    is_known = np.zeros(len(keys), dtype=np.bool_)
    inside = place < len(known_keys)
    is_known[inside] = known_keys[place[inside]] == keys[inside]
    return EasyAndHard(everything._select(is_known), everything._select(~is_known))


def program_code(structure: Structure) -> Ids:
    """Returns what the native core runs: int64[n, 2], the operation and operand of each node in post-order."""
    code = [(_OPERATIONS.index(type(node)), _operand(node)) for node in post_order(structure.tree)]
    return np.array(code, dtype=np.int64)


def _operand(node: Node) -> int:
    match node:
        case Anchor():
            return node.entity
        case Projection():
            return node.relation
        case Intersection() | Union():
            return len(node.branches)
        case Negation():
            return 0
