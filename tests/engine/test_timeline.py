"""Timelines: what stages took, on the thread that records and beside it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from graphkit.engine import timeline
from graphkit.engine.timeline import record, span


def test_shares_are_of_the_time_from_the_start_to_the_last_span() -> None:
    with record() as found:
        with span("compute"):
            time.sleep(0.06)
        time.sleep(0.02)
        with span("update"):
            time.sleep(0.02)
    shares = found.shares()
    assert next(iter(shares)) == "compute"
    assert set(shares) == {"compute", "update", "other"}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["compute"] * found.seconds == pytest.approx(0.06, abs=0.03)
    assert shares["other"] > 0.05


def test_stages_of_other_threads_stand_beside() -> None:
    def work() -> None:
        with span("gather"):
            time.sleep(0.01)

    with record() as found:
        thread = threading.Thread(target=work, name="beside")
        with span("compute"):
            thread.start()
            thread.join()
    assert set(found.shares()) == {"compute", "other"}
    assert set(found.shares(main=False)) == {"gather"}
    assert found.describe().startswith(f"of {found.seconds:.1f} s: compute ")
    assert "; beside it gather " in found.describe()


def test_the_file_is_chrome_s_format(tmp_path: Path) -> None:
    with record() as found, span("compute"), span("within"):
        pass
    found.write(tmp_path / "profile.json")
    events = json.loads((tmp_path / "profile.json").read_text())["traceEvents"]
    names = [event["args"]["name"] for event in events if event["ph"] == "M"]
    assert names == ["MainThread"]
    spans = {event["name"]: event for event in events if event["ph"] == "X"}
    assert set(spans) == {"compute", "within"}
    outer, inner = spans["compute"], spans["within"]
    assert outer["ts"] <= inner["ts"]
    assert inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]


def test_nothing_is_recorded_when_nobody_asks() -> None:
    with span("compute"):
        pass
    with record() as found:
        pass
    with span("compute"):
        pass
    assert found.shares() == {"other": 1.0}


def test_a_failed_stage_counts_and_recording_ends() -> None:
    with pytest.raises(ValueError, match="no"), record() as found, span("compute"):
        raise ValueError("no")
    assert set(found.shares()) == {"compute", "other"}
    with record():
        pass


def test_spans_beyond_the_bound_count_but_are_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(timeline, "MOST_SPANS", 3)
    with record() as found:
        for _ in range(5):
            with span("compute"):
                pass
    assert found.dropped == 2
    found.write(tmp_path / "profile.json")
    events = json.loads((tmp_path / "profile.json").read_text())["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) == 3


def test_only_one_recording_at_a_time() -> None:
    with record(), pytest.raises(RuntimeError, match="is being recorded already"), record():
        pass
