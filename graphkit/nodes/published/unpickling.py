"""Pickles that hold arrays and containers, read without running what they name.

A pickle is a program: it can name any function and have it called, and it can set what is inside of the objects that
it made. The published Planetoid files exist as pickles only, so they are read by an unpickler that knows the few names
that occur in them, refuses all others, and makes a plain record of each: what was asked for, and with which parts.
Arrays are made of these records afterwards, by checks of their own; nothing of NumPy or SciPy runs at the word of the
file.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

import numpy as np

from graphkit.errors import GraphkitError
from graphkit.nodes.published.sparse_parts import sparse_matrix

#: Types of arrays: truth values and real numbers.
_NUMBERS = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
#: A published file has some 20 tuples. Nested deeply, as a key, they would overflow the interpreter's own stack.
_TUPLES = 1_000


class _Record:
    """Something that a pickle has asked for: its arguments, and the state that was set."""

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> _Record:
        made = super().__new__(cls)
        made.arguments, made.state = arguments, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Record):
    pass


class _DType(_Record):
    pass


class _Scalar(_Record):
    pass


class _Matrix(_Record):
    pass


class _Kind(_Record):
    """A name that is only handed on: the class that an array is of, or what a dictionary makes of missing keys."""


class _Dictionary(dict[Any, Any]):
    """A dictionary with a default, which is left out."""

    def __init__(self, *_default: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a dictionary has no state")


#: What a pickle may name: (module, name) as written by old and new versions.
_ADMITTED: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Kind,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _Scalar,
    ("numpy._core.multiarray", "scalar"): _Scalar,
    ("scipy.sparse.csr", "csr_matrix"): _Matrix,
    ("scipy.sparse._csr", "csr_matrix"): _Matrix,
    ("collections", "defaultdict"): _Dictionary,
    ("builtins", "list"): _Kind,
    ("__builtin__", "list"): _Kind,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Returns the record for an admitted name, without importing anything."""
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
        content = path.read_bytes()
        _require_modest(content)
        return _Maker().made(_Unpickler(io.BytesIO(content), encoding="latin1").load())
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


def _require_modest(content: bytes) -> None:
    """Makes sure that a pickle asks for no more than it holds: neither places of its memo, nor tuples in tuples."""
    tuples = 0
    for instruction, argument, _ in pickletools.genops(content):
        tuples += instruction.name.startswith("TUPLE")
        if "PUT" in instruction.name and int(argument or 0) > len(content):
            raise ValueError("its memo has more places than the file has bytes")
    if tuples > _TUPLES:
        raise ValueError(f"it has more than {_TUPLES:,} tuples")


class _Maker:
    """Makes values of records."""

    def __init__(self) -> None:
        #: By the identity of what was loaded, so that what is shared is made once.
        self._known: dict[int, Any] = {}

    def made(self, value: Any) -> Any:
        """Returns a loaded value with arrays in the place of records.

        Raises:
            ValueError: a record does not say what an array is made of.
        """
        if value is None or type(value) in (bool, int, float, str, bytes):
            return value
        if id(value) not in self._known:
            self._known[id(value)] = self._new(value)
        return self._known[id(value)]

    def _new(self, value: Any) -> Any:
        match value:
            case list():
                return [self.made(item) for item in value]
            case tuple():
                return tuple(self.made(item) for item in value)
            case dict():
                return {self.made(key): self.made(item) for key, item in value.items()}
            case _DType():
                return _dtype(value)
            case _Array(state=(int(), tuple() as shape, _DType() as dtype, fortran, content)):
                return _array(dtype, shape, content, "F" if fortran else "C")
            case _Scalar(arguments=(_DType() as dtype, content)):
                return _array(dtype, (), content, "C")[()]
            case _Matrix(state={"data": data, "indices": indices, "indptr": indptr, **rest}):
                extents: Any = rest.get("_shape", rest.get("shape"))
                if not _extents(extents):
                    raise ValueError("a matrix has no shape")
                return sparse_matrix(self.made(data), self.made(indices), self.made(indptr), extents)
        raise ValueError(f"it holds a {type(value).__name__.strip('_').lower()} that is none, or lacks its parts")


def _extents(shape: Any) -> bool:
    return type(shape) is tuple and all(type(extent) is int and extent >= 0 for extent in shape)


def _dtype(record: _DType) -> np.dtype[Any]:
    """Returns the type that a record names, whatever else was set inside of it."""
    name, state = record.arguments[0] if record.arguments else None, record.state
    order = state[1] if type(state) is tuple and len(state) > 1 else "="
    order = order.decode("latin1") if type(order) is bytes else order
    if type(name) is not str or not _NUMBERS.fullmatch(name) or order not in ("<", ">", "=", "|"):
        raise ValueError(f"the type {name!r} is none of numbers")
    return np.dtype(("=" if order == "|" else order) + name.lstrip("<>|="))


def _array(record: _DType, shape: Any, content: Any, order: Any) -> np.ndarray[Any, Any]:
    dtype = _dtype(record)
    raw = content.encode("latin1") if type(content) is str else content  # Python 2 knew no bytes
    if type(raw) is not bytes or not _extents(shape) or math.prod(shape) * dtype.itemsize != len(raw):
        raise ValueError("an array has another length than its shape says")
    return np.frombuffer(raw, dtype).reshape(shape, order=order).astype(dtype.newbyteorder("="))
