"""What a person sees while a run trains: a rich bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

#: Left to metrics.jsonl, so that a line fits a terminal.
_NOT_SHOWN = {"step", "cpu_seconds", "seconds", "valid/mr", "valid/hits@1", "valid/hits@3"}
#: Plain lines come no faster than that, but for validations.
_SECONDS_BETWEEN_LINES = 10.0


class TrainingProgress:
    """Shows steps, throughput and metrics on standard error.

    Args:
        max_steps: the budget.
        step: the step that training starts from.
    """

    def __init__(self, max_steps: int, step: int) -> None:
        self.max_steps = max_steps
        self.console = Console(file=sys.stderr, soft_wrap=True)
        self._bar: Progress | None = None
        self._printed = 0.0
        if self.console.is_terminal:
            columns = (
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[status]}"),
            )
            self._bar = Progress(*columns, console=self.console)
            self._task = self._bar.add_task("training", total=max_steps, completed=step, status="")

    def __enter__(self) -> TrainingProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, step: int) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def entry(self, entry: dict[str, Any]) -> None:
        """Shows a log entry: in the bar, or as a line of its own."""
        shown = "  ".join(
            f"{key} {value:,.0f}" if key == "samples_per_second" else f"{key} {value:.4f}"
            for key, value in entry.items()
            # Metrics of single structures (valid/2i/mrr) would fill a line of their own: they are in the run's log.
            if key not in _NOT_SHOWN and isinstance(value, float) and key.count("/") < 2
        )
        if self._bar is not None:
            self._bar.update(self._task, status=shown)
        quiet = time.monotonic() - self._printed < _SECONDS_BETWEEN_LINES
        if "valid/mrr" not in entry and (quiet or self._bar is not None):
            return
        self._printed = time.monotonic()
        self.console.print(f"step {entry['step']}/{self.max_steps}  {shown}", highlight=False)

    def note(self, text: str) -> None:
        """Prints a sentence."""
        self.console.print(text, highlight=False)
