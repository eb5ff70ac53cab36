"""Gradients of equal ids, added up."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit import _native
from graphkit.engine import buffers
from graphkit.engine.kernels.dispatch import is_native
from graphkit.errors import GraphkitError

#: Ids that are grouped natively: those that a store can have.
_MAX_ID = 2**32 - 1

#: Places that are grouped at once: their order is kept in 32 bits.
MAX_PLACES = 2**32 - 1


def reduce_duplicates(ids: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Adds up the gradients of equal ids, in the order in which they occur.

    float32 on the CPU is added natively, on as many threads as torch uses; no result depends on how many. Everything
    else is added by the twin, `reference`.

    Args:
        ids: int64[P], from 0 to 2**32 - 1.
        gradients: float32[P, D].

    Returns:
        int64[U] distinct ids, ascending, and float32[U, D].

    Raises:
        GraphkitError: shapes or dtypes do not go together, an id is out of range, or there are 2**32 ids or more.
    """
    require_gradients(ids, gradients)
    if not is_native(gradients) or ids.device != gradients.device:
        return reference(ids, gradients)
    reduced: tuple[Tensor, Tensor] = _reduce_duplicates(ids.contiguous(), gradients.contiguous())
    return reduced


def require_gradients(ids: Tensor, gradients: Tensor, *, values: bool = True) -> None:
    """Makes sure of what `reduce_duplicates` is given; `values`: of ids, for which the host waits for a GPU."""
    if ids.dim() != 1 or ids.dtype != torch.int64 or gradients.dim() != 2 or len(gradients) != len(ids):
        raise GraphkitError(
            f"ids are {ids.dtype} of shape {tuple(ids.shape)} and gradients have shape {tuple(gradients.shape)}; give "
            "int64 of shape (P,) and gradients of shape (P, D)"
        )
    if len(ids) > MAX_PLACES:
        raise GraphkitError(
            f"there are {len(ids)} ids, and gradients of at most {MAX_PLACES} are added up at once; give fewer"
        )
    if not values:
        return
    wrong = _native.first_bad_id(ids.cpu().contiguous(), _MAX_ID + 1)
    if wrong >= 0:
        raise GraphkitError(f"id {ids[wrong]} at place {wrong} is none of an entity; give ids from 0 to {_MAX_ID}")


def reference(ids: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """The plain twin that defines `reduce_duplicates`; any floating dtype."""
    distinct, places = torch.unique(ids, return_inverse=True)
    return distinct, gradients.new_zeros(len(distinct), gradients.shape[1]).index_add_(0, places, gradients)


@torch.library.custom_op("graphkit::reduce_duplicates", mutates_args=())
def _reduce_duplicates(ids: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    order = torch.empty(len(ids), dtype=torch.int32)
    distinct, offsets = torch.empty_like(ids), torch.empty(len(ids) + 1, dtype=torch.int64)
    groups = _native.group_ids(ids, order, distinct, offsets)
    sums = buffers.empty(groups, gradients.shape[1])
    _native.sum_groups(gradients, order, offsets, sums, torch.get_num_threads())
    return distinct[:groups].clone(), sums


@_reduce_duplicates.register_fake
def _(ids: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    groups = torch.library.get_ctx().new_dynamic_size()
    return ids.new_empty(groups), gradients.new_empty(groups, gradients.shape[1])
