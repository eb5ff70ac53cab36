"""Entities of a batch: each once, and where each stands."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit import _native
from graphkit.errors import GraphkitError


class IdResolver:
    """The distinct ids of a batch in ascending order, and the place of each id among them.

    It takes N/8 bytes for a bit of each entity and N/16 for counts, and time that grows with the batch and, by some
    milliseconds for 10^8, with N. Nothing is sorted.

    Args:
        num_ids: N; ids are 0 to N-1.
    """

    def __init__(self, num_ids: int) -> None:
        self._num_ids = num_ids
        self._resolver = _native.IdResolver(num_ids)

    def resolve(self, parts: list[Tensor]) -> Tensor:
        """Takes the ids of a batch in place of those of the last.

        Args:
            parts: int64 of any shape.

        Returns:
            int64[U], distinct and ascending.

        Raises:
            GraphkitError: an id is negative, or N or larger.
        """
        self._resolver.clear()
        for part in parts:
            flat = part.reshape(-1).contiguous()
            wrong = self._resolver.add(flat)
            if wrong >= 0:
                raise GraphkitError(
                    f"a batch names entity {flat[wrong]}, and the table has rows 0 to {self._num_ids - 1}; "
                    "train on batches of the graph that the table was made for"
                )
        ids = torch.empty(self._resolver.finish(), dtype=torch.int64)
        self._resolver.write(ids)
        return ids

    def locate(self, ids: Tensor) -> Tensor:
        """Returns the places of ids that were resolved among the distinct ones, in the shape of `ids`."""
        places = torch.empty(ids.shape, dtype=torch.int64)
        self._resolver.locate(ids.reshape(-1).contiguous(), places.view(-1))
        return places

    def contains(self, ids: Tensor) -> Tensor:
        """Returns bool[P]: which of int64[P] ids, of the table, were resolved."""
        found = torch.empty(ids.shape, dtype=torch.bool)
        self._resolver.contains(ids.contiguous(), found)
        return found
