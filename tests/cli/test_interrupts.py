"""What signals and kills leave behind: a run that goes on as if nothing had happened."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from strategies import random_graph

from graphkit.cli.main import main
from graphkit.training import Run

#: Seconds that a condition may take on a loaded machine; those that hold, hold within a few.
PATIENCE = 120.0

#: A budget that no test lives to see: what is interrupted cannot have ended before.
ENDLESS = "trainer.max_steps=1000000"


@pytest.fixture(scope="module")
def kg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs") / "kg"
    random_graph(60, 3, 400, held_out=10).save(folder)
    return folder


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Runs of this process set torch's threads; other tests get theirs back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def line(kg: Path, folder: Path, *words: str) -> list[str]:
    settings = ["model.dim=16", "sampler=shared", "sampler.batch_size=64", "sampler.negatives=32", "trainer.threads=1"]
    return [f"graph={kg}", f"run_dir={folder}", *settings, "trainer.patience=0", *words]


def often(every: int) -> list[str]:
    return [f"trainer.checkpoint_every={every}", "trainer.validate_every=0", "trainer.log_every=50", "trainer.keep=1"]


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


def train(*words: str) -> None:
    """Trains to the end, in this process."""
    with pytest.raises(SystemExit) as ended:
        main(["train", *words])
    assert ended.value.code == 0


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.005)


def is_stopped(process: subprocess.Popen[str]) -> bool:
    """Whether SIGSTOP has arrived: it is sent at once, and delivered a moment later."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


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


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(entry["step"], entry["train/loss"]) for entry in Run.open(folder).history()]


def assert_as_uninterrupted(kg: Path, folder: Path, steps: int) -> None:
    """Compares a run with one of so many steps that nothing interrupted."""
    whole = folder.with_name("whole")
    train(*line(kg, whole, f"trainer.max_steps={steps}", *often(steps)))
    assert steps_saved(folder) == steps_saved(whole) == [steps]
    assert fingerprint(folder) == fingerprint(whole)
    assert losses(folder) == losses(whole)  # each entry once
    assert leftovers(folder) == []
    assert (folder / "metrics.json").is_file()


@pytest.mark.parametrize("engine", [[], ["engine=simulated", "engine.cache_rows=20", "engine.cache=lru"]], ids=len)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_the_last_finished_step(
    kg: Path, tmp_path: Path, number: signal.Signals, engine: list[str]
) -> None:
    folder = tmp_path / "run"
    # Checkpoints are rare: what is saved was saved by the signal.
    with training(*line(kg, folder, ENDLESS, *often(1_000_000), *engine)) as process:
        wait_until(lambda: (folder / "metrics.jsonl").exists(), process)
        process.send_signal(number)
        _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number, error
    (step,) = steps_saved(folder)
    assert step >= 50
    assert error.splitlines()[-1] == (
        f"graphkit: stopped by {number.name} after step {step}; continue with graphkit train resume={folder}"
    )
    assert "Traceback" not in error and leftovers(folder) == []
    assert not (folder / "metrics.json").exists()
    train(f"resume={folder}", f"trainer.max_steps={step + 70}")
    assert_as_uninterrupted(kg, folder, step + 70)


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


@pytest.mark.parametrize("after", [1, 150])
def test_killed_run_resumes_to_the_same_weights(kg: Path, tmp_path: Path, after: int) -> None:
    """``kill -9`` at a moment that nobody chose: some time after step `after` was saved."""
    folder = tmp_path / "run"
    with training(*line(kg, folder, ENDLESS, *often(15))) as process:
        wait_until(lambda: max(steps_saved(folder), default=0) >= after, process)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    budget = steps_saved(folder)[-1] + 70
    train(f"resume={folder}", f"trainer.max_steps={budget}")
    assert_as_uninterrupted(kg, folder, budget)


def test_kill_in_mid_save_leaves_a_run_that_resumes(kg: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def part() -> bool:
        return any((folder / "checkpoints").glob(".step-*.part-*"))

    with training(*line(kg, folder, ENDLESS, *often(1))) as process:

        def saving() -> bool:
            """Stops the process for a look: in mid-save a part of a checkpoint stands beside a whole one."""
            if not steps_saved(folder) or not part():
                return False
            process.send_signal(signal.SIGSTOP)
            wait_until(lambda: is_stopped(process), process)
            if steps_saved(folder) and part():
                return True
            process.send_signal(signal.SIGCONT)
            return False

        wait_until(saving, process)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    assert any(".part-" in name for name in leftovers(folder))
    budget = steps_saved(folder)[-1] + 30
    train(f"resume={folder}", f"trainer.max_steps={budget}")
    assert_as_uninterrupted(kg, folder, budget)


def test_finished_run_is_measured_again_and_may_go_on(kg: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(*line(kg, folder, "trainer.max_steps=100", *often(100)))
    first = fingerprint(folder)
    for _ in range(2):
        (folder / "metrics.json").unlink()
        train(f"resume={folder}")
        assert fingerprint(folder) == first and (folder / "metrics.json").is_file()
    train(f"resume={folder}", "trainer.max_steps=250")
    assert fingerprint(folder) != first
    assert_as_uninterrupted(kg, folder, 250)


@pytest.mark.parametrize(("signal_name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_interrupted_synth_leaves_nothing(tmp_path: Path, signal_name: str, code: int) -> None:
    """A signal when the first block of many has been added."""
    program = (
        "import os, signal, sys\n"
        "from graphkit.graph import StoreBuilder\n"
        "from graphkit.cli.main import main\n"
        "add, once = StoreBuilder.add, {'key': True}\n"
        "def add_and_interrupt(self, triples):\n"
        "    add(self, triples)\n"
        "    if once.pop('key', False):\n"
        f"        os.kill(os.getpid(), signal.{signal_name})\n"
        "StoreBuilder.add = add_and_interrupt\n"
        "main(['data', 'synth', *sys.argv[1:]])\n"
    )
    words = ["--entities", "100000", "--relations", "50", "--edges", "4000000", "--out", str(tmp_path / "kg")]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == "graphkit: interrupted\n"
    assert list(tmp_path.iterdir()) == []
