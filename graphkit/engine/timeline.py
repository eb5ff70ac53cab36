"""Where the time of a training goes: spans of named stages, on whichever thread they run.

Stages mark themselves (``with span("gather"):``), which costs nothing unless somebody records::

    with record() as timeline:
        trainer.fit()
    timeline.write("profile.json")

The file is in the format of Chrome's tracing, which https://ui.perfetto.dev and chrome://tracing show.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphkit.atomic import write_text

#: Spans that are kept for the file; the shares count all.
MOST_SPANS = 200_000

_recording: Timeline | None = None


class Timeline:
    """What was recorded. The thread that makes it is the one whose time is accounted for."""

    def __init__(self) -> None:
        self._main = threading.get_ident()
        self._start = time.perf_counter_ns()
        self._end = self._start
        self._lock = threading.Lock()
        self._spans: list[tuple[str, int, int, int]] = []
        self._threads: dict[int, str] = {}
        self._total: dict[tuple[bool, str], int] = defaultdict(int)
        self.dropped = 0

    def add(self, stage: str, start: int, end: int) -> None:
        """Adds a span of the calling thread, in nanoseconds of `time.perf_counter_ns`."""
        thread = threading.get_ident()
        with self._lock:
            self._end = max(self._end, end)
            self._total[thread == self._main, stage] += end - start
            self._threads.setdefault(thread, threading.current_thread().name)
            if len(self._spans) < MOST_SPANS:
                self._spans.append((stage, thread, start, end))
            else:
                self.dropped += 1

    @property
    def seconds(self) -> float:
        """From the start to the end of the last span."""
        return (self._end - self._start) / 1e9

    def shares(self, *, main: bool = True) -> dict[str, float]:
        """Returns the share of the time that each stage took, largest first.

        Args:
            main: stages of the thread that recorded, whose rest is ``other``; else stages of all other threads, which
                ran beside it.
        """
        whole = max(self._end - self._start, 1)
        found = {stage: spent / whole for (own, stage), spent in self._total.items() if own == main}
        if main:
            found["other"] = max(0.0, 1 - sum(found.values()))
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def describe(self) -> str:
        """Returns the shares as a sentence."""
        parts = [", ".join(f"{stage} {100 * share:.1f} %" for stage, share in self.shares().items())]
        if beside := self.shares(main=False):
            parts.append("beside it " + ", ".join(f"{stage} {100 * share:.1f} %" for stage, share in beside.items()))
        return f"of {self.seconds:.1f} s: {'; '.join(parts)}"

    def write(self, path: str | Path) -> None:
        """Writes the spans as Chrome's trace events: times in microseconds from the start."""
        process = os.getpid()
        events: list[dict[str, object]] = [
            {"name": "thread_name", "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}
            for thread, name in self._threads.items()
        ]
        events += [
            {
                "name": stage,
                "ph": "X",
                "pid": process,
                "tid": thread,
                "ts": (start - self._start) / 1e3,
                "dur": (end - start) / 1e3,
            }
            for stage, thread, start, end in self._spans
        ]
        write_text(Path(path), json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}))


@contextmanager
def record() -> Iterator[Timeline]:
    """Records the spans of all threads while the block runs; one recording at a time."""
    global _recording
    if _recording is not None:
        raise RuntimeError("a timeline is being recorded already")
    _recording = Timeline()
    try:
        yield _recording
    finally:
        _recording = None


@contextmanager
def span(stage: str) -> Iterator[None]:
    """Marks the block as a stage, if somebody records."""
    timeline = _recording
    if timeline is None:
        yield
        return
    start = time.perf_counter_ns()
    try:
        yield
    finally:
        timeline.add(stage, start, time.perf_counter_ns())
