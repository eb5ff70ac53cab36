"""What signals and kills leave behind: a run that goes on as if nothing had happened."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.torch import load_file
from strategies import random_graph

from graphkit.training import Run

#: Seconds that a condition may take on a loaded machine; those that hold, hold within a few.
PATIENCE = 120.0

#: Steps of the runs that are interrupted: some seconds of work, so that a signal lands within.
STEPS = 1500


@pytest.fixture(scope="module")
def kg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs") / "kg"
    random_graph(60, 3, 400, held_out=10).save(folder)
    return folder


def line(kg: Path, folder: Path, *words: str) -> list[str]:
    settings = ["model.dim=16", "sampler=shared", "sampler.batch_size=64", "sampler.negatives=32", "trainer.threads=1"]
    return [f"graph={kg}", f"run_dir={folder}", *settings, "trainer.patience=0", *words]


def often(every: int) -> list[str]:
    return [f"trainer.checkpoint_every={every}", "trainer.validate_every=0", "trainer.log_every=50"]


@contextmanager
def training(*words: str) -> Iterator[subprocess.Popen[str]]:
    """A ``graphkit train`` in a process of its own, which never outlives the block."""
    command = [sys.executable, "-m", "graphkit", "train", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def train(*words: str) -> str:
    """Trains to the end and returns standard error."""
    with training(*words) as process:
        _, error = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, error
        return error


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)


def steps_saved(folder: Path) -> list[int]:
    return Run(folder).checkpoint_steps()


def fingerprint(folder: Path) -> str:
    """SHA-256 of all tensors of the newest checkpoint: weights and optimiser."""
    digest = hashlib.sha256()
    newest = folder / "checkpoints" / f"step-{steps_saved(folder)[-1]:08d}"
    files = sorted(newest.glob("*.safetensors"))
    assert {"optimizer.safetensors", "weights.safetensors"} <= {file.name for file in files}
    for file in files:
        for name, tensor in sorted(load_file(file).items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def leftovers(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob(".*")]


@pytest.fixture(scope="module")
def whole(kg: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The fingerprint of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(*line(kg, folder, f"trainer.max_steps={STEPS}", *often(STEPS)))
    return fingerprint(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_the_last_finished_step(kg: Path, whole: str, tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "run"
    # The budget is far away and checkpoints are rare: what is saved was saved by the signal.
    with training(*line(kg, folder, "trainer.max_steps=1000000", *often(1_000_000))) as process:
        wait_until(lambda: "training into" in (process.stderr.readline() if process.stderr else ""), process)
        time.sleep(0.3)
        process.send_signal(number)
        _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number, error
    (step,) = steps_saved(folder)
    assert step >= 1
    assert error.splitlines()[-1] == (
        f"graphkit: stopped by {number.name} after step {step}; continue with graphkit train resume={folder}"
    )
    assert "Traceback" not in error and leftovers(folder) == []
    assert not (folder / "metrics.json").exists()
    budget = max(STEPS, step)
    train(f"resume={folder}", f"trainer.max_steps={budget}")
    assert steps_saved(folder)[-1] == budget
    if budget == STEPS:
        assert fingerprint(folder) == whole
    assert (folder / "metrics.json").is_file()


def test_second_signal_acts_at_once(kg: Path, tmp_path: Path) -> None:
    """A step may be long: whoever presses Ctrl-C twice does not wait for it."""
    program = (
        "import os, signal, sys, time\n"
        "from graphkit.training import links\n"
        "from graphkit.cli.main import main\n"
        "def step(self, batch):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(1000)\n"
        "links.LinkTask.step = step\n"
        "main(['train', *sys.argv[1:]])\n"
    )
    words = line(kg, tmp_path / "run", "trainer.max_steps=5")
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "graphkit: interrupted"
    assert steps_saved(tmp_path / "run") == []


@pytest.mark.parametrize("after", [1, 300, 900])
def test_killed_run_resumes_to_the_same_weights(kg: Path, whole: str, tmp_path: Path, after: int) -> None:
    """``kill -9`` at a moment that nobody chose: some time after step `after` was saved."""
    folder = tmp_path / "run"
    with training(*line(kg, folder, f"trainer.max_steps={STEPS}", *often(20))) as process:
        wait_until(lambda: bool(steps_saved(folder)) and steps_saved(folder)[-1] >= after, process)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    assert after <= steps_saved(folder)[-1] < STEPS
    train(f"resume={folder}")
    assert fingerprint(folder) == whole
    assert leftovers(folder) == []
    entries = [entry["step"] for entry in Run.open(folder).history()]
    assert entries == list(range(50, STEPS + 1, 50))  # each once, as if nothing had happened


def test_kill_in_mid_save_leaves_a_run_that_resumes(kg: Path, whole: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with training(*line(kg, folder, f"trainer.max_steps={STEPS}", *often(1))) as process:

        def saving() -> bool:
            # While the part of a checkpoint stands there, the process is writing it: it is stopped to be sure.
            if not list((folder / "checkpoints").glob(".step-*.part-*")):
                return False
            process.send_signal(signal.SIGSTOP)
            if list((folder / "checkpoints").glob(".step-*.part-*")):
                return True
            process.send_signal(signal.SIGCONT)
            return False

        wait_until(saving, process)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    assert any(".part-" in name for name in leftovers(folder))
    if not steps_saved(folder):  # the first save of all: there is nothing to resume from, and the sentence says so
        pytest.fail("the kill came before the first checkpoint")
    train(f"resume={folder}")
    assert leftovers(folder) == []
    assert fingerprint(folder) == whole


def test_finished_run_is_measured_again_and_may_go_on(kg: Path, whole: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(*line(kg, folder, "trainer.max_steps=200", *often(100)))
    first = fingerprint(folder)
    (folder / "metrics.json").unlink()
    train(f"resume={folder}")
    assert fingerprint(folder) == first and (folder / "metrics.json").is_file()
    train(f"resume={folder}", f"trainer.max_steps={STEPS}")
    assert fingerprint(folder) == whole != first


def test_no_process_is_left(kg: Path, tmp_path: Path) -> None:
    with training(*line(kg, tmp_path / "run", "trainer.max_steps=1000000", *often(1_000_000))) as process:
        wait_until((tmp_path / "run").exists, process)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
