"""Kernels are found with all that they include, and compiled once; NVRTC is played by a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest
from cupy_stand_ins import Nvrtc

from graphkit.engine.cuda import compiler, sources
from graphkit.engine.cuda.compiler import compiled
from graphkit.engine.cuda.sources import Source, cuda_folder, read_source
from graphkit.errors import GraphkitError

CHECKOUT = Path(__file__).parents[3]
KERNELS = sorted(path.stem for path in (CHECKOUT / "cuda").glob("*.cu"))


def test_the_folder_of_kernels_is_that_of_the_checkout() -> None:
    assert cuda_folder() == CHECKOUT / "cuda"


def test_a_missing_folder_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "__file__", str(tmp_path / "graphkit" / "engine" / "cuda" / "sources.py"))
    with pytest.raises(GraphkitError) as error:
        cuda_folder()
    assert str(error.value) == (
        f"the folder of CUDA kernels is missing: neither {tmp_path / 'graphkit' / 'cuda'} nor {tmp_path / 'cuda'} has "
        "any; install graphkit again"
    )


def test_a_wheel_has_the_folder_inside_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "graphkit" / "cuda").mkdir(parents=True)
    (tmp_path / "graphkit" / "cuda" / "one.cu").touch()
    monkeypatch.setattr(sources, "__file__", str(tmp_path / "graphkit" / "engine" / "cuda" / "sources.py"))
    assert cuda_folder() == tmp_path / "graphkit" / "cuda"


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_comes_with_all_that_it_includes(name: str) -> None:
    source = read_source(name)
    for text in (source.text, *source.headers.values()):
        assert set(sources._INCLUDE.findall(text)) <= set(source.headers)


def test_a_digest_depends_on_headers_of_headers(tmp_path: Path) -> None:
    (tmp_path / "k.cu").write_text('#include "a.cuh"\n')
    (tmp_path / "a.cuh").write_text('#include "b.cuh"\n')
    (tmp_path / "b.cuh").write_text("// one\n")
    before = read_source("k", tmp_path)
    (tmp_path / "b.cuh").write_text("// two\n")
    after = read_source("k", tmp_path)
    assert before.digest("sm_90") != after.digest("sm_90")
    assert before.digest("sm_90") != before.digest("sm_80")
    with pytest.raises(GraphkitError) as error:
        read_source("other", tmp_path)
    missing = tmp_path / "other.cu"
    assert str(error.value) == f"{missing} cannot be read: No such file or directory; install graphkit again"


def test_a_kernel_is_compiled_once_for_each_architecture_and_content(caplog: pytest.LogCaptureFixture) -> None:
    nvrtc, source = Nvrtc(), Source("k", "text", {"a.cuh": "header"})
    first = compiled(source, "sm_90", nvrtc)
    assert first == compiler.cache_folder() / first.name and first.name.startswith("k-sm_90-")
    assert first.read_bytes() == b"cubin of k.cu"
    assert compiled(source, "sm_90", nvrtc) == first
    assert caplog.messages == ["compiling cuda/k.cu for sm_90, once for this GPU"]
    assert nvrtc.compilations == [("k.cu", ("--gpu-architecture=sm_90", "-std=c++17"), [b"a.cuh"])]
    others = {compiled(source, "sm_80", nvrtc), compiled(Source("k", "text", {"a.cuh": "other"}), "sm_90", nvrtc)}
    assert len(others | {first}) == 3
    assert not [path for path in first.parent.iterdir() if path.name.startswith(".")]


def test_a_kernel_that_is_refused_is_one_sentence_with_file_and_line() -> None:
    with pytest.raises(GraphkitError) as error:
        compiled(Source("k", "int a;\nint b;\nwrong;", {}), "sm_90", Nvrtc())
    assert str(error.value) == (
        'a kernel cannot be compiled for sm_90 by NVRTC 13.5: cuda/k.cu, line 3: identifier "wrong" is undefined; '
        "report it, and choose engine=cpu until then"
    )
    assert not list(compiler.cache_folder().glob("*"))
