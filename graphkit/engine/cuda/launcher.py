"""How kernels of `cuda/` are started, whoever runs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

#: Blocks or threads along x, y and z.
Extent = tuple[int, int, int]


class Launcher(Protocol):
    """Runs kernels: CuPy on a GPU, or the tests' stand-in on the CPU."""

    def launch(
        self,
        file: str,
        kernel: str,
        grid: Extent,
        block: Extent,
        arguments: Sequence[Tensor | int | float | None],
        shared_bytes: int = 0,
    ) -> None:
        """Starts a kernel on the current stream of its tensors' device, and does not wait for it.

        Args:
            file: base name of the `.cu` file.
            kernel: the name of an `extern "C" __global__` function in it.
            grid: blocks.
            block: threads of a block.
            arguments: what the kernel takes, in order: a contiguous tensor is the address of its first element, an int
                a `long long`, a float a `float`, None a null pointer.
            shared_bytes: dynamic shared memory of a block.
        """
