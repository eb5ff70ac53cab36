"""What samplers share: an endless, resumable stream of batches, which native threads make ahead of the trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from graphkit.errors import GraphkitError

Batch = TypeVar("Batch")
#: Negatives that a batch may have, all together, or flags of shared ones; they take 8 bytes each, or 1.
MOST_NEGATIVES = 2**31


class NativeSampler(ABC, Generic[Batch]):
    """An endless stream of batches whose position can be saved and set.

    Args:
        threads: native threads that make batches; they run without the interpreter's lock.
        ahead: how many batches may wait for the trainer.

    Raises:
        GraphkitError: one of the two is below 1.
    """

    def __init__(self, *, threads: int, ahead: int) -> None:
        require_threads(threads, ahead)
        self.threads = threads
        self.ahead = ahead
        #: the number of the next batch
        self.position = 0
        self._stream: Any = None

    @abstractmethod
    def _start(self) -> Any:
        """Returns the native stream, which begins at `position`."""

    @abstractmethod
    def _made(self, parts: Any) -> Batch:
        """Returns the batch of what the native stream gave; the first part is its number."""

    def __iter__(self) -> NativeSampler[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._stream is None:
            self._stream = self._start()
        parts = self._stream.next()
        batch = self._made(parts)
        self.position = parts[0] + 1
        return batch

    def state_dict(self) -> dict[str, int]:
        """Returns the position in the stream: the number of the next batch."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues at a saved position.

        Raises:
            GraphkitError: it is no number of a batch.
        """
        position = state["position"]
        if type(position) is not int or not 0 <= position < 2**63 - 1:
            raise GraphkitError(
                f"the position of the sampler is {position!r}, and the number of a batch, from 0 to 2**63 - 2, is "
                "needed; give what state_dict returned"
            )
        self.position = position
        self._stream = None

    def close(self) -> None:
        """Stops the threads; the next batch starts them again."""
        self._stream = None


def require_threads(threads: int, ahead: int) -> None:
    """Raises GraphkitError where a sampler has no threads, or room for no batch."""
    if type(threads) is not int or type(ahead) is not int:
        raise GraphkitError(f"the sampler has threads={threads!r} and ahead={ahead!r}, and whole numbers are needed")
    if threads < 1 or ahead < 1:
        raise GraphkitError(f"the sampler has threads={threads} and ahead={ahead}, and at least 1 of each is needed")


def require_negatives(batch_size: int, negatives: int, of: str, *, shared: bool = False) -> None:
    """Raises GraphkitError where a batch of so many clusters or queries would have too many negatives.

    Args:
        batch_size: B.
        negatives: K.
        of: what the B are.
        shared: whether all of the batch have the same K, and a flag [B, K] each.
    """
    if batch_size * negatives > MOST_NEGATIVES:
        had = f"flags of {negatives} shared negatives" if shared else f"{negatives} negatives"
        raise GraphkitError(
            f"{had} for each of {batch_size} {of} are {batch_size * negatives}, and a batch has at "
            f"most {MOST_NEGATIVES}; give fewer negatives or a smaller batch_size"
        )


def as_tensor(array: NDArray[Any] | None) -> Tensor | None:
    """Returns an array of a batch as a tensor over the same memory, None as None."""
    return None if array is None else torch.from_numpy(array)
