"""Compares what the query sampler delivers with brute force, query by query, and exits 1 where they differ.

    python benchmarks/audit_sampler.py --graph syn10m --queries 200000

Half of the queries have negatives of their own and half share candidates; all structures take turns. The brute force
shares no code with the sampler: sets are sorted arrays, and edges are found by bisection in a list of all of them.
``--json`` prints one JSON object alone on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from query_sampler import load

from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.queries import STRUCTURES, Anchor, Intersection, Negation, Node, Projection, Union
from graphkit.queries.tree import is_complement
from graphkit.samplers import QueryBatch, QuerySampler, SamplerOptions

Ids = NDArray[np.int64]
BATCH = 500


class BruteForce:
    """Answers by the definition."""

    def __init__(self, graph: KnowledgeGraph) -> None:
        triples = graph.triples()
        relations = 2 * graph.num_relations
        self.entities, self.relations = graph.num_entities, relations
        keys = [triples[:, 0] * relations + 2 * triples[:, 1], triples[:, 2] * relations + 2 * triples[:, 1] + 1]
        tails = np.concatenate([triples[:, 2], triples[:, 0]])
        order = np.argsort(np.concatenate(keys), kind="stable")
        self.keys, self.tails = np.concatenate(keys)[order], tails[order]

    def answers(self, node: Node) -> Ids:
        """Returns the entities of a set, ascending; of a complement those that it lacks."""
        match node:
            case Anchor():
                return np.array([node.entity])
            case Projection():
                wanted = self.answers(node.operand) * self.relations + node.relation
                first, last = np.searchsorted(self.keys, wanted), np.searchsorted(self.keys, wanted, side="right")
                return self._distinct(first, last)
            case Negation():
                return self.answers(node.operand)
            case Intersection() | Union():
                return self._joined(node)

    def _distinct(self, first: Ids, last: Ids) -> Ids:
        """Returns the tails in some ranges of the list, ascending and once."""
        sizes = last - first
        ends = np.cumsum(sizes)
        places = np.repeat(first - ends + sizes, sizes) + np.arange(sizes.sum())
        if len(places) < self.entities // 100:
            return np.unique(self.tails[places])
        is_in = np.zeros(self.entities, dtype=np.bool_)
        is_in[self.tails[places]] = True
        return np.flatnonzero(is_in)

    def _joined(self, node: Intersection | Union) -> Ids:
        plain = [self.answers(branch) for branch in node.branches if not is_complement(branch)]
        lacking = [self.answers(branch) for branch in node.branches if is_complement(branch)]
        intersects = isinstance(node, Intersection)
        if not lacking or not plain:
            same = intersects == (not lacking)  # by De Morgan's laws what is lacking is joined the other way
            return reduce(np.intersect1d if same else np.union1d, plain or lacking)
        both, less = (plain, lacking) if intersects else (lacking, plain)
        return reduce(np.setdiff1d, less, reduce(np.intersect1d, both))


def mistakes(batch: QueryBatch, truth: BruteForce, entities: int, limit: int) -> list[str]:
    """Says what is wrong with a batch."""
    assert batch.negatives is not None
    assert batch.mask is not None
    found = []
    for segment in batch.segments:
        for row, lane in zip(segment.rows.tolist(), range(batch.size)[segment.lanes], strict=True):
            answers = truth.answers(segment.structure.fill(row))
            candidates = batch.negatives if batch.shared else batch.negatives[lane]
            is_answer = np.isin(candidates.numpy(), answers)
            verified = ~is_answer if batch.shared else np.full(len(candidates), len(answers) < entities)
            told = int(batch.answer_counts[lane])
            checks = {
                "the positive is no answer": int(batch.positives[lane]) in answers,
                "the count is wrong": told == len(answers) if batch.counted[lane] else limit <= told < entities,
                "the mask is wrong": bool((batch.mask[lane].numpy() == verified).all()),
                "a negative is an answer": batch.shared or not (is_answer & verified).any(),
            }
            found += [f"{segment.structure.name} {row}: {what}" for what, holds in checks.items() if not holds]
    return found


def audit(graph: KnowledgeGraph, queries: int, limit: int) -> dict[str, Any]:
    """Returns how many queries were compared and what was found."""
    truth = BruteForce(graph)
    wrong: list[str] = []
    compared = counted = 0
    for mode in ("own", "shared"):
        options = SamplerOptions(
            structures=" ".join(STRUCTURES), batch_size=BATCH, mode=mode, negatives=128, expansion_limit=limit, seed=1
        )
        for batch in islice(QuerySampler(graph, options), -(-queries // (2 * BATCH))):
            wrong += mistakes(batch, truth, graph.num_entities, limit)
            compared, counted = compared + batch.size, counted + int(batch.counted.sum())
            if sys.stderr.isatty():
                print(f"\r{compared:,} queries", end="", file=sys.stderr)
    return {"queries": compared, "counted": counted / compared, "mismatches": len(wrong), "first": wrong[:5]}


def main() -> int:
    """Compares and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--graph", default="wn18rr", help="as of query_sampler.py")
    parser.add_argument("--queries", type=int, default=200_000)
    parser.add_argument("--limit", type=int, default=1024, help="SamplerOptions.expansion_limit (default: 1024)")
    parser.add_argument("--cache", type=Path, default=Path("runs/graphs"), help="where synthetic graphs are kept")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    try:
        result = audit(load(options.graph, options.cache), options.queries, options.limit)
    except GraphkitError as error:
        print(f"audit_sampler: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"graph": options.graph, "limit": options.limit, **result}))
    else:
        share = f"{100 * result['counted']:.1f} % of them counted"
        print(f"{options.graph}: {result['queries']:,} queries, {share}, {result['mismatches']} mismatches")
        print(*result["first"], sep=os.linesep)
    return 1 if result["mismatches"] else 0


if __name__ == "__main__":
    sys.exit(main())
