"""``graphkit --help`` answers at once, since nothing that trains is imported for it."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

ROUNDS = 5
HEAVY = ("torch", "torch_geometric", "numpy", "pyarrow", "hydra", "omegaconf", "rich", "graphkit._native")


def seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True, timeout=60)
    return time.perf_counter() - start


def test_help_takes_half_a_second_more_than_a_bare_interpreter() -> None:
    bare, helped = [], []
    for _ in range(ROUNDS):  # by turns, so that both see the same load
        bare.append(seconds([sys.executable, "-c", "pass"]))
        helped.append(seconds([sys.executable, "-m", "graphkit", "--help"]))
    assert statistics.median(helped) - statistics.median(bare) < 0.5


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["answer", "--help"],
        ["report", "--help"],
        ["data", "import", "--help"],
        ["data", "import-nodes", "--help"],
    ],
)
def test_nothing_heavy_is_imported_for_help(words: list[str]) -> None:
    program = (
        "import sys\n"
        "from graphkit.cli.main import main\n"
        "try:\n"
        f"    main({words!r})\n"
        "except SystemExit as ended:\n"
        f"    print(ended.code, [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == "0 []\n"
