"""A CuPy that could not compile or start kernels is found out before the first launch, and said once."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from graphkit.engine.cuda import launcher
from graphkit.engine.cuda.cupy_launcher import CupyLauncher


def cupy_of(version: str = "14.2.0", capabilities: tuple[str, ...] = ("90",), streams: bool = True) -> Any:
    """Returns a CuPy whose NVRTC compiles for sm_80 to sm_90."""
    runtime = types.SimpleNamespace(
        driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 13020, getDeviceCount=lambda: len(capabilities)
    )
    nvrtc = types.SimpleNamespace(getVersion=lambda: (13, 0), getSupportedArchs=lambda: [80, 86, 90])
    stream = types.SimpleNamespace(from_external=None) if streams else types.SimpleNamespace()
    cuda = types.SimpleNamespace(runtime=runtime, nvrtc=nvrtc, Stream=stream)
    cuda.Device = lambda index: types.SimpleNamespace(compute_capability=capabilities[index])
    return types.SimpleNamespace(__version__=version, cuda=cuda)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for remembered in (launcher.back_end, launcher._warn):
        remembered.cache_clear()
    yield
    for remembered in (launcher.back_end, launcher._warn):
        remembered.cache_clear()


@pytest.mark.parametrize(
    ("cupy", "reason"),
    [
        (
            cupy_of(version="13.6.0", streams=False),
            "CuPy 13.6.0 takes no streams of torch, as 14 does; pip install 'graphkit[cuda]'",
        ),
        (
            cupy_of(capabilities=("90", "103")),
            "NVRTC 13.0 compiles nothing for GPU 1, which is sm_103, but for sm_80, sm_86, sm_90; install another "
            "CuPy, or hide the GPU by CUDA_VISIBLE_DEVICES",
        ),
    ],
    ids=["streams", "architecture"],
)
def test_what_would_fail_at_the_first_launch_is_said_once(
    cupy: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.warns(RuntimeWarning) as said:
        assert launcher.current() is launcher.current() is None
    assert [str(each.message) for each in said] == [
        f"operations on a GPU are torch's, not graphkit's kernels: {reason}"
    ]


def test_every_gpu_that_kernels_can_be_compiled_for_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", cupy_of(capabilities=("80", "90")))
    assert isinstance(launcher.current(), CupyLauncher)
