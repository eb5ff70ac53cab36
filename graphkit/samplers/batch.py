"""What a sampler hands to a trainer: batches of queries with answers and verified non-answers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from graphkit.queries import Structure


@dataclass(frozen=True)
class Segment:
    """The queries of one structure, which stand together in a batch."""

    structure: Structure
    #: the lanes of the batch that hold these queries
    lanes: slice
    #: int64[n, structure.width], rows in the structure's layout
    rows: Tensor

    @property
    def anchors(self) -> Tensor:
        """int64[n, anchors of the structure], entity ids."""
        return self.rows[:, list(self.structure.columns("anchor"))]

    @property
    def relations(self) -> Tensor:
        """int64[n, relations of the structure], directed relation ids."""
        return self.rows[:, list(self.structure.columns("relation"))]


@dataclass(frozen=True)
class QueryBatch:
    """B queries in segments by structure; lane b of every tensor belongs to the same query.

    Segments stand in the order of their lanes, without gaps: joining them gives the batch.

    Negatives come in three forms: none (a loss over all entities needs none), own (``negatives`` is ``[B, K]``), or
    shared by the queries of each of C chunks of the batch (``negatives`` is ``[C K]``, a chunk's after another's).
    Where there are negatives, ``mask`` says which are verified: a masked-in negative is never an answer of its query in
    the graph that the sampler draws from.

    ``log_weights`` corrects for negatives that are not drawn uniformly: log(u(x) / p(x)), with p(x) the probability to
    draw the entity x and u(x) = 1 / N that of a uniform draw, both over all entities, before verification. Neither is
    normalised over the entities that are no answer: that would add the same number to all the weights of a query. So
    averages over the masked-in negatives of a query, weighted by exp(log_weights) and divided by the sum of these, tend
    to averages over the entities that are no answer and that p can draw, each alike. Entities without edges
    (``degree``), or outside the ranges (``typed``, but for queries that fell back to uniform draws, see
    `QuerySampler`), are never drawn, and no weight makes up for that.
    """

    #: place of the batch in the sampler's stream, from 0
    number: int
    segments: tuple[Segment, ...]
    #: int64[B], an answer of each query
    positives: Tensor
    #: int64[B], number of answers of each query in the sampler's graph; where they are not counted an estimate by the
    #: (weighted) share of answers among the candidates drawn, at least `SamplerOptions.expansion_limit` and less than N
    answer_counts: Tensor
    #: bool[B], whether the answers of each query were counted
    counted: Tensor
    #: float64[B], natural logarithm of the probability of each draw, see `QuerySampler`
    log_probs: Tensor
    #: int64[B, K] own, int64[C K] shared, or None
    negatives: Tensor | None = None
    #: bool[B, K], True = no answer of the query; None without negatives
    mask: Tensor | None = None
    #: float32[B, K] own, float32[C K] shared, of ``negatives``; None where `SamplerOptions.corruption` is "uniform"
    log_weights: Tensor | None = None

    @property
    def size(self) -> int:
        """B."""
        return len(self.positives)

    @property
    def shared(self) -> bool:
        """Whether queries share their negatives."""
        return self.negatives is not None and self.negatives.dim() == 1

    @property
    def chunks(self) -> int:
        """C, of negatives that are shared."""
        assert self.negatives is not None and self.negatives.dim() == 1 and self.mask is not None
        return len(self.negatives) // self.mask.shape[1]

    @property
    def chunk_lanes(self) -> list[slice]:
        """The lanes of each of the C chunks whose queries share negatives; their sizes differ by 1 at most."""
        return chunk_lanes(self.size, self.chunks)

    def entities(self) -> Tensor:
        """Returns int64[U]: every entity that the batch names, ascending and once."""
        parts = [segment.anchors.reshape(-1) for segment in self.segments] + [self.positives]
        if self.negatives is not None:
            parts.append(self.negatives.reshape(-1))
        distinct: Tensor = torch.unique(torch.cat(parts))
        return distinct


def chunk_lanes(size: int, chunks: int) -> list[slice]:
    """Returns the lanes of each of some chunks of a batch of `size`: lane b is of chunk b C // B."""
    ends = [-(-chunk * size // chunks) for chunk in range(chunks + 1)]
    return [slice(*lanes) for lanes in pairwise(ends)]
