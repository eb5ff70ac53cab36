"""Queries that held-out edges make hard, drawn for graphs that have no published query set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph, Split
from graphkit.queries import AnswerSets, EasyAndHard, QueryTable, Structure, easy_and_hard
from graphkit.samplers.query_sampler import QuerySampler, SamplerOptions

#: Queries that are drawn at most for each one that is kept.
_DRAWN_PER_KEPT = 50
_BATCH = 256


def held_out_queries(
    graph: KnowledgeGraph,
    structures: Iterable[Structure],
    *,
    known: Sequence[Split],
    full: Sequence[Split],
    count: int,
    seed: int = 0,
) -> dict[str, QueryTable]:
    """Draws queries on the `full` splits and keeps those with a hard answer, one that the `known` splits lack.

    Args:
        graph: the graph with its splits.
        structures: of the queries; those that cannot be drawn are left out.
        known: splits of the smaller graph, a part of `full`.
        full: splits of the whole graph.
        count: distinct queries of each structure at most; fewer where hard answers are rare.
        seed: of the draws.

    Returns:
        Queries with easy and hard answers, by the name of their structure; structures without any are left out.

    Raises:
        GraphkitError: the graph has no edges in `full`.
    """
    whole = KnowledgeGraph.from_triples(
        np.concatenate([graph.triples(split) for split in full]),
        num_entities=graph.num_entities,
        num_relations=graph.num_relations,
    )
    found = {}
    for structure in structures:
        options = SamplerOptions(
            structures=str(structure.nested), batch_size=_BATCH, mode="none", negatives=0, backtracking=False, seed=seed
        )
        table = _draw(graph, structure, QuerySampler(whole, options), known, full, count)
        if len(table):
            found[structure.name] = table
    return found


def _draw(
    graph: KnowledgeGraph,
    structure: Structure,
    sampler: QuerySampler,
    known: Sequence[Split],
    full: Sequence[Split],
    count: int,
) -> QueryTable:
    seen: set[bytes] = set()
    rows: list[NDArray[np.int64]] = []
    easy: list[NDArray[np.int64]] = []
    hard: list[NDArray[np.int64]] = []
    for _ in range(-(-_DRAWN_PER_KEPT * count // _BATCH)):
        try:
            drawn = next(sampler).segments[0].rows.numpy()
        except GraphkitError:
            break  # it cannot be drawn on this graph
        answers = easy_and_hard(structure, drawn, graph, known=known, full=full)
        for i in np.flatnonzero(answers.hard.sizes).tolist():
            if len(rows) < count and drawn[i].tobytes() not in seen:
                seen.add(drawn[i].tobytes())
                rows.append(drawn[i].copy())
                easy.append(answers.easy[i])
                hard.append(answers.hard[i])
        if len(rows) == count:
            break
    sampler.close()
    stacked = np.array(rows, dtype=np.int64).reshape(len(rows), structure.width)
    return QueryTable(structure, stacked, EasyAndHard(_lists(easy), _lists(hard)))


def _lists(parts: list[NDArray[np.int64]]) -> AnswerSets:
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    return AnswerSets(np.concatenate([np.empty(0, dtype=np.int64), *parts]), offsets)
