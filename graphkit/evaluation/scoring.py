"""Scores of queries against all entities, chunk by chunk, for ranking and answering."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphkit.engine import EmbeddingTable
from graphkit.engine.kernels import PairDistance
from graphkit.errors import GraphkitError
from graphkit.evaluation.ranking import QUERIES_AT_ONCE, TILE, PairScorer, Scorer
from graphkit.models import Embedded, Model
from graphkit.queries import Structure

#: Bytes that encoded candidates may take to be kept; those of 63,361 entities of 800 float32 fit.
KEPT_BYTES = 256 * 2**20

#: Queries that share a pass over entities that are encoded for it, so that scoring them costs more than encoding does.
STREAMED_QUERIES_AT_ONCE = 2048

#: Rows that are encoded at once on the way to what is kept, which bounds what the model holds meanwhile.
_ROWS_AT_ONCE = 8192


#: Of matrix products: "bf16" rounds factors and scores to bfloat16, an approximation that makes ties.
Precision = Literal["fp32", "bf16"]


class Candidates:
    """All entities as what a model compares with; encoded once if that takes at most `kept_bytes`, else when asked.

    Rows that are trained on are not followed: make another after an update.

    Args:
        model: a trained model.
        table: its entity rows.
        kept_bytes: bound on what is kept.
    """

    def __init__(self, model: Model, table: EmbeddingTable, *, kept_bytes: int = KEPT_BYTES) -> None:
        self.model, self.table = model, table
        # A model that computes nothing on rows has nothing to keep: the table is at hand.
        self._computes = type(model).encode is not Model.encode or type(model).candidates is not Model.candidates
        self._kept = self._encode_all(kept_bytes) if self._computes else None

    def slice(self, start: int, stop: int) -> Tensor:
        """Returns float32[stop - start, C]: entities `start` to `stop`, to be read; see `Model.candidates`."""
        if self._kept is not None:
            return self._kept[start:stop]
        return self._encode(start, stop)

    def gather(self, ids: Tensor) -> Tensor:
        """Returns float32[U, C]: entities int64[U] `ids`."""
        if self._kept is not None:
            return self._kept[ids]
        with torch.inference_mode():
            return self.model.candidates(self.model.encode(self.table.gather(ids)))

    @property
    def queries_at_once(self) -> int:
        """Queries that should share a pass over the entities: many where each pass encodes them again."""
        return STREAMED_QUERIES_AT_ONCE if self._computes and self._kept is None else QUERIES_AT_ONCE

    def _encode(self, start: int, stop: int) -> Tensor:
        with torch.inference_mode():
            return self.model.candidates(self.model.encode(self.table.slice(start, stop)))

    def _encode_all(self, kept_bytes: int) -> Tensor | None:
        """Returns float32[N, C], or None if that is too much."""
        first = self._encode(0, 1)
        if len(self.table) * first.nbytes > kept_bytes:
            return None
        kept = first.new_empty((len(self.table), *first.shape[1:]))
        for start in range(0, len(self.table), _ROWS_AT_ONCE):
            rows = slice(start, min(start + _ROWS_AT_ONCE, len(self.table)))
            with torch.inference_mode():
                kept[rows] = self._encode(rows.start, rows.stop)
        return kept


def query_scorer(
    model: Model,
    table: EmbeddingTable,
    structure: Structure,
    rows: NDArray[np.int64],
    *,
    candidates: Candidates | None = None,
    precision: Precision = "fp32",
) -> Scorer:
    """Returns the scorer of queries of one structure under a model.

    Nothing of size [Q, N] is held. An entity has the same score, bit for bit, in whatever range it is scored, as long
    as the queries are the same.

    Args:
        model: a trained model.
        table: its entity rows.
        structure: of all queries.
        rows: int64[Q, structure.width], ids in the structure's layout.
        candidates: the table's entities under this model, where several scorers share them.
        precision: of the scores, where these are a plain matrix product.

    Raises:
        GraphkitError: the model cannot embed the structure, or has no scores of that precision.
    """
    if precision not in get_args(Precision):
        raise GraphkitError(f"the precision is {precision!r}, and fp32 or bf16 is needed")
    queries = _Queries(model, table, structure, rows)
    entities = Candidates(model, table) if candidates is None else candidates
    distance = model.pair_distance()
    # The twins of other dtypes would hold [Q, n, D].
    native = entities.slice(0, 1).dtype == torch.float32
    # The best of several vectors is taken of scores that are held.
    if distance is not None and native and len(structure.disjuncts) == 1 and precision == "fp32":
        return _DistanceScorer(distance, queries, entities)
    return _ProductScorer(queries, entities, precision)


class _Queries:
    """Queries of one structure as vectors of a model.

    Args:
        model: a trained model.
        table: its entity rows.
        structure: of all queries.
        rows: int64[Q, structure.width].

    Raises:
        GraphkitError: the model cannot embed the structure.
    """

    def __init__(self, model: Model, table: EmbeddingTable, structure: Structure, rows: NDArray[np.int64]) -> None:
        model.require(structure)
        self.model, self.table, self.structure = model, table, structure
        ids = torch.from_numpy(rows)
        self.anchors, self.relations = (ids[:, list(structure.columns(kind))] for kind in ("anchor", "relation"))
        # Ranking asks for the same queries chunk after chunk.
        self._last: tuple[Tensor, Embedded] | None = None

    def embedded(self, numbers: Tensor) -> Embedded:
        """Returns queries int64[Q] `numbers`."""
        if self._last is None or not torch.equal(self._last[0], numbers):
            some = self.anchors[numbers]
            encoded = self.model.encode(self.table.gather(some.flatten())).reshape(*some.shape, -1)
            self._last = numbers, self.model.embed(self.structure, encoded, self.relations[numbers])
        return self._last[1]


class _ProductScorer:
    """Scores that the model computes for all pairs at once, in whole tiles; see `TILE`."""

    def __init__(self, queries: _Queries, candidates: Candidates, precision: Precision) -> None:
        self.queries, self.candidates, self.precision = queries, candidates, precision

    def __call__(self, numbers: Tensor, start: int, stop: int) -> Tensor:
        with torch.inference_mode():
            asked, rest = self.queries.embedded(numbers), (stop - start) % TILE
            parts = []
            if stop - start > rest:
                parts.append(self._scored(asked, self.candidates.slice(start, stop - rest)))
            if rest:
                tile = self.candidates.slice(max(0, stop - TILE), stop)
                size = len(tile)
                if size < TILE:
                    tile = torch.cat([tile, tile[:1].expand(TILE - size, -1)])
                parts.append(self._scored(asked, tile)[:, size - rest : size])
            return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _scored(self, asked: Embedded, candidates: Tensor) -> Tensor:
        model = self.candidates.model
        if self.precision == "fp32":
            return model.logits(asked, candidates)
        with torch.autocast(candidates.device.type, dtype=torch.bfloat16):
            scores = model.logits(asked, candidates)
        # Products that would cancel ignore autocast.
        if scores.dtype != torch.bfloat16:
            raise GraphkitError(
                f"the scores of {type(model).__name__} are no plain matrix product, which alone is computed in bf16; "
                "leave precision at fp32"
            )
        return scores


class _DistanceScorer(PairScorer):
    """Scores of a model that are distances of pairs; see `Model.pair_distance`."""

    def __init__(self, distance: PairDistance, queries: _Queries, candidates: Candidates) -> None:
        self.distance, self.queries, self.candidates = distance, queries, candidates

    def vectors(self, queries: Tensor) -> Tensor:
        return self.queries.embedded(queries).vectors

    def rows(self, start: int, stop: int) -> Tensor:
        return self.candidates.slice(start, stop)

    def gather(self, entities: Tensor) -> Tensor:
        return self.candidates.gather(entities)
