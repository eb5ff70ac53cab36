"""What a trainer trains: a task owns its batches, its model and its validation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from graphkit.models import Model


class TrainedGraph(Protocol):
    """What a run keeps of the graph that it is trained on, of whatever kind."""

    @property
    def fingerprint(self) -> str:
        """A short text that tells this graph from another."""

    def save_vocabulary(self, folder: Path) -> None:
        """Writes what turns ids into the user's names, if anything does, into an existing folder."""


@runtime_checkable
class Task(Protocol):
    """The contract between `Trainer` and what it trains; any class with these methods is a task.

    A task that a configuration names takes the keywords graph, model, sampler, loss, optimizer and seed besides its
    own, and may say what it is trained on where nothing is said (`ChoosesStructures`); one that is made of other parts
    assembles itself (`AssemblesItself`). What a task leaves in the run's folder for its user is up to `WritesResults`.

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
        """Returns what ``metrics.json`` says of the weights as they are now: ``test`` and ``protocol``, say.

        What stands below ``train`` joins what the trainer itself writes there.
        """

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


@runtime_checkable
class AssemblesItself(Protocol):
    """What the class of a task may have besides, if its parts are not those of a query embedding.

    The groups of its configuration are its own to read: whatever is wrong is said before a run's folder is made.
    """

    #: the class of graph that it is trained on; what ``graph._target_`` makes has to be one
    graph_kind: ClassVar[type]

    @classmethod
    def assemble(cls, config: dict[str, Any], graph: Any) -> tuple[dict[str, Any], Task]:
        """Builds the task of a configuration over its graph.

        Returns:
            The configuration with open settings filled in, those of `Schedule` among them, and the task.

        Raises:
            GraphkitError: a setting is unknown or out of range, or parts do not go together.
        """


@runtime_checkable
class WritesResults(Protocol):
    """What a task may have besides: results for the user, beside the metrics."""

    def write_results(self, folder: Path, metrics: dict[str, Any]) -> None:
        """Writes files into the run's folder, each whole or not at all; `metrics` are those of ``metrics.json``."""
