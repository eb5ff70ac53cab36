"""Pickles that hold arrays and containers, read without running what they name.

A pickle is a program: it can name any function and have it called. The published Planetoid files exist as pickles only,
so they are read by an unpickler that knows the few names that occur in them, and refuses all others.
"""

from __future__ import annotations

import io
import pickle
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray
from scipy.sparse import csr_matrix

from graphkit.errors import GraphkitError


def _dtype(name: str, align: int = 0, copy: int = 0) -> np.dtype[Any]:
    """Makes a dtype; pickles of old give its flags as integers, of which NumPy warns today."""
    return np.dtype(name, align=bool(align), copy=bool(copy))


#: What a pickle may name: (module, name) as written by old and new versions.
_ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy.core.multiarray", "scalar"): multiarray.scalar,
    ("numpy._core.multiarray", "scalar"): multiarray.scalar,
    ("scipy.sparse.csr", "csr_matrix"): csr_matrix,
    ("scipy.sparse._csr", "csr_matrix"): csr_matrix,
    ("collections", "defaultdict"): defaultdict,
    **{(module, kind.__name__): kind for module in ("builtins", "__builtin__") for kind in (list, dict, set, tuple)},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Returns what an admitted name stands for, without importing anything."""
        if (module, name) not in _ADMITTED:
            raise _Refused(f"{module}.{name}")
        return _ADMITTED[module, name]


class _Refused(Exception):
    pass


def unpickled(path: Path) -> Any:
    """Returns what a pickle holds: arrays, sparse matrices (checked), and containers of them and of numbers.

    Raises:
        GraphkitError: the file is no pickle, is damaged, or names anything else.
    """
    try:
        loaded = _Unpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        return _checked(loaded) if isinstance(loaded, csr_matrix) else loaded
    except _Refused as error:
        raise GraphkitError(
            f"{path} is a pickle that names {error}, which files of graphs have no use for; it was not run, so ask "
            "where the file comes from"
        ) from None
    except OSError as error:
        raise GraphkitError(f"{path} cannot be opened: {error.strerror or error}; check its permissions") from error
    except Exception as error:  # damaged pickles raise whatever their broken instructions happen to hit
        raise GraphkitError(
            f"{path} is damaged, or no pickle of arrays ({type(error).__name__}: {error}); fetch it again"
        ) from error


def _checked(matrix: csr_matrix) -> csr_matrix:
    """Makes a matrix anew of its parts: a pickle sets them unchecked, and SciPy would follow indices anywhere."""
    parts = vars(matrix)
    arrays = tuple(np.asarray(parts[name]) for name in ("data", "indices", "indptr"))
    made = csr_matrix(arrays, shape=tuple(int(extent) for extent in parts["_shape"]))
    made.check_format(full_check=True)
    return made
