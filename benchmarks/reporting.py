"""What benchmarks that run beside peers share: their options, their output, and the peers that must be there."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, TextIO

import bars
import torch
from calibration import busy_seconds, calibrate, lines

from graphkit.errors import GraphkitError

#: The peers that `make bench-env` adds.
PEERS = {"pykeen": ("PyKEEN", "1.11.1"), "dgl": ("DGL", "1.1.3")}

Result = dict[str, Any]
Show = Callable[[Result, TextIO], None]
Draw = Callable[[Result, Path], None]


def parser(described: str | None) -> argparse.ArgumentParser:
    """Returns a parser with the options of every benchmark beside peers."""
    made = argparse.ArgumentParser(description=(described or "").split("\n", maxsplit=1)[0])
    made.add_argument("--threads", type=int, default=2, help="of torch; the sampler has one of its own (default: 2)")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--json", action="store_true", help="print JSON alone")
    made.add_argument("--out", type=Path, metavar="PATH", help="write the JSON there, too")
    made.add_argument("--picture", type=Path, metavar="PATH", help="draw the figures there, as .svg or .png")
    return made


def require_peer(package: str) -> None:
    """Makes sure that a peer is installed in the version that figures are claimed of.

    Raises:
        GraphkitError: it is not.
    """
    name, wanted = PEERS[package]
    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != wanted:
        raise GraphkitError(
            f"this benchmark runs beside {name} {wanted}, and {found} is installed; run make bench-env, or say "
            "--no-peer to measure graphkit alone"
        )


def draw_bars(result: Result, path: Path) -> None:
    """Draws the bars of a result."""
    bars.draw(*bars.join([result]), path)


def report(name: str, options: argparse.Namespace, measure: Callable[[], Result], show: Show, draw: Draw) -> int:
    """Measures, adds the calibration of the machine, and prints, writes and draws what the options ask for.

    Args:
        name: of the script, for errors.
        options: those of `parser`.
        measure: returns the figures.
        show: prints the table.
        draw: draws the picture.

    Returns:
        The exit code: 2 after an error, whose sentence stands on standard error.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    try:
        start, busy, own = time.perf_counter(), busy_seconds(), _own_seconds()
        figures = measure()
        others = (busy_seconds() - busy - (_own_seconds() - own)) / (time.perf_counter() - start)
        result = {"threads": options.threads, **figures, "cores_used_by_others": max(others, 0.0)}
        result["calibration"] = calibrate()
    except GraphkitError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    finally:
        torch.set_num_threads(threads)
    if options.json:
        print(json.dumps(result))
    out = sys.stderr if options.json else sys.stdout
    show(result, out)
    print(f"cores used by others while this was measured: {result['cores_used_by_others']:.2f}", file=out)
    print("\n".join(lines(result["calibration"])), file=out)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    if options.picture is not None:
        draw(result, options.picture)
    return 0


def _own_seconds() -> float:
    """Returns the CPU seconds of this process and of those that it started and has waited for."""
    return sum(os.times()[:4])


class Stopwatch:
    """Counts wall and CPU seconds, of all threads, while it runs."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def start(self) -> None:
        """Goes on."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """Pauses."""
        self.wall += time.perf_counter() - self._wall
        self.cpu += time.process_time() - self._cpu


def timed(work: Callable[[], object]) -> Stopwatch:
    """Runs once, and returns the seconds."""
    watch = Stopwatch()
    watch.start()
    work()
    watch.stop()
    return watch


def medians(watches: list[Stopwatch]) -> dict[str, float]:
    """Returns the medians in milliseconds."""
    return {
        "wall_ms": 1e3 * median(watch.wall for watch in watches),
        "cpu_ms": 1e3 * median(watch.cpu for watch in watches),
    }


def rates(watch: Stopwatch, steps: int, batch: int, unit: str) -> dict[str, float]:
    """Returns what training steps of a batch took: `unit` a second by the clock, and seconds a step."""
    return {
        f"{unit}_per_s": steps * batch / watch.wall,
        "wall_s_per_step": watch.wall / steps,
        "cpu_s_per_step": watch.cpu / steps,
    }


def ratio(one: float | None, other: float | None) -> float | None:
    """Returns how many times `other` goes into `one`, where both were measured."""
    return None if one is None or other is None else one / other


def shown(value: float | None, digits: int = 1) -> str:
    """Returns a figure for a table, or a dash."""
    return "-" if value is None else f"{value:,.{digits}f}"
