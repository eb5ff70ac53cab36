"""The plain twin of the native heavy-edge clustering: slow, obvious, and the oracle of its tests."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import torch
from scipy.sparse import csr_matrix
from torch import Tensor

_MASK64 = 2**64 - 1
#: A level that merges fewer than this part of its clusters looks for more to merge.
FEWEST = 16
#: Rounds of refinement at most; it ends when one moves fewer than this part of the nodes.
REFINEMENTS = 8
FEW_MOVES = 200


class _Proposal(NamedTuple):
    to: int
    #: whether the two together stay within the cap
    within: bool
    #: edges over the sizes of both
    density: Fraction


def heavy_edge_clusters(adjacency: csr_matrix, clusters: int) -> Tensor:
    """Returns int64[N], the cluster of each node, numbered by their first nodes.

    Args:
        adjacency: [N, N] symmetric, without loops; weights are not looked at.
        clusters: from 1 to N.
    """
    neighbors = [adjacency.indices[first:last].tolist() for first, last in pairwise(adjacency.indptr.tolist())]
    cluster = _Coarsening(neighbors, clusters).run()
    first_nodes = dict.fromkeys(cluster)  # in the order in which they occur
    number = {c: i for i, c in enumerate(first_nodes)}
    return torch.tensor([number[c] for c in cluster])


def _priority(one: int, other: int) -> int:
    """Decides among equally good pairs, as good as drawn: 32 bits of SplitMix64."""
    z = ((min(one, other) << 32 | max(one, other)) + 0x9E3779B97F4A7C15) & _MASK64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK64
    return (z ^ (z >> 31)) >> 32


class _Coarsening:
    def __init__(self, neighbors: list[list[int]], wanted: int) -> None:
        nodes = len(neighbors)
        self.neighbors, self.wanted = neighbors, wanted
        self.cluster = list(range(nodes))
        self.size = [1] * nodes
        self.mean = -(-nodes // wanted)
        # One and a half times the mean size.
        self.cap = max(2, -(-3 * nodes // (2 * wanted)))

    def run(self) -> list[int]:
        while len(self.size) > self.wanted:
            self._merge(self._pairs())
        self._refine()
        return self.cluster

    def _proposal(self, cluster: int) -> _Proposal | None:
        """Returns the densest merger of a cluster with a neighbour, within the cap if there is such a one."""
        edges = Counter(
            self.cluster[other]
            for node, own in enumerate(self.cluster)
            if own == cluster
            for other in self.neighbors[node]
            if self.cluster[other] != cluster
        )
        found = [
            _Proposal(
                other,
                self.size[cluster] + self.size[other] <= self.cap,
                Fraction(count, self.size[cluster] * self.size[other]),
            )
            for other, count in edges.items()
        ]
        return max(found, key=lambda p: (p.within, p.density, _priority(cluster, p.to), -p.to), default=None)

    def _pairs(self) -> list[tuple[int, int]]:
        """Returns the pairs that a level merges, none of them twice."""
        count = len(self.size)
        excess = count - self.wanted
        few = min(excess, -(-count // FEWEST))
        proposals = [self._proposal(cluster) for cluster in range(count)]
        pairs: list[tuple[int, int]] = []
        free = set(range(count))

        def add(one: int, other: int, most: int) -> None:
            if len(pairs) < most and {one, other} <= free and self.size[one] + self.size[other] <= self.cap:
                pairs.append((min(one, other), max(one, other)))
                free.difference_update((one, other))

        def add_smallest(among: list[int], most: int) -> None:
            order = sorted((self.size[cluster], cluster) for cluster in among if cluster in free)
            for (_, one), (_, other) in zip(order[::2], order[1::2], strict=False):
                add(one, other, most)

        proposed = [(one, p) for one, p in enumerate(proposals) if p is not None and p.within]
        for one, p in sorted(proposed, key=lambda c: (-c[1].density, -_priority(c[0], c[1].to), c[0])):
            add(one, p.to, excess)
        if len(pairs) < few:
            # Those that would go to the same neighbour, two by two.
            siblings = sorted((p.to, one) for one, p in enumerate(proposals) if p is not None and one in free)
            for (to, one), (same, other) in pairwise(siblings):
                if to == same:
                    add(one, other, excess)
        stuck = [one for one, p in enumerate(proposals) if p is None or not p.within]
        add_smallest([one for one in stuck if 2 * self.size[one] * count <= len(self.cluster)], excess)
        if len(pairs) < few:
            add_smallest(list(range(count)), few)
        if len(pairs) < few:
            self.cap = max(self.cap, 2 * self.mean)
        return pairs

    def _merge(self, pairs: list[tuple[int, int]]) -> None:
        into = {high: low for low, high in pairs}
        number = {one: i for i, one in enumerate(one for one in range(len(self.size)) if one not in into)}
        self.cluster = [number[into.get(one, one)] for one in self.cluster]
        self.size = [self.cluster.count(one) for one in range(len(number))]

    def _refine(self) -> None:
        """Moves nodes, one by one, to the cluster that most of their neighbours are in."""
        for _ in range(REFINEMENTS):
            moved = sum(self._move(node) for node in range(len(self.cluster)))
            if moved * FEW_MOVES < len(self.cluster):
                return

    def _move(self, node: int) -> bool:
        own = self.cluster[node]
        if 2 * (self.size[own] - 1) < self.mean:
            return False  # no cluster is left empty, or small
        edges = Counter(self.cluster[other] for other in self.neighbors[node])
        # Where both have as many neighbours the smaller is better, counted with the node in it.
        best = max(
            (own, *(one for one in edges if one != own and self.size[one] < self.cap)),
            key=lambda one: (edges[one], -(self.size[one] + (one != own)), one == own, -one),
        )
        self.cluster[node] = best
        self.size[own] -= 1
        self.size[best] += 1
        return best != own
