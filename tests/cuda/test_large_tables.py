"""Rows beyond the first 2**31 reals of a table are reached: offsets have 64 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from shim.launcher import ShimLauncher
from torch import Tensor

from graphkit.engine.cuda.gather import gather_rows
from graphkit.engine.cuda.sparse_optimizers import sgd_

#: Reals of a row. 2**31 reals, of 4 GiB in bfloat16, and some rows more.
WIDTH = 256
ROWS = 2**31 // WIDTH + 3

#: Both ends, and both sides of the first real that 32 bits do not count.
IDS = [0, ROWS - 4, ROWS - 3, ROWS - 1]


@pytest.fixture
def table(tmp_path: Path) -> Tensor:
    """bfloat16[ROWS, WIDTH], of whose pages only those take memory that are touched."""
    content = np.memmap(tmp_path / "table", dtype=np.int16, mode="w+", shape=(ROWS, WIDTH))
    table = torch.from_numpy(content).view(torch.bfloat16)
    table[IDS] = torch.arange(1.0, len(IDS) + 1).view(-1, 1).expand(-1, WIDTH).bfloat16()
    return table


def test_rows_are_gathered_from_both_ends(table: Tensor) -> None:
    rows = torch.empty(len(IDS), WIDTH)
    gather_rows(ShimLauncher(), table, torch.tensor(IDS), None, rows)
    assert torch.equal(rows, torch.arange(1.0, len(IDS) + 1).view(-1, 1).expand(-1, WIDTH))


def test_rows_at_both_ends_make_steps(table: Tensor) -> None:
    ids = [IDS[-1], IDS[0], IDS[2]]
    gradient = torch.tensor([8.0, 2.0, 4.0]).view(-1, 1).expand(-1, WIDTH).contiguous()
    steps = torch.zeros(ROWS, dtype=torch.int64)
    sgd_(ShimLauncher(), table, steps, torch.tensor(ids), gradient, 0.5)
    found = table[[*IDS, 1, ROWS - 2]].float()
    # Halves of gradients are taken from 1, 2, 3 and 4; no neighbour is changed.
    assert torch.equal(found, torch.tensor([0.0, 2.0, 1.0, 0.0, 0.0, 0.0]).view(-1, 1).expand(-1, WIDTH))
    assert [int(steps.sum()), *steps[IDS].tolist()] == [3, 1, 0, 1, 1]
