"""What a trainer trains: a task owns its batches, its model and its validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from graphkit.models import Model


@runtime_checkable
class Task(Protocol):
    """The contract between `Trainer` and what it trains; any class with these methods is a task.

    A task that a configuration names takes the keywords graph, model, sampler, loss, optimizer and seed besides its
    own, and may say what it is trained on where nothing is said (`ChoosesStructures`).

    A task trained, saved after n steps, loaded into a fresh instance and trained on must give the same state, bit for
    bit, as one that was never interrupted.
    """

    def batches(self) -> Iterator[Any]:
        """Returns the batches from the current position on; the trainer takes as many as its budget says."""

    def step(self, batch: Any) -> dict[str, float]:
        """Trains on one batch and returns what to log: at least ``loss``, and ``samples``, the number of positives."""

    def validate(self) -> dict[str, float]:
        """Returns validation metrics, empty when there is nothing to validate on; larger ``mrr`` is better."""

    def measure(self) -> dict[str, Any]:
        """Returns what ``metrics.json`` says of the weights as they are now: ``test`` and ``protocol``, say."""

    def state_dict(self) -> dict[str, Any]:
        """Returns all that training depends on: nested dictionaries of tensors and JSON values.

        The tensors of each top-level key become a file of their own; ``weights`` is what evaluation needs. The keys
        ``trainer`` and ``random`` are taken.
        """

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""

    def close(self) -> None:
        """Stops threads and lets resources go."""


@runtime_checkable
class ChoosesStructures(Protocol):
    """What the class of a task may have besides: structures for a configuration whose ``sampler.structures`` is null.

    Any other task is trained on one-hop queries there.
    """

    @staticmethod
    def default_structures(model: Model) -> str:
        """Returns names of structures, or nested tuples, separated by blanks; the model can embed them."""
