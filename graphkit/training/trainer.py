"""`Trainer`: the loop that any task is trained in, with validation, checkpoints, interrupts and resumption."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

import torch

from graphkit.checkpoint import State
from graphkit.engine.timeline import record, span
from graphkit.errors import GraphkitError
from graphkit.training.memory import MemoryWatch
from graphkit.training.progress import TrainingProgress
from graphkit.training.randomness import random_state, restore_random_state
from graphkit.training.run import Run
from graphkit.training.task import Task, WritesResults


class Interrupted(Exception):
    """Training was stopped by a signal after a checkpoint; ``signal`` is its number."""

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step}")
        self.signal = signal_number
        self.step = step


@dataclass(frozen=True)
class Schedule:
    """When a trainer does what. All budgets are steps, so that a run repeats."""

    max_steps: int
    #: validate every so many steps, and after the last; 0 = never
    validate_every: int = 0
    #: save every so many steps; each validation and the last step are saved in any case
    checkpoint_every: int = 1000
    log_every: int = 100
    #: the validation metric that says which checkpoint is best; larger is better
    monitor: str = "mrr"
    #: stop after so many validations without a better one; 0 = train to the end
    patience: int = 0
    #: newest checkpoints to keep, beside the best
    keep: int = 1
    #: threads of the computation; None = as torch is set
    threads: int | None = None
    #: record where the time goes: a timeline in the run's folder, and the share of each stage on standard error
    profile: bool = False

    def __post_init__(self) -> None:
        for name, least in {"max_steps": 1, "checkpoint_every": 1, "log_every": 1, "keep": 1}.items():
            if getattr(self, name) < least:
                raise GraphkitError(f"trainer.{name} is {getattr(self, name)}, and at least {least} is needed")
        if self.threads is not None and self.threads < 1:
            raise GraphkitError(f"trainer.threads is {self.threads}, and at least 1 is needed; null decides by size")
        for name in ("validate_every", "patience"):
            if getattr(self, name) < 0:
                raise GraphkitError(f"trainer.{name} is {getattr(self, name)}, and 0 or more is needed")


@dataclass
class Progress:
    """Where a training stands: all of the trainer that a checkpoint holds."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best: float = -math.inf
    best_step: int | None = None
    validations_since_best: int = 0
    #: over all sessions of a run
    peak_anon_mib: float = 0.0
    peak_file_mib: float = 0.0


class Trainer:
    """Trains a task within a run's folder.

    Args:
        task: what is trained.
        run: where metrics and checkpoints go.
        schedule: when to validate, save, log and stop.
    """

    def __init__(self, task: Task, run: Run, schedule: Schedule) -> None:
        self.task = task
        self.run = run
        self.schedule = schedule
        self.progress = Progress()
        self._memory = MemoryWatch()
        self._signal: int | None = None

    def resume(self) -> None:
        """Continues from the newest checkpoint of the run, or from the start where it was stopped before the first.

        Raises:
            GraphkitError: the checkpoint is damaged, or beyond the budget.
        """
        if not self.run.checkpoint_steps():
            self.run.rewind(0)
            return
        state = self.run.load_checkpoint()
        trainer, random = state.pop("trainer"), state.pop("random")
        if trainer["step"] > self.schedule.max_steps:
            raise GraphkitError(
                f"trainer.max_steps is {self.schedule.max_steps}, and the run {self.run.folder} has taken "
                f"{trainer['step']} steps already; give at least that"
            )
        self.task.load_state_dict(state)
        best = -math.inf if trainer["best"] is None else trainer["best"]
        self.progress = Progress(**{**trainer, "best": best})
        restore_random_state(random)
        self.run.rewind(self.progress.step)

    def fit(self) -> Progress:
        """Trains until the budget is spent or validation stops improving.

        Returns:
            Where training ended; `Run.best_step` names the checkpoint to use.

        Raises:
            GraphkitError: a loss is not finite (the batch and its number are named), or a checkpoint cannot be saved.
            Interrupted: SIGINT or SIGTERM came; a checkpoint of the last finished step was saved.
        """
        schedule, progress = self.schedule, self.progress
        with (
            MemoryWatch() as self._memory,
            self._signals(),
            _threads(schedule.threads),
            self._profiled(),
            TrainingProgress(schedule.max_steps, progress.step) as shown,
            self._closing(),
        ):
            batches = iter(self.task.batches())
            while progress.step < schedule.max_steps and not self._out_of_patience():
                self._advance(batches, shown)
                if self._signal is not None:
                    self._save()
                    raise Interrupted(self._signal, progress.step)
            self._save()
            if progress.step < schedule.max_steps:
                shown.note(
                    f"stopped early at step {progress.step} of {schedule.max_steps}: no better {schedule.monitor} "
                    f"in {schedule.patience} validations (best: step {progress.best_step}); trainer.patience=0 "
                    "goes on"
                )
        self._note_memory()
        return progress

    def finish(self) -> dict[str, Any]:
        """Measures the best weights, lets the task write its results, and then writes metrics.json: the run is done.

        Returns:
            What the task measured, and ``train``: steps, times of the steps in seconds (validation is not in them),
            throughput, and the peak memory of all sessions, beside what the task says of its training.
        """
        progress = self.progress
        best = self.run.best_step()
        if best != progress.step:
            state = self.run.load_checkpoint(best)
            self.task.load_state_dict({key: state[key] for key in state if key not in ("trainer", "random")})
        train = {
            "steps": progress.step,
            "best_step": best,
            "seconds": progress.seconds,
            "cpu_seconds": progress.cpu_seconds,
            "samples_per_second": progress.samples / max(progress.seconds, 1e-9),
            "peak_anon_mib": progress.peak_anon_mib,
            "peak_file_mib": progress.peak_file_mib,
        }
        measured = self.task.measure()
        metrics = {**measured, "train": train | measured.get("train", {})}
        if isinstance(self.task, WritesResults):
            self.task.write_results(self.run.folder, metrics)
        self.run.write_metrics(metrics)
        return metrics

    def _advance(self, batches: Iterator[Any], shown: TrainingProgress) -> None:
        """Takes one step, and what the schedule says after it."""
        schedule, progress = self.schedule, self.progress
        wall, cpu = time.perf_counter(), time.process_time()
        batch = next(batches)
        logged = self.task.step(batch)
        if not math.isfinite(logged["loss"]):
            number, seed = getattr(batch, "number", progress.step), getattr(batch, "seed", self.run.config.get("seed"))
            raise GraphkitError(
                f"the loss of step {progress.step + 1} (batch {number}) is {logged['loss']} (seed {seed}); "
                "train again with a lower optimizer.lr"
            )
        progress.step += 1
        progress.samples += int(logged["samples"])
        progress.seconds += time.perf_counter() - wall
        progress.cpu_seconds += time.process_time() - cpu
        shown.advance(progress.step)
        last = progress.step == schedule.max_steps
        validated = schedule.validate_every > 0 and (last or progress.step % schedule.validate_every == 0)
        if validated or last or progress.step % schedule.log_every == 0:
            with span("validate"):
                validation = self._validate() if validated else {}
            entry = self._entry(logged, validation)
            self.run.log(entry)
            shown.entry(entry)
        if validated or progress.step % schedule.checkpoint_every == 0:
            self._save()

    def _validate(self) -> dict[str, float]:
        progress, metrics = self.progress, self.task.validate()
        if metrics:
            score = self._monitored(metrics)
            progress.validations_since_best += 1
            if score > progress.best:
                progress.best, progress.best_step, progress.validations_since_best = score, progress.step, 0
        return {f"valid/{name}": value for name, value in metrics.items()}

    def _monitored(self, metrics: dict[str, float]) -> float:
        if self.schedule.monitor not in metrics:
            raise GraphkitError(
                f"trainer.monitor is {self.schedule.monitor}, and validation gives {', '.join(metrics)}; name one"
            )
        return metrics[self.schedule.monitor]

    def _out_of_patience(self) -> bool:
        return 0 < self.schedule.patience <= self.progress.validations_since_best

    def _entry(self, logged: dict[str, float], validation: dict[str, float]) -> dict[str, Any]:
        progress = self.progress
        return {
            "step": progress.step,
            "seconds": round(progress.seconds, 3),
            "cpu_seconds": round(progress.cpu_seconds, 3),
            "samples_per_second": progress.samples / max(progress.seconds, 1e-9),
            **{f"train/{name}": value for name, value in logged.items() if name != "samples"},
            **validation,
        }

    @span("save")
    def _save(self) -> None:
        progress = self.progress
        self._note_memory()
        saved = asdict(progress) | {"best": None if progress.best == -math.inf else progress.best}
        state: State = {**self.task.state_dict(), "trainer": saved, "random": random_state()}
        self.run.save_checkpoint(progress.step, state, keep=self._kept)

    def _note_memory(self) -> None:
        progress, memory = self.progress, self._memory
        progress.peak_anon_mib = max(progress.peak_anon_mib, memory.peak_anon_mib)
        progress.peak_file_mib = max(progress.peak_file_mib, memory.peak_file_mib)

    def _kept(self, steps: list[int]) -> set[int]:
        return {*steps[-self.schedule.keep :], *([] if self.progress.best_step is None else [self.progress.best_step])}

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Closes the task after the block, whose own error is the one that is raised."""
        try:
            yield
        except BaseException as error:
            try:
                self.task.close()
            except Exception as failed:
                error.add_note(f"nor could the task be closed: {failed}")
            raise
        self.task.close()

    @contextmanager
    def _profiled(self) -> Iterator[None]:
        """Records a timeline, if the schedule says so."""
        if not self.schedule.profile:
            yield
            return
        path = self.run.folder / "profile.json"
        with record() as timeline:
            try:
                yield
            finally:
                timeline.write(path)
                print(f"profile {timeline.describe()}; https://ui.perfetto.dev shows {path}", file=sys.stderr)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Lets SIGINT and SIGTERM finish the step under way; a second one acts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may handle signals; whoever runs a trainer elsewhere stops it by its task
            return

        def note(number: int, frame: FrameType | None) -> None:
            self._signal = number
            for handled in previous:
                signal.signal(handled, previous[handled])

        self._signal = None
        numbers = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, previous[number])


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Lets torch compute with so many threads while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
