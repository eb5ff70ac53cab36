"""Fixtures of the tests of kernels: each instruction set, and a number of threads that is put back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from graphkit import _native


@pytest.fixture(params=_native.kernel_paths())
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each instruction set in turn."""
    assert _native.choose_kernels(request.param)
    yield request.param
    assert _native.choose_kernels(_native.kernel_paths()[-1])


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads; it is put back when the test is over."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
