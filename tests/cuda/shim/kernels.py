"""The kernels of a file, and the threads that each is bounded to, as its preprocessor sees them."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from shim.build import COMPILER

_KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+(?:BOUND\(\s*(\d+)[^)]*\)\s*)?(\w+)')


@cache
def kernels_in(source: Path, *defines: str) -> dict[str, int | None]:
    """Returns the threads in `__launch_bounds__` of each kernel of a file; None where it has none.

    Args:
        source: the `.cu` file.
        defines: options of the preprocessor, such as ``-DNAME=VALUE``.
    """
    command = [str(COMPILER), "-E", "-P", "-x", "c++", "-D__launch_bounds__(...)=BOUND(__VA_ARGS__)", *defines]
    command += ["-I", str(source.parent), str(source)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {name: int(bound) if bound else None for bound, name in _KERNEL.findall(text)}
