"""The check of compiled kernels reads what ptxas says, and refuses spills that nobody explained."""

from __future__ import annotations

from pathlib import Path

import compile_check
import pytest
from compile_check import CompileError, Compiler, Needs

LOG = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'large' for 'sm_90'
ptxas info    : Function properties for large
    16 bytes stack frame, 12 bytes spill stores, 20 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 16 bytes cumulative stack size, 4096 bytes smem
ptxas info    : Compile time = 1.0 ms
ptxas info    : Compiling entry function 'small' for 'sm_90'
ptxas info    : Function properties for small
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, used 0 barriers
"""
NEEDS = {"large": Needs(32, 32, 4096), "small": Needs(8, 0, 0)}
COMPLAINT = (
    "kernel large spills 32 bytes on sm_90; make it need fewer registers, or say why in a line '// Spills on sm_90, "
    "large: reason'"
)


class Said:
    """A compiler that says what it was made to say."""

    name = "said"

    def __init__(self, log: str) -> None:
        self.text, self.asked = log, 0

    def log(self, source: Path, architecture: str) -> str:
        self.asked += 1
        if not self.text:
            raise CompileError(f"{source.name} does not compile for {architecture}:\nline 1")
        return self.text


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(compile_check, "_KEPT", tmp_path / "kept")
    (tmp_path / "trial.cu").write_text("// Nothing\n")
    return tmp_path / "trial.cu"


def test_needs_are_read_from_what_ptxas_says() -> None:
    assert compile_check.needs_in(LOG) == NEEDS


def test_a_log_without_registers_is_refused() -> None:
    with pytest.raises(CompileError, match="ptxas says nothing of the registers of odd"):
        compile_check.needs_in("ptxas info    : Compiling entry function 'odd' for 'sm_90'\n")


def test_spills_need_a_reason_and_a_reason_needs_spills() -> None:
    reason = "// Spills on sm_90, large: what it needs is in the cache\n"
    assert compile_check.complaints("", NEEDS) == [COMPLAINT]
    assert compile_check.complaints("// Spills on sm_90, large: \n", NEEDS) == [COMPLAINT]
    assert compile_check.complaints(reason, NEEDS) == []
    assert compile_check.complaints(reason, {"small": Needs(8, 0, 0)}) == [
        "there is a reason why kernel large spills on sm_90, and it does not; take the line away"
    ]


def test_a_table_has_registers_by_architecture(capsys: pytest.CaptureFixture[str], source: Path) -> None:
    assert compile_check.check([(Said(LOG), ["sm_80", "sm_90"])], [source]) == 1
    said = capsys.readouterr()
    assert said.out == (
        "\ntrial.cu, by said: registers of a thread, bytes\n"
        "kernel    sm_80    sm_90        spills   shared\n"
        "large        32       32         32,32     4096\n"
        "small         8        8             0        0\n"
    )
    assert said.err == f"trial.cu: {COMPLAINT}\n"


def test_spills_on_other_architectures_are_shown_only(source: Path) -> None:
    assert compile_check.check([(Said(LOG), ["sm_80"])], [source]) == 0


def test_what_did_not_change_is_not_compiled_again(source: Path) -> None:
    compiler = Said(LOG)
    for _ in range(2):
        compile_check.check([(compiler, ["sm_80"])], [source])
    assert compiler.asked == 1
    (source.parent / "part.cuh").write_text("// Nothing\n")
    compile_check.check([(compiler, ["sm_80"])], [source])
    assert compiler.asked == 2


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", "trial.cu does not compile for sm_80:\nline 1\n"),
        ("nothing", 'trial.cu has no kernel; declare one extern "C" __global__ void\n'),
    ],
)
def test_a_file_that_does_not_compile_fails_and_others_are_checked(
    log: str, expected: str, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compile_check.check([(Said(log), ["sm_80"]), (Said(LOG), ["sm_80"])], [source]) == 1
    said = capsys.readouterr()
    assert said.err == expected
    assert "large" in said.out


COMPILERS = [each for each in (compile_check.nvcc(), compile_check.nvrtc()) if each is not None]


@pytest.mark.skipif(not COMPILERS, reason="there is neither nvcc nor NVRTC here")
@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda compiler: compiler.name)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int x = y;\n", 'identifier "y" is undefined'),
        ('extern "C" __global__ void f() { int x; }\n', "never referenced"),
    ],
    ids=["error", "warning"],
)
def test_what_a_compiler_says_is_told(
    text: str, expected: str, compiler: Compiler, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source.parent / "part.cuh").write_text("// Found beside the file\n")
    source.write_text(f'{text}#include "part.cuh"\n')
    assert compile_check.check([(compiler, ["sm_90"])], [source]) == 1
    said = capsys.readouterr().err
    assert said.startswith("trial.cu does not compile for sm_90:\n")
    assert expected in said
    assert "trial.cu(1)" in said
