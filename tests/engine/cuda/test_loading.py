"""Kernels are found, compiled once and started on the GPU of their tensors; what is broken is a reason, not a crash.

No GPU is needed: CuPy and NVRTC are played by stand-ins, which behave as CuPy 14.2 was seen to.
"""

from __future__ import annotations

import subprocess
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphkit.engine.cuda import compiler, cupy_launcher, launcher, registration, sources
from graphkit.engine.cuda.compiler import compiled
from graphkit.engine.cuda.cupy_launcher import CupyLauncher
from graphkit.engine.cuda.sources import Source, cuda_folder, read_source
from graphkit.engine.kernels import log_softmax
from graphkit.errors import GraphkitError

CHECKOUT = Path(__file__).parents[3]
KERNELS = sorted(path.stem for path in (CHECKOUT / "cuda").glob("*.cu"))


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for remembered in (launcher.back_end, launcher._warn, registration._warn_of_chunks):
        remembered.cache_clear()
    yield
    for remembered in (launcher.back_end, launcher._warn, registration._warn_of_chunks):
        remembered.cache_clear()


# ---- sources


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


# ---- compilation


class NVRTCError(RuntimeError):
    pass


class Nvrtc:
    """NVRTC as CuPy gives it; refuses sources with ``wrong`` in them."""

    NVRTCError = NVRTCError

    def __init__(self) -> None:
        self.compilations: list[tuple[str, tuple[str, ...], list[bytes]]] = []

    def getVersion(self) -> tuple[int, int]:
        return 13, 5

    def getSupportedArchs(self) -> list[int]:
        return [80, 90, 120]

    def createProgram(self, text: str, name: str, headers: list[bytes], names: list[bytes]) -> Any:
        assert all(isinstance(part, bytes) for part in (*headers, *names))  # CuPy 14.2 takes no text here
        return types.SimpleNamespace(text=text, name=name, names=names, log="")

    def compileProgram(self, program: Any, options: tuple[str, ...]) -> None:
        self.compilations.append((program.name, options, program.names))
        if "wrong" in program.text:
            line = program.text[: program.text.index("wrong")].count("\n") + 1
            program.log = f'{program.name}({line}): error: identifier "wrong" is undefined\n  wrong\n  ^\n\n1 error\n'
            raise NVRTCError("NVRTC_ERROR_COMPILATION (6)")

    def getProgramLog(self, program: Any) -> str:
        return str(program.log)

    def getCUBIN(self, program: Any) -> bytes:
        return f"cubin of {program.name}".encode()

    def destroyProgram(self, program: Any) -> None:
        pass


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


# ---- launches


class Cupy:
    """CuPy as the launcher uses it: remembers what was started."""

    __version__ = "14.2.0"

    def __init__(self) -> None:
        self.launches: list[tuple[str, tuple[int, ...], tuple[int, ...], tuple[Any, ...]]] = []
        self.used: list[Any] = []
        self.loaded: list[Path] = []
        nvrtc = Nvrtc()
        within = self

        class Within:
            def __init__(self, *what: Any) -> None:
                self.what, self.compute_capability = what, "90"

            def __enter__(self) -> None:
                within.used.append(self.what)

            def __exit__(self, *error: Any) -> None: ...

        stream = types.SimpleNamespace(from_external=lambda given: Within(*given.__cuda_stream__()))
        self.cuda = types.SimpleNamespace(Device=Within, Stream=stream, nvrtc=nvrtc)
        self.cuda.runtime = types.SimpleNamespace(
            driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 13020, getDeviceCount=lambda: 1
        )

    def from_dlpack(self, tensor: torch.Tensor) -> Any:
        return np.from_dlpack(tensor)

    def RawModule(self, *, path: str) -> Any:
        self.loaded.append(Path(path))
        return types.SimpleNamespace(get_function=lambda name: self.function(name))

    def function(self, name: str) -> Any:
        def start(grid: Any, block: Any, arguments: Any) -> None:
            self.launches.append((name, grid, block, arguments))

        return start


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


def broken(kind: type[Exception], text: str) -> Any:
    def fail(*_: Any) -> Any:
        raise kind(text)

    return fail


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
def test_training_on_the_cpu_never_imports_cupy(content: str, tmp_path: Path) -> None:
    """With a CuPy that breaks whoever imports it."""
    (tmp_path / "cupy.py").write_text(content)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import graphkit\n"
        "from graphkit.cli.main import main\n"
        "try:\n    main(['train', 'experiment=demo', 'trainer.max_steps=2', 'model.dim=8', 'run_dir=run'])\n"
        "except SystemExit as ended:\n    assert not ended.code, ended.code\n"
        "assert 'cupy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


# ---- registration


def test_every_kernel_file_is_of_an_operation_that_is_registered() -> None:
    names = {operation._opoverload._schema.name for operation, _ in registration.implementations()}
    assert len(names) == len(registration.implementations())
    assert set(KERNELS) >= {"beta_moments", "duplicate_ids", "gather", "log_softmax", "negative_terms"}
    assert names >= {
        f"graphkit::{name}" for name in ("own_scores", "shared_scores", "adam_", "pair_counts", "add_rows_")
    }


def test_implementations_take_the_arguments_of_their_operations() -> None:
    import functools
    import inspect

    for operation, implementation in registration.implementations():
        given = implementation.func if isinstance(implementation, functools.partial) else implementation
        wanted = [argument.name for argument in operation._opoverload._schema.arguments]
        parameters = list(inspect.signature(given).parameters.values())
        assert parameters[0].name == "launcher", operation
        if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
            continue
        taken = [parameter.name for parameter in parameters[1:] if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        assert len(taken) == len(wanted), operation


# ---- memory


@pytest.fixture
def logits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_softmax, "LOGITS_AT_ONCE", 2**18)


@pytest.mark.usefixtures("logits")
def test_where_memory_is_short_chunks_are_halved_and_said_once() -> None:
    tried = []

    def run() -> int:
        tried.append(log_softmax.LOGITS_AT_ONCE)
        if log_softmax.LOGITS_AT_ONCE > 2**16:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 3

    with pytest.warns(RuntimeWarning) as said:
        assert registration.in_smaller_chunks(run) == 3
        log_softmax.LOGITS_AT_ONCE = 2**18
        assert registration.in_smaller_chunks(run) == 3
    assert tried == 2 * [2**18, 2**17, 2**16]
    assert [str(warning.message) for warning in said] == [
        "the GPU's memory is short: losses over all entities are computed in chunks of 65536 logits; a smaller batch "
        "would be faster"
    ]


@pytest.mark.usefixtures("logits")
def test_memory_that_is_too_short_for_the_smallest_chunk_is_the_callers_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        registration.in_smaller_chunks(broken(torch.OutOfMemoryError, "CUDA out of memory"))
    assert log_softmax.LOGITS_AT_ONCE == registration.LEAST_LOGITS


def test_kept_logits_are_used_whole_after_chunks_have_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(3, 4, generator=generator, requires_grad=True)
    rows = torch.randn(7, 4, generator=generator, requires_grad=True)
    targets = torch.tensor([0, 6, 2])
    expected = torch.autograd.grad(log_softmax.cross_entropy(queries, rows, targets).sum(), [queries, rows])
    loss = log_softmax.cross_entropy(queries, rows, targets).sum()
    monkeypatch.setattr(log_softmax, "LOGITS_AT_ONCE", 6)
    for found, wanted in zip(torch.autograd.grad(loss, [queries, rows]), expected, strict=True):
        assert torch.equal(found, wanted)
