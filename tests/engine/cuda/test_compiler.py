"""Kernels are compiled kind by kind, wherever they can be kept, and what NVRTC refuses is told in its words."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest

from graphkit.engine.cuda import compiler
from graphkit.engine.cuda.compiler import compiled
from graphkit.engine.cuda.cupy_launcher import CupyLauncher
from graphkit.engine.cuda.sources import Source, read_source
from graphkit.errors import GraphkitError


class NVRTCError(RuntimeError):
    pass


class Nvrtc:
    """NVRTC as CuPy gives it, which says `log`, and refuses everything if that is more than nothing."""

    NVRTCError = NVRTCError

    def __init__(self, log: str | None = None) -> None:
        self.log, self.options = log, list[tuple[str, ...]]()

    def getVersion(self) -> tuple[int, int]:
        return 13, 5

    def createProgram(self, text: str, name: str, headers: list[bytes], names: list[bytes]) -> Any:
        return types.SimpleNamespace(name=name)

    def compileProgram(self, program: Any, options: tuple[str, ...]) -> None:
        self.options.append(options)
        if self.log is not None:
            raise NVRTCError("NVRTC_ERROR_COMPILATION (6)")

    def getProgramLog(self, program: Any) -> str:
        return self.log or ""

    def getCUBIN(self, program: Any) -> bytes:
        return b"cubin"

    def destroyProgram(self, program: Any) -> None: ...


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            "\nptxas error   : Entry function 'f' uses too much shared data (0xc100 bytes, 0xc000 max)\n",
            "ptxas error   : Entry function 'f' uses too much shared data (0xc100 bytes, 0xc000 max)",
        ),
        (
            "nvrtc: error: invalid value for --gpu-architecture (-arch)\n",
            "nvrtc: error: invalid value for --gpu-architecture (-arch)",
        ),
        ("ptxas info: this first\nptxas error: that\n", "ptxas error: that"),
        ("out of memory\n", "out of memory"),
        ('k.cu(7): warning: odd\nk.cu(8): error: "x" is undefined\n', 'cuda/k.cu, line 8: "x" is undefined'),
        ("", "NVRTC_ERROR_COMPILATION (6)"),
    ],
    ids=["ptxas", "option", "second line", "other", "source", "nothing"],
)
def test_what_the_compiler_says_is_told(log: str, expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        compiled(Source("k", "text", {}), "sm_90", Nvrtc(log))
    assert str(error.value) == (
        f"a kernel cannot be compiled for sm_90 by NVRTC 13.5: {expected}; report it, and choose engine=cpu until then"
    )


def test_kernels_of_one_kind_and_dtype_are_compiled_alone_and_kept_apart(caplog: pytest.LogCaptureFixture) -> None:
    source, nvrtc = read_source("pair_scores"), Nvrtc()
    defines = source.defines("pair_scores_own_scores_l1_bf16")
    assert defines == ("-DGRAPHKIT_KIND=l1", "-DGRAPHKIT_DTYPE=bf16")
    assert source.defines("pair_scores_shared_row_gradients_l1_bf16") == defines
    assert read_source("gather").defines("gather_rows_f32") == ()
    found = {compiled(source, "sm_90", nvrtc, each) for each in (defines, source.defines("x_l1_f32"), (), defines)}
    assert len(found) == 3
    assert nvrtc.options[0] == ("--gpu-architecture=sm_90", "-std=c++17", *defines)
    assert len(nvrtc.options) == 3
    assert "compiling cuda/pair_scores.cu, l1, bf16 for sm_90, once for this GPU" in caplog.messages


def test_a_folder_that_cannot_be_written_to_is_said_and_another_stands_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    source, nvrtc = Source("k", str(tmp_path), {}), Nvrtc()
    path = compiled(source, "sm_90", nvrtc)
    assert path.read_bytes() == b"cubin"
    assert compiled(source, "sm_90", nvrtc) == path
    assert compiled(Source("other", str(tmp_path), {}), "sm_90", nvrtc).parent == path.parent
    again = f"in every process again, as {compiler.cache_folder()} cannot be written to"
    assert caplog.messages == [f"compiling cuda/{name}.cu for sm_90, {again}" for name in ("k", "other")]


def test_kernels_of_a_kind_are_loaded_once_and_others_when_they_are_launched() -> None:
    loaded: list[Path] = []

    def module(*, path: str) -> Any:
        loaded.append(Path(path))
        return types.SimpleNamespace(get_function=lambda name: name)

    device = types.SimpleNamespace(compute_capability="90")
    cuda = types.SimpleNamespace(Device=lambda index: device, nvrtc=Nvrtc())
    launcher = CupyLauncher(types.SimpleNamespace(cuda=cuda, RawModule=module))
    for kernel in ("own_scores_l1_f32", "shared_scores_l1_f32", "own_scores_l2_f32", "own_scores_l2_bf16"):
        assert launcher._kernel("pair_scores", f"pair_scores_{kernel}", 0) == f"pair_scores_{kernel}"
    assert len(set(loaded)) == len(loaded) == 3
