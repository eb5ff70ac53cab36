"""Queries that held-out edges make hard, drawn for graphs that have no published query set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from graphkit.graph import SPLITS, KnowledgeGraph, Split
from graphkit.queries import (
    Anchor,
    AnswerSets,
    EasyAndHard,
    Intersection,
    Negation,
    Node,
    Projection,
    QueryTable,
    Structure,
    Union,
    answer_sets,
    easy_and_hard,
)
from graphkit.queries.tree import is_complement, post_order
from graphkit.samplers.query_sampler import CannotDraw, QuerySampler, SamplerOptions

#: Queries with more answers are not kept: about hubs, they ask little of a model and their answers fill the memory.
MOST_ANSWERS = 10_000
#: Queries are executed together until they have so many answers. What the known edges give and the full ones refute,
#: for which a negation is needed, comes on top.
ANSWERS_AT_ONCE = 100_000

#: Queries that are drawn at most for each one that is kept.
_DRAWN_PER_KEPT = 100
_BATCH = 256
_COUNTED_AT_ONCE = 8


@dataclass(frozen=True)
class HeldOutQueries:
    """Queries that held-out edges make hard, and what of them there is not."""

    #: by the name of their structure
    tables: dict[str, QueryTable]
    #: by the name of a structure without any: the reason
    skipped: dict[str, str]


def held_out_queries(
    graph: KnowledgeGraph,
    structures: Iterable[Structure],
    *,
    known: Sequence[Split],
    full: Sequence[Split],
    count: int,
    seed: int = 0,
) -> HeldOutQueries:
    """Draws queries on the `full` splits and keeps those with a hard answer, one that the `known` splits lack.

    Of queries with a negation only those are kept that would have more answers without it: a negated branch that is
    drawn at random says mostly what goes without saying.

    Queries with more than `MOST_ANSWERS` answers on the full graph are not kept, so that a structure takes at most
    8 bytes times `count` times that.

    Args:
        graph: the graph with its splits.
        structures: of the queries.
        known: splits of the smaller graph, a part of `full`.
        full: splits of the whole graph.
        count: distinct queries of each structure at most; fewer where hard answers are rare.
        seed: of the draws.

    Returns:
        Queries with easy and hard answers, and the structures without any, with the reason.

    Raises:
        GraphkitError: the graph has no edges in `full`.
    """
    # The index is the one that executes the queries: there is no second copy of the edges.
    nothing: dict[Split, NDArray[np.int64]] = {split: np.empty((0, 3), dtype=np.int64) for split in SPLITS[1:]}
    whole = KnowledgeGraph(graph.index_over(full), nothing)
    found = HeldOutQueries({}, {})
    for structure in structures:
        options = SamplerOptions(
            structures=str(structure.nested),
            batch_size=_BATCH,
            mode="none",
            negatives=0,
            backtracking=False,
            expansion_limit=None,
            seed=seed,
        )
        kept = _Kept(structure, count)
        reason = _draw(QuerySampler(whole, options), kept, graph, known, full)
        if kept.rows:
            found.tables[structure.name] = kept.table()
        else:
            found.skipped[structure.name] = reason
    return found


@dataclass(frozen=True)
class _Kept:
    """The queries of one structure that were kept so far, each once."""

    structure: Structure
    count: int
    seen: set[bytes] = field(default_factory=set)
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    easy: list[NDArray[np.int64]] = field(default_factory=list)
    hard: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return len(self.rows) >= self.count

    def add(self, rows: NDArray[np.int64], answers: EasyAndHard) -> None:
        """Keeps new queries with hard answers while there is room."""
        for i in np.flatnonzero(answers.hard.sizes).tolist():
            if not self.full and rows[i].tobytes() not in self.seen:
                self.seen.add(rows[i].tobytes())
                self.rows.append(rows[i].copy())
                self.easy.append(answers.easy[i].copy())
                self.hard.append(answers.hard[i].copy())

    def table(self) -> QueryTable:
        return QueryTable(self.structure, np.stack(self.rows), EasyAndHard(_lists(self.easy), _lists(self.hard)))


def _draw(
    sampler: QuerySampler, kept: _Kept, graph: KnowledgeGraph, known: Sequence[Split], full: Sequence[Split]
) -> str:
    """Fills `kept`, and returns why there are not more."""
    drawn = large = 0
    relaxed, columns = _without_negations(kept.structure)
    try:
        while not kept.full and drawn < _DRAWN_PER_KEPT * kept.count:
            batch = next(sampler)
            rows, sizes = batch.segments[0].rows.numpy(), batch.answer_counts.numpy()
            small = np.flatnonzero(sizes <= MOST_ANSWERS)
            drawn, large = drawn + len(rows), large + len(rows) - len(small)
            if kept.structure.negated:
                small = small[_sizes(relaxed, rows[small][:, columns], graph, full) > sizes[small]]
            group = np.cumsum(sizes[small]) // ANSWERS_AT_ONCE
            for part in np.split(small, np.flatnonzero(np.diff(group)) + 1):
                if not kept.full:
                    kept.add(rows[part], easy_and_hard(kept.structure, rows[part], graph, known=known, full=full))
    except CannotDraw as error:
        return f"it cannot be drawn from this graph: {error.reason}"
    finally:
        sampler.close()
    above = f"; {large:,} have more than {MOST_ANSWERS:,} answers, and were not considered" if large else ""
    idle = ", with a negation that matters" if kept.structure.negated else ""
    return f"none of {drawn:,} queries that were drawn has a hard answer{idle}{above}"


def _sizes(
    structure: Structure, rows: NDArray[np.int64], graph: KnowledgeGraph, splits: Sequence[Split]
) -> NDArray[np.int64]:
    """Returns the numbers of answers, of which only those of few queries are ever held."""
    parts = [rows[i : i + _COUNTED_AT_ONCE] for i in range(0, len(rows), _COUNTED_AT_ONCE)]
    counted = [answer_sets(structure, part, graph, splits).sizes for part in parts]
    return np.concatenate([np.empty(0, dtype=np.int64), *counted])


def _without_negations(structure: Structure) -> tuple[Structure, list[int]]:
    """Returns the structure without the negated branches of its intersections, and the columns that are left."""

    def relaxed(node: Node) -> Node:
        match node:
            case Projection():
                return Projection(relaxed(node.operand), node.relation)
            case Intersection():
                plain = tuple(relaxed(branch) for branch in node.branches if not is_complement(branch))
                return plain[0] if len(plain) == 1 else Intersection(plain) if plain else node
            case Union():
                return Union(tuple(relaxed(branch) for branch in node.branches))
            case Anchor() | Negation():
                return node

    tree = relaxed(structure.tree)
    numbers = [
        node.entity if isinstance(node, Anchor) else node.relation
        for node in post_order(tree)
        if isinstance(node, Anchor | Projection)
    ]
    return Structure(tree), numbers


def _lists(parts: list[NDArray[np.int64]]) -> AnswerSets:
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    return AnswerSets(np.concatenate([np.empty(0, dtype=np.int64), *parts]), offsets)
