"""CuPy and NVRTC as the launcher and the compiler use them: they behave as CuPy 14.2 was seen to."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import torch


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


def broken(kind: type[Exception], text: str) -> Any:
    def fail(*_: Any) -> Any:
        raise kind(text)

    return fail
