"""Where a task computes: on the CPU, or on a device that rows and gradients travel to and from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from torch import Tensor, nn

from graphkit.engine.prefetch import GatheredBatch, RowPrefetcher
from graphkit.engine.table import EmbeddingTable
from graphkit.samplers import QueryBatch


class Feed(Protocol):
    """Batches with their rows, where the engine computes."""

    def __iter__(self) -> Iterator[GatheredBatch]: ...

    def __next__(self) -> GatheredBatch: ...

    def close(self) -> None:
        """Waits for what is under way and stops threads."""


class Engine(ABC):
    """What a task asks of the place where it computes. An engine serves one task."""

    @abstractmethod
    def place(self, model: nn.Module) -> nn.Module:
        """Returns the model to compute with: itself, or a twin whose parameters lie on the device."""

    @abstractmethod
    def feed(
        self, batches: Iterator[QueryBatch], table: EmbeddingTable, *, all_rows: bool, degrees: Callable[[], Tensor]
    ) -> Feed:
        """Returns batches with their rows, as `RowPrefetcher` does; those that it returned before end.

        Args:
            batches: see there.
            table: see there.
            all_rows: see there.
            degrees: gives int64[N] edges at each entity.
        """

    def stop(self, *, discard: bool = False) -> None:  # noqa: B027  # nothing to do where nothing is under way
        """Closes the present feed, if there is one.

        Args:
            discard: forget rows that are newer elsewhere than in the table, which is about to be filled anew.
        """

    def computing(self) -> AbstractContextManager[None]:
        """Within the block, a step is computed."""
        return nullcontext()

    @abstractmethod
    def collect(self, batch: GatheredBatch, losses: list[Tensor], gradient: Tensor) -> tuple[float, Tensor]:
        """Takes what a step has computed.

        Args:
            batch: the batch.
            losses: float32 scalars that add up to the loss.
            gradient: float32[U, D], of the batch's rows.

        Returns:
            The loss, and the gradient that `update` takes.
        """

    @abstractmethod
    def update(self, table: EmbeddingTable, batch: GatheredBatch, gradient: Tensor) -> None:
        """Updates the rows of a batch by what `collect` returned; see `EmbeddingTable.update`."""

    def write_back(self) -> None:  # noqa: B027  # nothing to do where nothing is elsewhere
        """Brings table and model on the host up to date."""

    def reload(self) -> None:  # noqa: B027
        """Takes over the model's parameters after they were changed on the host."""

    def close(self) -> None:  # noqa: B027
        """Closes the feed, brings the host up to date and lets threads go."""

    def to_host(self, state: Any) -> Any:
        """Returns nested dictionaries with tensors on the host in place of those of the device."""
        return state

    def to_device(self, state: Any) -> Any:
        """Returns nested dictionaries with tensors where the engine computes."""
        return state


class CPU(Engine):
    """Computes where the tables are."""

    def __init__(self) -> None:
        self._feed: RowPrefetcher | None = None

    def place(self, model: nn.Module) -> nn.Module:  # noqa: D102  # as in the base class
        return model

    def feed(  # noqa: D102
        self, batches: Iterator[QueryBatch], table: EmbeddingTable, *, all_rows: bool, degrees: Callable[[], Tensor]
    ) -> Feed:
        self.stop()
        self._feed = RowPrefetcher(batches, table, all_rows=all_rows)
        return self._feed

    def stop(self, *, discard: bool = False) -> None:  # noqa: D102
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()

    def collect(self, batch: GatheredBatch, losses: list[Tensor], gradient: Tensor) -> tuple[float, Tensor]:  # noqa: D102
        return sum(loss.item() for loss in losses), gradient

    def update(self, table: EmbeddingTable, batch: GatheredBatch, gradient: Tensor) -> None:  # noqa: D102
        table.update(batch.ids, gradient)

    def close(self) -> None:  # noqa: D102
        self.stop()
