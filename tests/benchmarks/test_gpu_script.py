"""The script that measures a GPU: what of it can be run without one."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from strategies import random_graph

from graphkit.engine import CPU, Simulated

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield
    for path in SCRIPTS.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_without_a_gpu_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import gpu

    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu", "--json"])
    assert gpu.main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        f"gpu: there is no GPU to measure: torch {torch.__version__} is built without CUDA; install a torch that is "
        "built with it\n"
    )


def test_every_setting_of_a_peer_trains() -> None:
    import gpu

    graph = random_graph(40, 3, 200)
    for name, setting in gpu.SETTINGS.items():
        small = gpu.dataclasses.replace(setting, dim=8, batch_size=16, negatives=8)
        found = gpu.train(small, graph, Simulated(delay=0.0) if name == "smore-betae" else CPU(), 2, seed=0)
        assert (found["peer"], found["steps"], found["gpu_mib"]) == (setting.peer, 2, None)
        assert found["positives_per_s"] == pytest.approx(16e3 / found["ms_per_step"])


def test_cases_are_timed_beside_their_twins() -> None:
    import gpu
    from kernel_cases import Sizes, cases

    found = {
        case.name: gpu.time_case(case, 1, "cpu", compiled=False)
        for case in cases(Sizes.shrunk(8, 64), torch.Generator().manual_seed(0))
    }
    assert {"pair_scores l1 own", "cross_entropy bf16", "beta_moments", "count_pairs l1"} <= set(found)
    for parts in found.values():
        for row in parts.values():
            assert row["ratio_eager"] == pytest.approx(row["eager_ms"] / row["graphkit_ms"])
            assert row["ratio_compiled"] is None


def test_a_case_that_does_not_fit_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu
    from kernel_cases import Case, Operation

    def full() -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    found = gpu.time_case(Case("one", Operation(lambda: ()), Operation(full)), 1, "cpu", compiled=False)
    assert found["forward"]["eager_ms"] is None and found["forward"]["ratio_eager"] is None
    result = {"gpu": "none", "torch": "2", "back_end": "-", "kernels": {"one": found}, "training": {}}
    gpu.show(result, out := io.StringIO())
    assert "one forward" in out.getvalue()


def test_a_failure_is_recorded_and_the_figures_of_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu

    small = gpu.dataclasses.replace(gpu.SETTINGS["smore-gqe"], dim=8, batch_size=16, negatives=8, structures="1p")
    monkeypatch.setattr(gpu, "SETTINGS", {"wrong": gpu.dataclasses.replace(small, model="None"), "right": small})
    kept = []
    written = gpu.keep
    monkeypatch.setattr(gpu, "keep", lambda result, path: kept.append(written(result, path) or path.read_text()))
    path = tmp_path / "made" / "gpu.json"
    options = argparse.Namespace(graph="geography", settings=["wrong", "right"], steps=1, seed=0, out=path)
    result: dict[str, Any] = {"gpu": "none", "torch": "2", "back_end": "-", "kernels": {"k": {"error": "broken"}}}
    result["training"] = {}
    gpu.measure_training(options, result, {"here": CPU})
    first, last = (json.loads(text)["training"] for text in kept)
    assert first == {"wrong here": {"error": "AttributeError: module 'graphkit.models' has no attribute 'None'"}}
    assert last == result["training"] and last["right here"]["steps"] == 1
    gpu.show(result, out := io.StringIO())
    assert "broken" in out.getvalue() and "AttributeError" in out.getvalue() and "right here" in out.getvalue()


def test_a_task_that_fails_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    def fail(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    closed: list[Any] = []
    close = gpu.QueryTask.close
    monkeypatch.setattr(gpu.QueryTask, "step", fail)
    monkeypatch.setattr(gpu.QueryTask, "close", lambda task: closed.append(close(task)))
    small = gpu.dataclasses.replace(gpu.SETTINGS["smore-complex"], dim=8, batch_size=16, negatives=8)
    graph = random_graph(40, 3, 200)
    assert gpu.attempt(lambda: gpu.train(small, graph, CPU(), 1, 0)) == {
        "error": "OutOfMemoryError: CUDA out of memory"
    }
    assert closed == [None]
