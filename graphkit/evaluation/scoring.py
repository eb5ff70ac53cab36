"""Scores of queries against all entities, chunk by chunk, for ranking and answering."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphkit.engine import EmbeddingTable
from graphkit.evaluation.ranking import QUERIES_AT_ONCE, Scorer
from graphkit.models import Embedded, Model
from graphkit.queries import Structure

#: Bytes that encoded candidates may take to be kept; those of 63,361 entities of 800 float32 fit.
KEPT_BYTES = 256 * 2**20

#: Queries that share a pass over entities that are encoded for it, so that scoring them costs more than encoding does.
STREAMED_QUERIES_AT_ONCE = 2048

#: Rows that are encoded at once on the way to what is kept, which bounds what the model holds meanwhile.
_ROWS_AT_ONCE = 8192

#: Products are taken of whole tiles of so many candidates. Matrix libraries may sum columns beyond in another order,
#: and entities of equal rows would then differ in the last bit (seen for up to 7 queries and 3 columns).
_TILE = 64


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

    Raises:
        GraphkitError: the model cannot embed the structure.
    """
    model.require(structure)
    ids = torch.from_numpy(rows)
    anchors, relations = (ids[:, list(structure.columns(kind))] for kind in ("anchor", "relation"))
    entities = Candidates(model, table) if candidates is None else candidates

    # Ranking asks for the same queries chunk after chunk.
    last: tuple[Tensor, Embedded] | None = None

    def embedded(numbers: Tensor) -> Embedded:
        nonlocal last
        if last is None or not torch.equal(last[0], numbers):
            some = anchors[numbers]
            encoded = model.encode(table.gather(some.flatten())).reshape(*some.shape, -1)
            last = numbers, model.embed(structure, encoded, relations[numbers])
        return last[1]

    def score(numbers: Tensor, start: int, stop: int) -> Tensor:
        with torch.inference_mode():
            asked, rest = embedded(numbers), (stop - start) % _TILE
            parts = []
            if stop - start > rest:
                parts.append(model.logits(asked, entities.slice(start, stop - rest)))
            if rest:
                tile = entities.slice(max(0, stop - _TILE), stop)
                size = len(tile)
                if size < _TILE:
                    tile = torch.cat([tile, tile[:1].expand(_TILE - size, -1)])
                parts.append(model.logits(asked, tile)[:, size - rest : size])
            return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    return score
