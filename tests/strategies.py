"""Random small knowledge graphs for Hypothesis, and the plain definitions that look-ups are compared with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from graphkit import KnowledgeGraph
from graphkit.queries import Anchor, Intersection, Negation, Node, Projection, Union

Ids = NDArray[np.int64]
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class RawGraph:
    """Integer triples as drawn: with duplicates, self-loops, and entities and relations that no triple names."""

    entities: int
    relations: int
    train: list[Triple]
    valid: list[Triple]
    test: list[Triple]

    def build(self) -> KnowledgeGraph:
        """The same as a `KnowledgeGraph`."""
        return KnowledgeGraph.from_triples(
            as_array(self.train),
            as_array(self.valid),
            as_array(self.test),
            num_entities=self.entities,
            num_relations=self.relations,
        )


def as_array(triples: Iterable[Triple]) -> Ids:
    """int64[M, 3], also of no triples."""
    return np.array(list(triples), dtype=np.int64).reshape(-1, 3)


def directed(triples: Iterable[Triple]) -> set[Triple]:
    """The definition of directed edges: 2k forward, 2k+1 back."""
    return {edge for h, r, t in triples for edge in ((h, 2 * r, t), (t, 2 * r + 1, h))}


def answers(triples: Iterable[Triple], head: int, relation: int) -> list[int]:
    """The definition of the answers of (head, directed relation, ?), ascending."""
    return sorted(t for h, r, t in directed(triples) if (h, r) == (head, relation))


@st.composite
def raw_graphs(draw: st.DrawFn, *, held_out: bool = False, max_triples: int = 30) -> RawGraph:
    """Graphs of 1 to 12 entities, 1 to 4 relations and at least one training triple."""
    entities, relations = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    triple = st.tuples(st.integers(0, entities - 1), st.integers(0, relations - 1), st.integers(0, entities - 1))
    train = draw(st.lists(triple, min_size=1, max_size=max_triples))
    valid, test = (draw(st.lists(triple, max_size=8)) if held_out else [] for _ in range(2))
    return RawGraph(entities, relations, train, valid, test)


def random_graph(entities: int, relations: int, edges: int, *, seed: int = 0, held_out: int = 0) -> KnowledgeGraph:
    """A graph of uniform triples; entity ids are bound to occur even where no triple names them."""
    random = np.random.default_rng(seed)
    limits = [entities, relations, entities]
    train, valid, test = (random.integers(0, limits, (rows, 3)) for rows in (edges, held_out, held_out))
    return KnowledgeGraph.from_triples(train, valid, test, num_entities=entities, num_relations=relations)


@st.composite
def trees(draw: st.DrawFn, entities: int, relations: int, *, depth: int = 4, complement: bool = False) -> Node:
    """Trees of ids of any shape, with unions under negations and negations under unions.

    No relation is followed from a complement; the whole is one if and only if `complement` is true.
    """
    kinds = ["negation", "intersection", "union"] if complement else ["anchor", "projection", "projection", "negation"]
    if depth > 2:
        kinds += ["intersection", "union"]
    if not complement and depth <= 1:
        kinds = ["anchor"]
    kind = draw(st.sampled_from(kinds if depth > 1 or not complement else ["negation"]))

    def below(of: bool) -> Node:
        return draw(trees(entities, relations, depth=depth - 1, complement=of))

    if kind == "anchor":
        return Anchor(draw(st.integers(0, entities - 1)))
    if kind == "projection":
        return Projection(below(False), draw(st.integers(0, 2 * relations - 1)))
    if kind == "negation":
        return Negation(below(not complement))
    # An intersection is a complement if all branches are, a union if any is.
    fixed = [complement] if kind == "union" or not complement else [True, True]
    free = draw(st.integers(2 - len(fixed), 3 - len(fixed)))
    any_kind = (kind == "union") == complement
    chosen = fixed + [draw(st.booleans()) if any_kind else complement for _ in range(free)]
    branches = tuple(below(of) for of in draw(st.permutations(chosen)))
    return Intersection(branches) if kind == "intersection" else Union(branches)


def holds(node: Node, entity: int, edges: set[Triple]) -> bool:
    """The definition of an answer by predicates: no sets, no complements."""
    match node:
        case Anchor():
            return entity == node.entity
        case Projection():
            return any(t == entity and r == node.relation and holds(node.operand, h, edges) for h, r, t in edges)
        case Negation():
            return not holds(node.operand, entity, edges)
        case Intersection():
            return all(holds(branch, entity, edges) for branch in node.branches)
        case Union():
            return any(holds(branch, entity, edges) for branch in node.branches)
