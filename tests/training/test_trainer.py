"""The trainer on a toy task that knows none of our models: a vector is pulled towards noisy targets."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from graphkit.errors import GraphkitError
from graphkit.training import Interrupted, Run, Schedule, Trainer


class VectorTask:
    """Fits a vector by SGD with momentum to targets that are drawn from torch's global generator."""

    def __init__(self, *, scores: list[float] | None = None, bad_step: int | None = None) -> None:
        self.vector = torch.zeros(4)
        self.momentum = torch.zeros(4)
        self.trained = 0
        self.scores = scores
        self.bad_step = bad_step
        self.validations = 0
        self.closed = 0
        self.on_step: dict[int, int] = {}

    def batches(self) -> Iterator[int]:
        number = self.trained
        while True:
            yield number
            number += 1

    def step(self, batch: int) -> dict[str, float]:
        assert batch == self.trained
        if batch in self.on_step:
            signal.raise_signal(self.on_step[batch])
        residual = self.vector - (1 + 0.1 * torch.randn(4))
        self.momentum.mul_(0.5).add_(residual)
        self.vector -= 0.1 * self.momentum
        self.trained += 1
        loss = math.nan if self.trained == self.bad_step else float(residual.square().sum())
        return {"loss": loss, "samples": 3, "norm": float(self.vector.norm())}

    def validate(self) -> dict[str, float]:
        if self.scores is None:
            return {}
        score = self.scores[min(self.validations, len(self.scores) - 1)]
        self.validations += 1
        return {"mrr": score, "mr": 2.0}

    def measure(self) -> dict[str, Any]:
        return {"test": {"mrr": float(self.vector[0])}, "protocol": {"split": "toy"}}

    def state_dict(self) -> dict[str, Any]:
        return {
            "weights": {"vector": self.vector},
            "optimizer": {"momentum": self.momentum},
            "position": {"trained": self.trained, "validations": self.validations},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.vector.copy_(state["weights"]["vector"])
        self.momentum.copy_(state["optimizer"]["momentum"])
        self.trained, self.validations = state["position"]["trained"], state["position"]["validations"]

    def close(self) -> None:
        self.closed += 1


QUIET = Schedule(max_steps=10, checkpoint_every=1000, log_every=1000)


def trainer_in(folder: Path, task: VectorTask, schedule: Schedule, *, new: bool = True) -> Trainer:
    run = Run.create(folder, {"seed": 7}) if new else Run.open(folder)
    if new:
        torch.manual_seed(7)
    return Trainer(task, run, schedule)


# ---- the loop


def test_trains_to_the_budget_and_measures(tmp_path: Path) -> None:
    task = VectorTask()
    trainer = trainer_in(tmp_path / "run", task, replace(QUIET, max_steps=60))
    progress = trainer.fit()
    assert (progress.step, progress.samples, task.trained, task.closed) == (60, 180, 60, 1)
    assert (task.vector - 1).abs().max() < 0.2
    metrics = trainer.finish()
    assert metrics["test"] == {"mrr": float(task.vector[0])}
    assert metrics["protocol"] == {"split": "toy"}
    train = metrics["train"]
    assert (train["steps"], train["best_step"]) == (60, 60)
    assert train["cpu_seconds"] > 0 and train["seconds"] > 0 and train["peak_anon_mib"] > 10
    assert train["samples_per_second"] == pytest.approx(180 / train["seconds"])
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics


def test_what_a_task_says_of_its_training_joins_what_the_trainer_says(tmp_path: Path) -> None:
    class PreparedTask(VectorTask):
        def measure(self) -> dict[str, Any]:
            return {**super().measure(), "train": {"preparation_seconds": 1.5}}

    trainer = trainer_in(tmp_path / "run", PreparedTask(), QUIET)
    trainer.fit()
    train = trainer.finish()["train"]
    assert train["preparation_seconds"] == 1.5 and train["steps"] == 10


def test_metrics_are_written_after_the_results_of_a_task(tmp_path: Path) -> None:
    class WritingTask(VectorTask):
        def write_results(self, folder: Path, metrics: dict[str, Any]) -> None:
            assert metrics["test"] and not (folder / "metrics.json").exists()
            (folder / "vector.json").write_text(json.dumps(self.vector.tolist()))

    task = WritingTask()
    trainer = trainer_in(tmp_path / "run", task, QUIET)
    trainer.fit()
    assert not (tmp_path / "run" / "vector.json").exists()
    trainer.finish()
    assert json.loads((tmp_path / "run" / "vector.json").read_text()) == task.vector.tolist()
    assert (tmp_path / "run" / "metrics.json").is_file()


def test_peak_memory_is_that_of_all_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphkit.training.memory._resident_mib", lambda: (900.0, 50.0))
    trainer_in(tmp_path / "run", VectorTask(), QUIET).fit()
    monkeypatch.setattr("graphkit.training.memory._resident_mib", lambda: (700.0, 60.0))
    resumed = trainer_in(tmp_path / "run", VectorTask(), replace(QUIET, max_steps=12), new=False)
    resumed.resume()
    resumed.fit()
    train = resumed.finish()["train"]
    assert (train["peak_anon_mib"], train["peak_file_mib"]) == (900.0, 60.0)


def test_a_checkpoint_from_before_peaks_were_kept_is_gone_on_with(tmp_path: Path) -> None:
    first = trainer_in(tmp_path / "run", VectorTask(), QUIET)
    first.fit()
    state = first.run.load_checkpoint()
    for name in ("peak_anon_mib", "peak_file_mib"):
        del state["trainer"][name]
    first.run.save_checkpoint(10, state, keep=set)
    resumed = trainer_in(tmp_path / "run", VectorTask(), replace(QUIET, max_steps=12), new=False)
    resumed.resume()
    assert resumed.fit().step == 12 and resumed.progress.peak_anon_mib > 0


def test_task_is_closed_when_a_step_fails(tmp_path: Path) -> None:
    task = VectorTask()
    trainer = trainer_in(tmp_path / "run", task, QUIET)
    task.trained = 5  # makes the first batch the wrong one for the task's own check
    task.batches = lambda: iter([0])  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        trainer.fit()
    assert task.closed == 1


def test_an_error_is_not_hidden_by_another_while_the_task_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise GraphkitError("the thread was gone")

    task = VectorTask(bad_step=3)
    monkeypatch.setattr(task, "close", fail)
    with pytest.raises(GraphkitError, match="the loss of step 3 ") as error:
        trainer_in(tmp_path / "bad", task, QUIET).fit()
    assert error.value.__notes__ == ["nor could the task be closed: the thread was gone"]
    task = VectorTask()
    monkeypatch.setattr(task, "close", fail)
    with pytest.raises(GraphkitError, match="the thread was gone"):
        trainer_in(tmp_path / "good", task, QUIET).fit()


def test_handlers_of_signals_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    trainer_in(tmp_path / "run", VectorTask(), QUIET).fit()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


# ---- validation


def test_best_checkpoint_is_kept_and_measured(tmp_path: Path) -> None:
    task = VectorTask(scores=[0.1, 0.6, 0.3, 0.2, 0.5])
    trainer = trainer_in(tmp_path / "run", task, replace(QUIET, validate_every=2))
    progress = trainer.fit()
    assert (progress.best, progress.best_step, progress.validations_since_best) == (0.6, 4, 3)
    assert trainer.run.checkpoint_steps() == [4, 10]
    assert trainer.run.best_step() == 4
    last = task.vector.clone()
    metrics = trainer.finish()
    best = trainer.run.load_checkpoint(4)["weights"]["vector"]
    assert metrics["test"]["mrr"] == float(best[0]) != float(last[0])
    assert metrics["train"]["best_step"] == 4


def test_equal_score_is_no_improvement(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path / "run", VectorTask(scores=[0.5]), replace(QUIET, validate_every=2))
    assert trainer.fit().best_step == 2


@pytest.mark.parametrize(("patience", "stopped_at"), [(1, 6), (2, 8), (0, 10)])
def test_patience_counts_validations_without_a_better_one(tmp_path: Path, patience: int, stopped_at: int) -> None:
    task = VectorTask(scores=[0.1, 0.6, 0.3, 0.2, 0.5])
    trainer = trainer_in(tmp_path / "run", task, replace(QUIET, validate_every=2, patience=patience))
    assert trainer.fit().step == stopped_at
    assert trainer.run.checkpoint_steps() == [4, stopped_at]


def test_nothing_to_validate_on_keeps_the_newest(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path / "run", VectorTask(), replace(QUIET, validate_every=2, patience=1))
    assert trainer.fit().step == 10  # patience counts scores, and there are none
    assert trainer.run.checkpoint_steps() == [10]
    assert trainer.run.best_step() == 10


def test_last_step_is_validated_whatever_its_number(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path / "run", VectorTask(scores=[0.1, 0.2, 0.9]), replace(QUIET, validate_every=4))
    assert trainer.fit().best_step == 10
    assert [entry["step"] for entry in trainer.run.history() if "valid/mrr" in entry] == [4, 8, 10]


# ---- checkpoints


@pytest.mark.parametrize(("keep", "kept"), [(1, [10]), (3, [8, 9, 10]), (99, list(range(1, 11)))])
def test_newest_checkpoints_are_kept(tmp_path: Path, keep: int, kept: list[int]) -> None:
    trainer = trainer_in(tmp_path / "run", VectorTask(), replace(QUIET, checkpoint_every=1, keep=keep))
    trainer.fit()
    assert trainer.run.checkpoint_steps() == kept


def test_resumed_training_equals_uninterrupted_training(tmp_path: Path) -> None:
    whole = VectorTask()
    trainer_in(tmp_path / "whole", whole, QUIET).fit()
    first = VectorTask()
    trainer_in(tmp_path / "halves", first, replace(QUIET, max_steps=4)).fit()
    torch.manual_seed(1)  # a resumed process stands anywhere; the saved state of the generators must win
    second = VectorTask()
    trainer = trainer_in(tmp_path / "halves", second, QUIET, new=False)
    trainer.resume()
    assert trainer.progress.step == 4 and torch.equal(second.vector, first.vector)
    trainer.fit()
    assert torch.equal(second.vector, whole.vector) and torch.equal(second.momentum, whole.momentum)
    assert trainer.progress.samples == 30


def test_resumed_validation_goes_on_counting(tmp_path: Path) -> None:
    scores = [0.5, 0.4, 0.3, 0.2, 0.1]
    schedule = replace(QUIET, validate_every=2, patience=3)
    trainer_in(tmp_path / "run", VectorTask(scores=scores), replace(schedule, max_steps=4)).fit()
    trainer = trainer_in(tmp_path / "run", VectorTask(scores=scores), schedule, new=False)
    trainer.resume()
    assert (trainer.progress.best, trainer.progress.best_step, trainer.progress.validations_since_best) == (0.5, 2, 1)
    assert trainer.fit().step == 8


def test_budget_below_the_checkpoint_is_refused(tmp_path: Path) -> None:
    trainer_in(tmp_path / "run", VectorTask(), QUIET).fit()
    trainer = trainer_in(tmp_path / "run", VectorTask(), replace(QUIET, max_steps=9), new=False)
    with pytest.raises(GraphkitError) as caught:
        trainer.resume()
    assert str(caught.value) == (
        f"trainer.max_steps is 9, and the run {tmp_path / 'run'} has taken 10 steps already; give at least that"
    )


def test_disk_full_while_saving_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphkit import checkpoint

    real = checkpoint.save_file
    calls = []

    def save_file(tensors: dict[str, torch.Tensor], path: Path) -> None:
        calls.append(path)
        if len(calls) > 7:  # three files a checkpoint: the third one breaks off in its second file
            path.write_bytes(b"half of it")
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", save_file)
    trainer = trainer_in(tmp_path / "run", VectorTask(), replace(QUIET, checkpoint_every=2))
    with pytest.raises(GraphkitError) as caught:
        trainer.fit()
    goal = tmp_path / "run" / "checkpoints" / "step-00000006"
    assert str(caught.value) == (
        f"{goal} was not written: the disk is full; what stood there before is untouched; free some space and try again"
    )
    assert [path.name for path in goal.parent.iterdir()] == ["step-00000004"]
    monkeypatch.setattr(checkpoint, "save_file", real)
    task = VectorTask()
    resumed = trainer_in(tmp_path / "run", task, QUIET, new=False)
    resumed.resume()
    assert resumed.progress.step == 4
    resumed.fit()
    whole = VectorTask()
    trainer_in(tmp_path / "whole", whole, QUIET).fit()
    assert torch.equal(task.vector, whole.vector)


# ---- metrics.jsonl


def test_log_entries_hold_steps_times_losses_and_validation(tmp_path: Path) -> None:
    task = VectorTask(scores=[0.25])
    trainer = trainer_in(tmp_path / "run", task, replace(QUIET, max_steps=7, validate_every=4, log_every=3))
    trainer.fit()
    entries = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [3, 4, 6, 7]
    plain = {"step", "seconds", "cpu_seconds", "samples_per_second", "train/loss", "train/norm"}
    assert set(entries[0]) == set(entries[2]) == plain
    assert set(entries[1]) == set(entries[3]) == plain | {"valid/mrr", "valid/mr"}
    assert entries[1]["valid/mrr"] == 0.25
    assert entries[3]["train/norm"] == pytest.approx(float(task.vector.norm()))


def test_resume_rewrites_what_was_logged_after_its_checkpoint(tmp_path: Path) -> None:
    schedule = replace(QUIET, checkpoint_every=4, log_every=1)
    trainer_in(tmp_path / "whole", VectorTask(), schedule).fit()
    trainer_in(tmp_path / "run", VectorTask(), replace(schedule, max_steps=4)).fit()
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:  # as a kill leaves it: steps 5 and 6, the last cut off
        file.write('{"step": 5, "train/loss": 99}\n{"step": 6, "train/lo')
    leftover = tmp_path / "run" / ".metrics.json.part-999999"
    leftover.write_text("half")
    trainer = trainer_in(tmp_path / "run", VectorTask(), schedule, new=False)
    trainer.resume()
    assert [entry["step"] for entry in trainer.run.history()] == [1, 2, 3, 4]
    assert not leftover.exists()
    trainer.fit()

    def losses(name: str) -> list[tuple[int, float]]:
        return [(entry["step"], entry["train/loss"]) for entry in Run.open(tmp_path / name).history()]

    assert losses("run") == losses("whole")


# ---- what ends a training early


def test_loss_that_is_no_number_names_batch_and_seed(tmp_path: Path) -> None:
    task = VectorTask(bad_step=5)
    trainer = trainer_in(tmp_path / "run", task, replace(QUIET, checkpoint_every=2))
    with pytest.raises(GraphkitError) as caught:
        trainer.fit()
    assert str(caught.value) == ("the loss of step 5 (batch 4) is nan (seed 7); train again with a lower optimizer.lr")
    assert trainer.run.checkpoint_steps() == [4]  # the weights of step 5 are not saved
    assert task.closed == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_finishes_the_step_and_saves(tmp_path: Path, number: signal.Signals) -> None:
    task = VectorTask()
    task.on_step = {3: number}
    trainer = trainer_in(tmp_path / "run", task, QUIET)
    with pytest.raises(Interrupted, match=f"stopped by {number.name} after step 4") as caught:
        trainer.fit()
    assert (caught.value.signal, caught.value.step, task.closed) == (number, 4, 1)
    assert trainer.run.checkpoint_steps() == [4]
    rest = VectorTask()
    resumed = trainer_in(tmp_path / "run", rest, QUIET, new=False)
    resumed.resume()
    resumed.fit()
    whole = VectorTask()
    trainer_in(tmp_path / "whole", whole, QUIET).fit()
    assert torch.equal(rest.vector, whole.vector)


# ---- schedules


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("max_steps", 0, "at least 1 is needed"),
        ("checkpoint_every", 0, "at least 1 is needed"),
        ("log_every", -1, "at least 1 is needed"),
        ("keep", 0, "at least 1 is needed"),
        ("threads", 0, "at least 1 is needed; null decides by size"),
        ("validate_every", -1, "0 or more is needed"),
        ("patience", -2, "0 or more is needed"),
    ],
)
def test_schedule_names_what_is_out_of_range(name: str, value: int, wanted: str) -> None:
    with pytest.raises(GraphkitError) as caught:
        replace(QUIET, **{name: value})
    assert str(caught.value) == f"trainer.{name} is {value}, and {wanted}"


def test_threads_of_the_schedule_are_set(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        task, seen = VectorTask(), set()
        step = task.step
        task.step = lambda batch: (seen.add(torch.get_num_threads()), step(batch))[1]
        trainer_in(tmp_path / "run", task, replace(QUIET, threads=1)).fit()
        assert seen == {1}
        assert torch.get_num_threads() == 2  # as the caller had it
    finally:
        torch.set_num_threads(before)


def test_a_profile_is_written_and_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schedule = Schedule(max_steps=4, validate_every=2, profile=True)
    trainer_in(tmp_path / "run", VectorTask(scores=[0.5]), schedule).fit()
    path = tmp_path / "run" / "profile.json"
    stages = {event["name"] for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"}
    assert stages == {"validate", "save"}
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("profile of ")
    assert last.endswith(f"; https://ui.perfetto.dev shows {path}")
    plain = trainer_in(tmp_path / "plain", VectorTask(), Schedule(max_steps=4))
    plain.fit()
    assert not (tmp_path / "plain" / "profile.json").exists()
