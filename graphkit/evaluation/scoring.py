"""Scores of queries against all entities, chunk by chunk, for ranking and answering."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphkit.engine import EmbeddingTable
from graphkit.evaluation.ranking import Scorer
from graphkit.models import Model
from graphkit.queries import Structure


def query_scorer(model: Model, table: EmbeddingTable, structure: Structure, rows: NDArray[np.int64]) -> Scorer:
    """Returns the scorer of queries of one structure under a model.

    Entities are encoded chunk by chunk, so that nothing of size [Q, N] or a second table is held.

    Args:
        model: a trained model.
        table: its entity rows.
        structure: of all queries.
        rows: int64[Q, structure.width], ids in the structure's layout.

    Raises:
        GraphkitError: the model cannot embed the structure.
    """
    model.require(structure)
    ids = torch.from_numpy(rows)
    anchors, relations = (ids[:, list(structure.columns(kind))] for kind in ("anchor", "relation"))

    def score(numbers: Tensor, start: int, stop: int) -> Tensor:
        with torch.inference_mode():
            some = anchors[numbers]
            encoded = model.encode(table.gather(some.flatten())).reshape(*some.shape, -1)
            embedded = model.embed(structure, encoded, relations[numbers])
            return model.logits(embedded, model.candidates(model.encode(table.slice(start, stop))))

    return score
