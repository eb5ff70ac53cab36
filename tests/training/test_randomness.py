"""The global random generators: one seed sets them, a saved state brings them back."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from graphkit.checkpoint import load_checkpoint, save_checkpoint
from graphkit.training.randomness import random_state, restore_random_state, seed_everything


def draw() -> list[float]:
    """Normal draws too: they leave half a pair behind in Python's and in numpy's generator."""
    return [
        random.random(),
        random.gauss(0, 1),
        float(np.random.random()),
        float(np.random.standard_normal()),
        float(torch.rand(())),
        float(torch.randn(())),
    ]


def test_seed_sets_all_generators() -> None:
    seed_everything(3)
    first = draw()
    seed_everything(3)
    assert draw() == first
    seed_everything(4)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("seed", [0, 2**32, 2**63 - 1])
def test_every_seed_of_a_run_is_taken(seed: int) -> None:
    seed_everything(seed)


def test_restored_state_gives_the_same_draws(tmp_path: Path) -> None:
    seed_everything(5)
    draw()
    save_checkpoint(tmp_path / "state", {"random": random_state()})  # as a checkpoint holds it, JSON and tensors
    expected = [draw() for _ in range(700)]  # beyond one block of the Mersenne twister
    seed_everything(6)
    restore_random_state(load_checkpoint(tmp_path / "state")["random"])
    assert [draw() for _ in range(700)] == expected


def test_taking_the_state_draws_nothing() -> None:
    seed_everything(7)
    expected = draw()
    seed_everything(7)
    random_state()
    assert draw() == expected
