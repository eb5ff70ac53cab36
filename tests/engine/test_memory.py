"""What a training keeps while it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    HUGE.exists() and "[always]" in HUGE.read_text(),
    reason="the kernel gives all large arrays huge pages here, whose few faults tell nothing",
)
def test_arrays_of_a_step_come_from_memory_that_the_process_has() -> None:
    # In a process of its own: what is kept, is kept for good.
    script = """
import resource, torch
from graphkit.engine.memory import keep_freed
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [torch.zeros(6 * 2**20) for _ in range(6)]  # 24 MiB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
without = [faults() for _ in range(2)][-1]
keep_freed()
kept = [faults() for _ in range(4)][-1]
print(without, kept)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    without, kept = map(int, done.stdout.split())
    assert kept < 100 <= without
