"""Launches that tests write are replayed under sanitizers, which find what is planted there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from shim.cases import FOLDER
from shim.launcher import ShimError, ShimModule
from shim.sanitized import main, replayed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


def replay(folder: Path, kernel: str, *flags: str) -> tuple[int, str]:
    """Replays the one launch of a kernel that was written; returns the exit status and what was said."""
    done = replayed(folder.name, folder.glob(f"{kernel}-*.case"), *flags)
    return done.returncode, done.stdout + done.stderr


def test_a_write_beyond_the_end_of_an_argument_is_found(folder: Path) -> None:
    values = torch.zeros(21)
    for kernel in ("double_one_too_many", "double_all"):
        # The storage goes on, so that nothing is harmed here, where nobody looks.
        ShimModule("planted_errors").launch(kernel, (1, 1, 1), (32, 1, 1), values[:20], 20)
    status, said = replay(folder / "planted_errors", "double_one_too_many")
    assert status == 1
    assert "heap-buffer-overflow" in said
    assert "WRITE of size 4" in said
    assert "planted_errors.cu:57" in said
    assert replay(folder / "planted_errors", "double_all") == (0, "1 launches\n")


def test_errors_that_the_shim_finds_end_a_replay(folder: Path) -> None:
    with pytest.raises(ShimError) as error:
        ShimModule("planted_errors").launch("barrier_for_some", (1, 1, 1), (64, 1, 1), torch.zeros(64))
    status, said = replay(folder / "planted_errors", "barrier_for_some")
    (case,) = (folder / "planted_errors").iterdir()
    assert (status, said) == (1, f"{case}: {error.value}\n")


@pytest.mark.parametrize("flags", [(), ("-DSHIM_UCONTEXT",)], ids=["own switch", "ucontext"])
def test_threads_that_wait_are_known_to_the_sanitizer(folder: Path, flags: tuple[str, ...]) -> None:
    """However stacks are switched: on processors that the shim has no code for, <ucontext.h> does."""
    values = torch.arange(100)
    ShimModule("thread_calls").launch(
        "prefix_sums", (1, 1, 1), (100, 1, 1), values, torch.empty_like(values), 100, shared_bytes=800, schedule_seed=3
    )
    status, said = replay(folder / "thread_calls", "prefix_sums", *flags)
    assert status == 0
    assert said.startswith("1 launches\n")


def test_a_kernel_that_nothing_launched_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new.cu").write_text(
        '#define KERNEL(name) extern "C" __global__ void __launch_bounds__(64) name(float* to) {}\nKERNEL(fill_all)\n'
    )
    assert main(tmp_path / "cases", tmp_path) == 1
    assert capsys.readouterr().err == "no test has launched kernel fill_all of cuda/new.cu; add one\n"
