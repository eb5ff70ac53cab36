"""An examination of the installation: versions, devices, which back end operations use, data."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import torch

from graphkit import __version__, _native, data
from graphkit.engine.cuda.compiler import cache_folder
from graphkit.engine.cuda.launcher import back_end
from graphkit.engine.cuda.registration import implementations

_CORE = ("torch", "torch_geometric", "numpy", "scipy", "pyarrow", "safetensors", "rich", "hydra-core")
_OPTIONAL = {"cupy": "cuda", "dgl": "dgl", "pyoxigraph": "rdf", "optuna": "tune", "faiss": "faiss"}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"missing: pip install {name}"


def _operations() -> dict[str, str]:
    """Returns which back end each operation of the engine uses, and why: on the CPU, and on a GPU."""
    found = back_end()
    path = f"CPU: native ({_native.kernel_paths()[-1]})"
    if found.launcher is not None:
        gpu = f"GPU: kernels of cuda/ ({found.reason}), kept in {cache_folder()}"
    elif torch.cuda.is_available():
        gpu = f"GPU: torch's operations, since {found.reason}"
    else:
        gpu = f"GPU: none, since {found.reason}"
    names = [operation._opoverload._schema.name.removeprefix("graphkit::") for operation, _ in implementations()]
    return dict.fromkeys(names, f"{path}; {gpu}")


def examine() -> dict[str, dict[str, Any]]:
    """Returns what is there, in parts: system, packages, extras, devices, operations, data."""
    extras = {
        module: "installed" if find_spec(module) else f"absent: pip install 'graphkit[{extra}]'"
        for module, extra in _OPTIONAL.items()
    }
    cuda = torch.cuda.is_available()
    return {
        "system": {
            "graphkit": __version__,
            "native core": _native.__file__,
            "python": sys.version.split()[0],
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "torch threads": torch.get_num_threads(),
        },
        "packages": {name: _version(name) for name in _CORE},
        "extras": extras,
        "devices": {
            "cpu": torch.backends.cpu.get_cpu_capability(),
            "cuda": torch.cuda.get_device_name() if cuda else "none: torch finds no GPU; everything runs on the CPU",
        },
        "operations": _operations(),
        "data": {
            "GRAPHKIT_DATA": os.environ.get("GRAPHKIT_DATA") or "not set: named data sets other than geography need it",
            "named sets": ", ".join(data.names()),
        },
    }
