"""The scripts that measure the sampler print what was promised, and the audit finds what is planted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from strategies import random_graph

from graphkit.queries import STRUCTURES
from graphkit.samplers import QuerySampler, SamplerOptions

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
MACHINE = {"measured": {}, "stored": {}, "comparable": False, "reason": "a test", "cores_used_by_others": 0.0}


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes the scripts importable; the machine is not measured."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import calibration

    monkeypatch.setattr(calibration, "calibrate", lambda: MACHINE)
    monkeypatch.setattr(calibration, "lines", lambda _: [])
    yield
    for name in ("calibration", "query_sampler", "freebase_scale", "audit_sampler"):
        sys.modules.pop(name, None)


def printed(script: str, arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a script in this process; its standard output is one JSON object."""
    monkeypatch.setattr(sys, "argv", [script, *arguments.split(), "--json"])
    assert __import__(script).main() == 0
    return json.loads(capsys.readouterr().out)


def test_the_sampler_benchmark_prints_its_promised_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    random_graph(400, 3, 2000).save(tmp_path / "store")
    arguments = f"--graph {tmp_path / 'store'} --work w1 --threads 2 --seconds 0.001"
    result = printed("query_sampler", arguments, monkeypatch, capsys)
    assert {"graph", "work", "threads", "structures", "peak_anon_mib", "calibration"} <= set(result)
    assert list(result["structures"]) == list(STRUCTURES)
    for figures in result["structures"].values():
        assert set(figures) == {"cpu_us", "wall_qps", "accept_rate"}
        assert figures["cpu_us"] > 0
        assert 0 < figures["accept_rate"] <= 1


def test_the_scale_benchmark_prints_its_promised_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))  # for the processes that it starts
    sizes = "--entities 3000 --relations 20 --edges 9000"
    arguments = f"{sizes} --seconds 0.001 --structures 2i --cache {tmp_path / 'kept'}"
    for _ in range(2):  # the second finds the store
        result = printed("freebase_scale", arguments, monkeypatch, capsys)
        assert set(result["build"]) == {"seconds", "peak_gib"}
        assert set(result["anon_gib"]) == {"mapped", "resident"}
        assert result["structures"]["2i"]["cpu_us"] > 0
        assert result["open_seconds"] < 5
        assert result["file_gb"] == sum(path.stat().st_size for path in (tmp_path / "kept").iterdir()) / 1e9


@pytest.mark.parametrize("mode", ["own", "shared"])
def test_the_audit_finds_each_kind_of_mistake_and_none_in_what_is_right(mode: str) -> None:
    import audit_sampler

    graph = random_graph(60, 3, 300)
    options = SamplerOptions(
        structures=" ".join(STRUCTURES), batch_size=70, mode=mode, negatives=20, expansion_limit=10
    )
    batch = next(QuerySampler(graph, options))
    truth = audit_sampler.BruteForce(graph)
    assert batch.negatives is not None
    assert batch.mask is not None
    assert not audit_sampler.mistakes(batch, truth, 60, 10)
    assert 0 < int(batch.counted.sum()) < 70
    others = (batch.positives + 1) % 60
    planted = {
        "the positive is no answer": replace(batch, positives=others),
        "the count is wrong": replace(batch, answer_counts=batch.answer_counts + 60),
        "the mask is wrong": replace(batch, mask=~batch.mask),
    }
    if mode == "own":
        planted["a negative is an answer"] = replace(batch, negatives=batch.positives[:, None].expand(70, 20))
    for what, wrong in planted.items():
        found = audit_sampler.mistakes(wrong, truth, 60, 10)
        assert found
        assert all(mistake.endswith(what) for mistake in found)
