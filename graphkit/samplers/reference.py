"""The plain twin of the native sampler: slow, obvious, and the oracle of its tests.

`sample` returns the batch that the native stream must deliver, bit for bit, from the definition alone.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray

from graphkit.graph import KnowledgeGraph
from graphkit.queries import ONE_HOP, Anchor, Intersection, Negation, Node, Projection, Structure, Union
from graphkit.queries.reference import evaluate
from graphkit.queries.tree import is_complement, post_order
from graphkit.samplers.batch import QueryBatch, Segment
from graphkit.samplers.query_sampler import SamplerOptions, SamplingStatistics
from graphkit.samplers.reference_corruption import ByDegree, ByType, leading_relations

_MASK32 = 2**32 - 1
_MASK64 = 2**64 - 1
#: What stands for a lane in the order of an epoch: of what is trained on (edges, clusters), and of shared candidates.
TRAINED_LANE = 0xFFFFFFFE
CANDIDATES_LANE = 0xFFFFFFFF
#: Rounds in which negatives that are answers are drawn again, before all answers of a query are listed after all; or
#: before its negatives are drawn uniformly, where they are not anyway.
PATIENCE = 64


def philox(counter: tuple[int, int, int, int], key: int) -> tuple[int, int, int, int]:
    """Philox 4x32-10 (Salmon et al., SC 2011): four 32-bit numbers for a counter and a 64-bit key."""
    c0, c1, c2, c3 = counter
    k0, k1 = key & _MASK32, key >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & _MASK32, (p0 >> 32) ^ c3 ^ k1, p0 & _MASK32
        k0, k1 = (k0 + 0x9E3779B9) & _MASK32, (k1 + 0xBB67AE85) & _MASK32
    return c0, c1, c2, c3


class LaneRandom:
    """The numbers of one lane of one batch: draw i of (seed, batch, lane)."""

    def __init__(self, seed: int, batch: int, lane: int) -> None:
        self._seed, self._batch, self._lane, self._draw = seed, batch, lane, 0

    def next(self) -> int:
        """Returns a uniform number in [0, 2^64)."""
        block = philox((self._draw // 2, self._lane, self._batch & _MASK32, self._batch >> 32), self._seed)
        half = 2 * (self._draw % 2)
        self._draw += 1
        return block[half] | block[half + 1] << 32

    def below(self, size: int) -> int:
        """Returns a uniform number in [0, size)."""
        return (self.next() * size) >> 64


class SplitMix:
    """Many numbers from one: SplitMix64 (Steele et al., OOPSLA 2014)."""

    def __init__(self, start: int) -> None:
        self._state = start

    def below(self, size: int) -> int:
        """Returns a uniform number in [0, size)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK64
        return (_scramble(self._state) * size) >> 64


def permute(i: int, size: int, seed: int, epoch: int, lane: int = TRAINED_LANE) -> int:
    """Returns the image of `i` under the epoch's permutation of [0, size): a cycle-walking Feistel network."""
    half = ((size - 1).bit_length() + 1) // 2 if size > 1 else 1
    mask = (1 << half) - 1
    keys = []
    for round_number in range(6):
        block = philox((round_number, lane, epoch & _MASK32, epoch >> 32), seed)
        keys.append(block[0] | block[1] << 32)
    while True:
        left, right = i >> half, i & mask
        for key in keys:
            left, right = right, left ^ (_scramble(right ^ key) & mask)
        i = left << half | right
        if i < size:
            return i


def _scramble(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK64
    return z ^ (z >> 31)


def directed_edges(graph: KnowledgeGraph) -> NDArray[np.int64]:
    """Returns int64[2 E, 3]: every training edge in both directions, in the order of the index."""
    triples = graph.triples()
    forward = np.stack([triples[:, 0], 2 * triples[:, 1], triples[:, 2]], axis=1)
    inverse = np.stack([triples[:, 2], 2 * triples[:, 1] + 1, triples[:, 0]], axis=1)
    return np.unique(np.concatenate([forward, inverse]), axis=0)


def sample(graph: KnowledgeGraph, options: SamplerOptions, number: int) -> QueryBatch:
    """Returns batch `number` of the stream of `options` over `graph`.

    Where a structure cannot be drawn this never returns, while the native sampler gives up.
    """
    return sample_counted(graph, options, number)[0]


def sample_counted(
    graph: KnowledgeGraph, options: SamplerOptions, number: int
) -> tuple[QueryBatch, list[SamplingStatistics]]:
    """Returns a batch, and what became of the attempts to draw the queries of each structure."""
    source = _Source(graph, options)
    if options.mode == "shared":
        source.share(number)
    # The query at place g of the stream has structure g modulo their number.
    first = number * options.batch_size
    places = range(first, first + options.batch_size)
    parsed = options.parsed
    segments: list[Segment] = []
    statistics = []
    lanes: list[_Drawn] = []
    for i, structure in enumerate(parsed):
        outcomes: Counter[str] = Counter()
        rows = []
        for place in places:
            if place % len(parsed) != i:
                continue
            random = LaneRandom(options.seed, number, len(lanes))
            source.chunk = len(lanes) * options.chunks // options.batch_size
            if structure == ONE_HOP:
                one_hops = [j for j, other in enumerate(parsed) if other == ONE_HOP]
                drawn = source.edge(place // len(parsed) * len(one_hops) + one_hops.index(i), random)
            else:
                drawn = source.query(structure, random, outcomes)
            outcomes["drawn"] += 1
            rows.append(drawn.row)
            lanes.append(drawn)
        statistics.append(SamplingStatistics(**outcomes))
        if rows and segments and segments[-1].structure == structure:
            before = segments.pop()
            joined = torch.cat([before.rows, torch.tensor(rows)])
            segments.append(Segment(structure, slice(before.lanes.start, len(lanes)), joined))
        elif rows:
            segments.append(Segment(structure, slice(len(lanes) - len(rows), len(lanes)), torch.tensor(rows)))
    own_mode, with_negatives = options.mode == "own", options.mode != "none"
    negatives = torch.tensor([drawn.negatives.own for drawn in lanes] if own_mode else source.shared)
    weights = [drawn.negatives.weights for drawn in lanes] if own_mode else source.shared_weights
    verified = [[len(drawn.answers) < graph.num_entities] * options.negatives for drawn in lanes]
    in_shared = [[x not in drawn.answers for x in drawn.negatives.shared] for drawn in lanes]
    counts = [len(drawn.answers) if drawn.counted else source.estimate(drawn) for drawn in lanes]
    batch = QueryBatch(
        number=number,
        segments=tuple(segments),
        positives=torch.tensor([drawn.positive for drawn in lanes]),
        answer_counts=torch.tensor(counts),
        counted=torch.tensor([drawn.counted for drawn in lanes]),
        log_probs=torch.tensor([drawn.log_prob for drawn in lanes], dtype=torch.float64),
        negatives=negatives if with_negatives else None,
        mask=torch.tensor(verified if own_mode else in_shared) if with_negatives else None,
        log_weights=torch.tensor(weights, dtype=torch.float64).log().float() if source.corrupts else None,
    )
    return batch, statistics


@dataclass(frozen=True)
class _Negatives:
    #: of the query alone, and the weight of each
    own: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    #: weights of the answers among the entities that were drawn first
    answered: float = 0
    #: whether all answers had to be listed
    after_all: bool = False
    #: those of the query's chunk
    shared: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class _Drawn:
    row: list[int]
    positive: int
    answers: frozenset[int]
    counted: bool
    log_prob: float
    negatives: _Negatives


class _Source:
    """Queries of one graph, drawn one by one."""

    def __init__(self, graph: KnowledgeGraph, options: SamplerOptions) -> None:
        self.options = options
        self.entities = frozenset(range(graph.num_entities))
        self.edges: list[tuple[int, int, int]] = [(h, r, t) for h, r, t in directed_edges(graph).tolist()]
        self.corrupts = options.corruption != "uniform"
        self.by_degree = ByDegree(self.edges, graph.num_entities)
        #: the candidates of the batch, chunk after chunk, and the weight of each
        self.shared: list[int] = []
        self.shared_weights: list[float] = []
        #: that of the query which is drawn
        self.chunk = 0

    def share(self, number: int) -> None:
        """Draws the candidates of a batch: the next ones of an epoch over all entities, or over the ends of edges."""
        some = self.options.chunks * self.options.negatives
        size = len(self.edges) if self.corrupts else len(self.entities)
        for position in range(number * some, (number + 1) * some):
            epoch, place = divmod(position, size)
            drawn = permute(place, size, self.options.seed, epoch, CANDIDATES_LANE)
            self.shared.append(self.edges[drawn][2] if self.corrupts else drawn)
        self.shared_weights = [self.by_degree.weight(x) if self.corrupts else 1.0 for x in self.shared]

    def edge(self, position: int, random: LaneRandom) -> _Drawn:
        """Returns the one-hop query at a position of the epochs."""
        epoch, place = divmod(position, len(self.edges))
        head, relation, tail = self.edges[permute(place, len(self.edges), self.options.seed, epoch)]
        answers = frozenset(t for h, r, t in self.edges if (h, r) == (head, relation))
        negatives = self._negatives(Projection(Anchor(head), relation), answers, True, random)
        return _Drawn([head, relation], tail, answers, True, -math.log(len(self.edges)), negatives)

    def query(self, structure: Structure, random: LaneRandom, outcomes: Counter[str]) -> _Drawn:
        """Returns the first walk that is not rejected, and counts why the others were."""
        while True:
            walk = _Walk(self, random, structure.width)
            start = walk.entity()
            if not walk.down(structure.tree, start):
                outcomes["dead_ends"] += 1
                continue
            tree = structure.fill(walk.row)
            answers = self._evaluate(tree)
            low, high = self.options.min_answers, self.options.max_answers or len(self.entities)
            bounded = low > 1 or high < len(self.entities)
            counted = bounded or self._is_listed(tree)
            if _repeats(tree):
                outcomes["repeated"] += 1
            elif not self.options.backtracking and _backtracks(tree):
                outcomes["backtracked"] += 1
            elif counted and answers == self.entities:
                outcomes["everything"] += 1
            elif bounded and not low <= len(answers) <= high:
                outcomes["out_of_bounds"] += 1
            elif start not in answers:
                outcomes["refuted"] += 1
            else:
                negatives = self._negatives(tree, answers, counted, random)
                counted = counted or negatives.after_all
                if not negatives.after_all or answers != self.entities:
                    return _Drawn(walk.row, start, answers, counted, walk.log_prob, negatives)
                outcomes["everything"] += 1

    def estimate(self, drawn: _Drawn) -> int:
        """Returns the number of answers that is told of a query that is not counted."""
        size, options = len(self.entities), self.options
        answered = drawn.negatives.answered
        share = 0
        if options.negatives:
            by_weight = answered * size / options.negatives
            share = int(by_weight) if self.corrupts else int(answered) * size // options.negatives
        return min(max(share, options.expansion_limit or 0), size - 1)

    def _evaluate(self, node: Node) -> frozenset[int]:
        return evaluate(node, set(self.edges), self.entities)

    def _is_listed(self, node: Node) -> bool:
        """Whether all of a set are listed, and thereby counted: a rule of sizes, see `SamplerOptions`."""
        limit = self.options.expansion_limit
        if limit is None:
            return True
        match node:
            case Anchor():
                return True
            case Negation():
                return self._is_listed(node.operand)
            case Projection():
                sources = self._evaluate(node.operand)
                edges = sum(r == node.relation and h in sources for h, r, _ in self.edges)
                small = len(sources) <= 1 or max(len(sources), edges) <= limit
                return small and self._is_listed(node.operand)
            case Intersection() if not is_complement(node):
                plain = [branch for branch in node.branches if not is_complement(branch)]
                return any(len(self._evaluate(branch)) <= limit and self._is_listed(branch) for branch in plain)
            case Intersection() | Union():
                # Of a complement those entities count that it lacks.
                inner = [Negation(branch) if is_complement(branch) else branch for branch in node.branches]
                small = sum(len(self._evaluate(branch)) for branch in inner) <= limit
                return small and all(map(self._is_listed, node.branches))

    def _negatives(self, tree: Node, answers: frozenset[int], counted: bool, random: LaneRandom) -> _Negatives:
        if self.options.mode == "none":
            return _Negatives()
        if self.options.mode == "shared":
            size = self.options.negatives
            own = slice(self.chunk * size, (self.chunk + 1) * size)
            shared = self.shared[own]
            met = [w for x, w in zip(shared, self.shared_weights[own], strict=True) if x in answers]
            return _Negatives(shared=shared, answered=_total(met), after_all=not counted and len(met) == size)
        numbers = SplitMix(random.next())
        return self._corrupted(tree, answers, numbers) or self._uniform(answers, counted, numbers)

    def _corrupted(self, tree: Node, answers: frozenset[int], numbers: SplitMix) -> _Negatives | None:
        """Returns negatives that are not drawn uniformly; None where they are to be."""
        relations = leading_relations(tree)
        if not self.corrupts or (self.options.corruption == "typed" and not relations):
            return None
        typed = self.options.corruption == "typed"
        law: ByDegree | ByType = ByType(self.edges, len(self.entities), relations) if typed else self.by_degree
        own = [law.draw(numbers) for _ in range(self.options.negatives)]
        answered = _total([law.weight(entity) for entity in own if entity in answers])
        for _ in range(PATIENCE):
            own = [law.draw(numbers) if entity in answers else entity for entity in own]
        if answers.intersection(own):
            return None
        return _Negatives(own, [law.weight(entity) for entity in own], answered)

    def _uniform(self, answers: frozenset[int], counted: bool, numbers: SplitMix) -> _Negatives:
        size = len(self.entities)
        own = [numbers.below(size) for _ in range(self.options.negatives)]
        rest = sorted(self.entities - answers)
        first = sum(entity in answers for entity in own)
        after_all = False
        for tries in count():
            hits = [k for k in range(len(own)) if own[k] in answers]
            after_all = after_all or (not counted and tries == PATIENCE and bool(hits))
            by_rank = (counted or after_all) and 2 * len(rest) < size
            for k in hits:
                own[k] = (rest[numbers.below(len(rest))] if rest else 0) if by_rank else numbers.below(size)
            if by_rank or not hits:
                return _Negatives(own, [1.0] * len(own), first, after_all)
        raise AssertionError


class _Walk:
    """One attempt to draw the ids of a query, from an answer down the tree."""

    def __init__(self, source: _Source, random: LaneRandom, width: int) -> None:
        self.source, self.random = source, random
        self.row = [0] * width
        self.log_prob = 0.0

    def entity(self) -> int:
        """Draws an entity as answers are drawn."""
        edges = self.source.edges
        if self.source.options.answers == "uniform":
            drawn = self.random.below(len(self.source.entities))
            self.log_prob -= math.log(len(self.source.entities))
            return drawn
        drawn = edges[self.random.below(len(edges))][2]
        self.log_prob += math.log(sum(h == drawn for h, _, _ in edges) / len(edges))
        return drawn

    def down(self, node: Node, x: int) -> bool:
        """Draws what lies below a node that `x` stands for; False at a dead end."""
        match node:
            case Anchor():
                self.row[node.entity] = x
                return True
            case Projection():
                ends = [(r, t) for h, r, t in self.source.edges if h == x]
                if not ends:
                    return False
                relation, start = ends[self.random.below(len(ends))]
                self.row[node.relation] = relation ^ 1
                self.log_prob -= math.log(len(ends))
                return self.down(node.operand, start)
            case Intersection():
                return all(self.down(branch, x) for branch in node.branches)
            case Union():
                kept = self.random.below(len(node.branches))
                self.log_prob -= math.log(len(node.branches))
                starts = [x if i == kept else self.entity() for i in range(len(node.branches))]
                return all(self.down(branch, y) for branch, y in zip(node.branches, starts, strict=True))
            case Negation():
                if isinstance(node.operand, Negation):
                    return self.down(node.operand.operand, x)
                return self.down(node.operand, self.entity())


def _total(weights: list[float]) -> float:
    total = 0.0  # one after the other: `sum` makes up for rounding
    for weight in weights:
        total += weight
    return total


def _repeats(tree: Node) -> bool:
    return any(
        branch in node.branches[:i]
        for node in post_order(tree)
        if isinstance(node, Intersection | Union)
        for i, branch in enumerate(node.branches)
    )


def _backtracks(tree: Node) -> bool:
    return any(
        node.relation ^ 1 in _last_relations(node.operand) for node in post_order(tree) if isinstance(node, Projection)
    )


def _last_relations(node: Node) -> set[int]:
    match node:
        case Projection():
            return {node.relation}
        case Intersection() | Union():
            return set().union(*map(_last_relations, node.branches))
        case Negation(operand=Negation(operand=operand)):
            return _last_relations(operand)
        case _:
            return set()
