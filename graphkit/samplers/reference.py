"""The plain twin of the native sampler: slow, obvious, and the oracle of its tests.

`sample` returns the batch that the native stream must deliver, bit for bit, from the definition alone.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from graphkit.graph import KnowledgeGraph
from graphkit.queries import ONE_HOP
from graphkit.samplers.batch import QueryBatch, Segment
from graphkit.samplers.query_sampler import SamplerOptions

_MASK32 = 2**32 - 1
_MASK64 = 2**64 - 1
#: Lanes that belong to a batch as a whole, and to the order of an epoch.
BATCH_LANE = 0xFFFFFFFF
EPOCH_LANE = 0xFFFFFFFE


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

    def below(self, size: int) -> int:
        """Returns a uniform number in [0, size)."""
        block = philox((self._draw // 2, self._lane, self._batch & _MASK32, self._batch >> 32), self._seed)
        half = 2 * (self._draw % 2)
        self._draw += 1
        return ((block[half] | block[half + 1] << 32) * size) >> 64


def permute(i: int, size: int, seed: int, epoch: int) -> int:
    """Returns the image of `i` under the epoch's permutation of [0, size): a cycle-walking Feistel network."""
    half = ((size - 1).bit_length() + 1) // 2 if size > 1 else 1
    mask = (1 << half) - 1
    keys = []
    for round_number in range(6):
        block = philox((round_number, EPOCH_LANE, epoch & _MASK32, epoch >> 32), seed)
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
    """Returns batch `number` of the stream of `options` over `graph`, for one-hop queries."""
    edges = directed_edges(graph)
    rows, positives, counts, own, masks = [], [], [], [], []
    batch_random = LaneRandom(options.seed, number, BATCH_LANE)
    shared = [batch_random.below(graph.num_entities) for _ in range(options.negatives)]
    for lane in range(options.batch_size):
        epoch, place = divmod(number * options.batch_size + lane, len(edges))
        head, relation, tail = edges[permute(place, len(edges), options.seed, epoch)]
        answers = set(edges[(edges[:, 0] == head) & (edges[:, 1] == relation), 2].tolist())
        rest = [entity for entity in range(graph.num_entities) if entity not in answers]
        random = LaneRandom(options.seed, number, lane)
        rows.append([head, relation])
        positives.append(tail)
        counts.append(len(answers))
        own.append([rest[random.below(len(rest))] if rest else 0 for _ in range(options.negatives)])
        masks.append([bool(rest)] * options.negatives if options.mode == "own" else [c not in answers for c in shared])
    with_negatives = options.mode != "none"
    return QueryBatch(
        number=number,
        segments=(Segment(ONE_HOP, slice(0, len(rows)), torch.tensor(np.array(rows))),),
        positives=torch.tensor(positives),
        answer_counts=torch.tensor(counts),
        negatives=torch.tensor(own if options.mode == "own" else shared) if with_negatives else None,
        mask=torch.tensor(masks) if with_negatives else None,
    )
