"""Steps of one-hop queries against negatives that they share, differentiated by hand.

Where a step is made of a few native operations, autograd and the operators around them take a good part of it (of
TransE's, 1,024 queries against 256 negatives, a seventh). What is computed is the same, bit for bit.
"""

from __future__ import annotations

from torch import Tensor

from graphkit import _native
from graphkit.engine import GatheredBatch, buffers
from graphkit.engine.kernels import PlacedRows
from graphkit.engine.taken_rows import added_rows, copied_rows
from graphkit.losses import Loss
from graphkit.models import Model
from graphkit.queries import ONE_HOP


def are_by_hand(model: Model, loss: Loss, batch: GatheredBatch) -> bool:
    """Tells whether a step may be differentiated by hand: its queries follow rows along one relation, in host memory.

    Args:
        model: that queries are embedded with.
        loss: of each query.
        batch: with rows that are entities as they are.
    """
    kind, segments, relations = type(model), batch.batch.segments, model.relations
    return (
        batch.batch.shared
        and len(segments) == 1
        and segments[0].structure == ONE_HOP
        and loss.differentiates_shared
        and model.pair_distance() is not None
        and kind.project_by_hand is not Model.project_by_hand
        and all(getattr(kind, name) is getattr(Model, name) for name in ("start", "candidates", "embed_all"))
        and all(buffers.on_host(x) and x.is_contiguous() for x in (batch.rows, relations))
        and relations.is_leaf
        and relations.requires_grad
        and not relations._backward_hooks  # which autograd alone calls
        and not getattr(relations, "_post_accumulate_grad_hooks", None)
        and all(_native.first_bad_id(places, len(batch.rows)) < 0 for places in _places(batch))
    )


def gradients_by_hand(model: Model, loss: Loss, batch: GatheredBatch, weights: Tensor) -> tuple[Tensor, Tensor] | None:
    """Adds the gradient of the relations to the model's, for a step that `are_by_hand` lets through.

    Args:
        model: see there.
        loss: see there.
        batch: see there.
        weights: float32[B], of the losses.

    Returns:
        The sum of the losses by their weights, and the gradient of the rows, float32[U, D]; None where the model wants
        autograd for this batch: then nothing has happened.
    """
    distance = model.pair_distance()
    asked, mask = batch.batch.segments[0], batch.batch.mask
    assert distance is not None and mask is not None  # negatives are shared
    placed = _places(batch)
    anchors, answers = (PlacedRows(batch.rows, places) for places in placed[:2])
    if (projected := model.project_by_hand(anchors, asked.relations.reshape(-1))) is None:
        return None
    queries, back = projected
    negatives = copied_rows(batch.rows, placed[2])
    losses, of_queries, of_answers, of_negatives = loss.shared_gradients(
        distance, queries, answers, negatives, mask, weights, chunks=batch.batch.chunks
    )
    of_anchors, of_relations = back(of_queries)
    relations = model.relations
    if relations.grad is None:
        relations.grad = of_relations
    else:
        relations.grad.add_(of_relations)
    # In the order in which autograd finds them, so that sums are rounded alike.
    parts = [(placed[2], of_negatives), (placed[1], of_answers), (placed[0], of_anchors)]
    return (weights * losses).sum(), added_rows(len(batch.rows), parts)


def _places(batch: GatheredBatch) -> list[Tensor]:
    """Returns int64[·]: where anchors, answers and negatives stand among the rows."""
    assert batch.negatives is not None  # they are shared
    return [places.reshape(-1).contiguous() for places in (batch.anchors[0], batch.positives, batch.negatives)]
