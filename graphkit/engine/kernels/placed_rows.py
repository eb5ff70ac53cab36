"""Rows that operations read where they stand, and never copy."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class PlacedRows:
    """B rows of a table."""

    #: float32[U, D]
    rows: Tensor
    #: int64[B], each the place of a row, which whoever makes this makes sure of; None = all rows, in their order
    places: Tensor | None

    @property
    def shape(self) -> tuple[int, int]:
        """B and D."""
        return len(self.rows if self.places is None else self.places), self.rows.shape[1]
