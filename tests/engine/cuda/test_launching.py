"""Kernels are started on the GPU of their tensors; what is broken on a machine is a reason, not a crash.

No GPU is needed: CuPy is played by a stand-in.
"""

from __future__ import annotations

import subprocess
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cupy_stand_ins import Cupy, broken

from graphkit.engine.cuda import cupy_launcher, launcher, registration
from graphkit.engine.cuda.cupy_launcher import CupyLauncher
from graphkit.errors import GraphkitError


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Cupy:
    """A CuPy for tensors of the CPU, which stand for those of a GPU."""
    device = types.SimpleNamespace(index=0)
    whole = cupy_launcher._device_of

    def device_of(*given: Any) -> Any:
        whole(*given)
        return device

    monkeypatch.setattr(cupy_launcher, "_device_of", device_of)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda given: types.SimpleNamespace(cuda_stream=77))
    return Cupy()


def test_a_launch_passes_addresses_and_numbers_on_the_stream_of_torch(cupy: Cupy) -> None:
    rows, bits, mask = torch.ones(2, 3), torch.ones(4, dtype=torch.bfloat16), torch.tensor([True, False])
    ran = CupyLauncher(cupy)
    for _ in range(2):
        ran.launch("gather", "kernel", (2, 1, 1), (64, 1, 1), [rows, 7, 0.5, None, bits, mask])
    assert cupy.used[:2] == [(0,), (0, 77)]
    name, grid, block, arguments = cupy.launches[0]
    assert (name, grid, block) == ("kernel", (2, 1, 1), (64, 1, 1))
    addresses = [arguments[place].ctypes.data for place in (0, 4, 5)]
    assert addresses == [rows.data_ptr(), bits.data_ptr(), mask.data_ptr()]  # no copies
    assert [(type(given), given) for given in arguments[1:4]] == [
        (np.int64, 7),
        (np.float32, 0.5),
        (np.uintp, 0),
    ]
    assert len(cupy.loaded) == 1 and len(cupy.cuda.nvrtc.compilations) == 1


def test_tensors_that_a_kernel_cannot_take_are_refused() -> None:
    def refused(*arguments: Any) -> str:
        with pytest.raises(GraphkitError) as error:
            cupy_launcher._device_of("gather", "gather_rows_f32", arguments)
        return str(error.value)

    assert refused(torch.ones(2), torch.ones(2, device="meta")) == (
        "the kernel gather_rows_f32 of cuda/gather.cu was given tensors on cpu and meta; move all to one GPU"
    )
    assert refused(3, None) == (
        "the kernel gather_rows_f32 of cuda/gather.cu was given tensors on no device; move all to one GPU"
    )
    assert refused(torch.ones(2), torch.ones(2, 3).T) == (
        "argument 1 of the kernel gather_rows_f32 of cuda/gather.cu has shape (3, 2) and strides (1, 3), and a kernel "
        "takes contiguous tensors; call contiguous() on it"
    )


# ---- what there is on this machine


def _driverless() -> Any:
    made = Cupy()
    made.cuda.runtime.getDeviceCount = broken(
        RuntimeError, "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"
    )
    made.cuda.runtime.driverGetVersion = lambda: 0
    return made


def _old_driver() -> Any:
    made = Cupy()
    made.cuda.runtime.driverGetVersion = lambda: 12040
    return made


def _failing_driver() -> Any:
    made = Cupy()
    made.cuda.runtime.driverGetVersion = broken(OSError, "libcuda.so.1: invalid ELF header\nmore")
    return made


def _no_compiler() -> Any:
    made = Cupy()
    made.cuda.nvrtc.getVersion = broken(RuntimeError, 'Failure finding "libnvrtc.so.13 or libnvrtc.so.12"')
    return made


def _no_devices() -> Any:
    made = Cupy()
    made.cuda.runtime.getDeviceCount = lambda: 0
    return made


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (None, "CuPy is missing; pip install 'graphkit[cuda]'"),
        (
            ModuleNotFoundError("No module named 'numpy.x'", name="numpy.x"),
            "CuPy cannot be imported (ModuleNotFoundError",
        ),
        (OSError("libnvrtc.so: no such file"), "CuPy cannot be imported (OSError: libnvrtc.so: no such file)"),
        (_driverless(), "CuPy finds no driver"),
        (_old_driver(), "the driver is for CUDA 12.4 and CuPy for CUDA 13.2"),
        (_failing_driver(), "CuPy finds no driver that it can use (OSError: libcuda.so.1: invalid ELF header)"),
        (_no_devices(), "CuPy finds no GPU"),
        (_no_compiler(), "CuPy finds no NVRTC, which compiles kernels (RuntimeError: Failure finding"),
        (types.ModuleType("cupy"), "CuPy finds no driver that it can use (AttributeError: module 'cupy' has no"),
    ],
    ids=["absent", "lacking", "broken", "driverless", "old", "failing", "empty", "no-compiler", "hollow"],
)
def test_what_is_wrong_is_said_once_and_nothing_is_registered(
    module: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    _install(module, monkeypatch)
    with pytest.warns(RuntimeWarning) as said:
        assert registration.register() is False
        assert launcher.current() is None
    assert len(said) == 1
    assert str(said[0].message).startswith(f"operations on a GPU are torch's, not graphkit's kernels: {reason}")


def _install(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if module is None or isinstance(module, Exception):
        error = module or ModuleNotFoundError("No module named 'cupy'", name="cupy")

        def fail(name: str) -> Any:
            raise error

        monkeypatch.setattr(launcher, "import_module", fail)
    else:
        monkeypatch.setitem(sys.modules, "cupy", module)


def test_a_working_cupy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setitem(sys.modules, "cupy", Cupy())  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(launcher.current(), CupyLauncher)
    assert launcher.back_end().reason == "CuPy 14.2.0 with a driver for CUDA 13.0"


def test_without_a_gpu_cupy_is_not_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(launcher, "import_module", broken(AssertionError, "imported"))
    with pytest.warns(RuntimeWarning, match="not graphkit's kernels: torch finds no GPU"):
        assert launcher.current() is None


@pytest.mark.parametrize("content", ["raise OSError('libcuda.so.1 is broken')", "import ctypes; ctypes.CDLL('/none')"])
def test_training_on_the_cpu_imports_nothing_of_devices(content: str, tmp_path: Path) -> None:
    """With a CuPy that breaks whoever imports it."""
    (tmp_path / "cupy.py").write_text(content)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import graphkit\n"
        "from graphkit.cli.main import main\n"
        "try:\n    main(['train', 'experiment=demo', 'trainer.max_steps=2', 'model.dim=8', 'run_dir=run'])\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "assert 'cupy' not in sys.modules\n"
        "unused = ('graphkit.engine.device', 'graphkit.engine.cuda')\n"
        "assert not [name for name in sys.modules if name.startswith(unused)]\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
