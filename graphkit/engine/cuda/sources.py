"""The files of `cuda/`: where they lie, and what a kernel's file includes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from graphkit.errors import GraphkitError

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """A `.cu` file with the headers of `cuda/` that it includes, directly or by way of others."""

    #: base name of the file
    name: str
    text: str
    #: text by name
    headers: dict[str, str]

    def digest(self, *settings: str) -> str:
        """Returns a hash of all that a compilation depends on: the sources, and some settings."""
        found = hashlib.sha256()
        for part in (*settings, self.text, *(f"{name}\n{text}" for name, text in sorted(self.headers.items()))):
            found.update(f"{len(part)} ".encode() + part.encode())
        return found.hexdigest()

    def defines(self, kernel: str) -> tuple[str, ...]:
        """Returns the options that leave a kernel, and those of its kind and dtype, of what the file has.

        Files with kernels of many kinds end with `pair_instances.cuh`; of others all is compiled.

        Args:
            kernel: a name that ends with kind and dtype.
        """
        if "pair_instances.cuh" not in self.headers:
            return ()
        _, kind, dtype = kernel.rsplit("_", 2)
        return (f"-DGRAPHKIT_KIND={kind}", f"-DGRAPHKIT_DTYPE={dtype}")


def cuda_folder() -> Path:
    """Returns the folder of the kernels: graphkit/cuda in a wheel, cuda/ beside the package in a checkout.

    Raises:
        GraphkitError: neither is there.
    """
    package = Path(__file__).parents[2]
    for folder in (package / "cuda", package.parent / "cuda"):
        if any(folder.glob("*.cu")):
            return folder
    raise GraphkitError(
        f"the folder of CUDA kernels is missing: neither {package / 'cuda'} nor {package.parent / 'cuda'} has any; "
        "install graphkit again"
    )


def read_source(name: str, folder: Path | None = None) -> Source:
    """Returns `cuda/NAME.cu` with its headers.

    Raises:
        GraphkitError: a file is missing.
    """
    folder = cuda_folder() if folder is None else folder
    text = _read(folder / f"{name}.cu")
    headers: dict[str, str] = {}
    open_names = _INCLUDE.findall(text)
    while open_names:
        header = open_names.pop()
        if header not in headers:
            headers[header] = _read(folder / header)
            open_names += _INCLUDE.findall(headers[header])
    return Source(name, text, headers)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise GraphkitError(f"{path} cannot be read: {error.strerror}; install graphkit again") from error
