"""Kernels started on a GPU by CuPy. Never run so far: nobody had a GPU while this was written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphkit.engine.cuda.compiler import compiled
from graphkit.engine.cuda.launcher import Extent
from graphkit.engine.cuda.sources import Source, read_source
from graphkit.errors import GraphkitError

#: DLPack's types are not all CuPy's: bits stand for what it lacks. A kernel takes addresses, and knows what is there.
_BITS = {torch.bfloat16: torch.int16, torch.bool: torch.uint8}


class CupyLauncher:
    """See above; implements `Launcher`.

    Args:
        cupy: the module, which is imported by those who know that it works (`launcher.current`).
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._modules: dict[tuple[str, tuple[str, ...], int], Any] = {}
        self._kernels: dict[tuple[str, str, int], Any] = {}

    def launch(
        self,
        file: str,
        kernel: str,
        grid: Extent,
        block: Extent,
        arguments: Sequence[Tensor | int | float | None],
    ) -> None:
        """See `Launcher.launch`.

        Raises:
            GraphkitError: tensors lie on two devices, are not contiguous, or the kernel cannot be compiled.
        """
        device = _device_of(file, kernel, arguments)
        torch_stream = torch.cuda.current_stream(device)
        with self._cupy.cuda.Device(device.index), self._cupy.cuda.Stream.from_external(_Stream(torch_stream)):
            function = self._kernel(file, kernel, device.index)
            function(grid, block, tuple(map(self._argument, arguments)))

    def _kernel(self, file: str, kernel: str, index: int) -> Any:
        key = (file, kernel, index)
        if key not in self._kernels:
            source = read_source(file)
            self._kernels[key] = self._module(source, source.defines(kernel), index).get_function(kernel)
        return self._kernels[key]

    def _module(self, source: Source, defines: tuple[str, ...], index: int) -> Any:
        key = (source.name, defines, index)
        if key not in self._modules:
            architecture = f"sm_{self._cupy.cuda.Device(index).compute_capability}"
            path = compiled(source, architecture, self._cupy.cuda.nvrtc, defines)
            self._modules[key] = self._cupy.RawModule(path=str(path))
        return self._modules[key]

    def _argument(self, argument: Tensor | int | float | None) -> Any:
        """Returns an argument as CuPy passes it on: tensors by DLPack, without a copy."""
        if argument is None:
            return np.uintp(0)
        if isinstance(argument, Tensor):
            plain = argument.detach()
            return self._cupy.from_dlpack(plain.view(_BITS.get(plain.dtype, plain.dtype)))
        return np.float32(argument) if isinstance(argument, float) else np.int64(argument)


class _Stream:
    """A stream of torch by the protocol that CuPy asks for; versions of torch differ in whether they have it."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._stream = stream

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._stream.cuda_stream


def _device_of(file: str, kernel: str, arguments: Sequence[Tensor | int | float | None]) -> torch.device:
    """Returns the device that all tensors lie on.

    Raises:
        GraphkitError: there are two, or a tensor is not contiguous.
    """
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    devices = sorted({str(tensor.device) for tensor in tensors})
    if len(devices) != 1:
        raise GraphkitError(
            f"the kernel {kernel} of cuda/{file}.cu was given tensors on {' and '.join(devices) or 'no device'}; move "
            "all to one GPU"
        )
    for place, argument in enumerate(arguments):
        if isinstance(argument, Tensor) and not argument.is_contiguous():
            raise GraphkitError(
                f"argument {place} of the kernel {kernel} of cuda/{file}.cu has shape {tuple(argument.shape)} and "
                f"strides {argument.stride()}, and a kernel takes contiguous tensors; call contiguous() on it"
            )
    return tensors[0].device
