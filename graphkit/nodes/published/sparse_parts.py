"""Sparse matrices out of files: their parts are checked before SciPy follows them anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

#: Values of a published matrix that are made dense: more say that its shape is damaged. 2^28 of float32 take 1 GiB.
_DENSE_VALUES = 1 << 28


def sparse_matrix(data: Any, indices: Any, indptr: Any, shape: Sequence[int]) -> csr_matrix:
    """Returns a matrix of its parts.

    Args:
        data: [E], real numbers.
        indices: [E], the columns of entries.
        indptr: [rows + 1], where the entries of each row begin.
        shape: (rows, columns).

    Raises:
        ValueError: a part is of another type or shape, or leads out of the matrix.
    """
    for name, part, kinds in (("data", data, "biuf"), ("indices", indices, "iu"), ("indptr", indptr, "iu")):
        if not isinstance(part, np.ndarray) or part.ndim != 1 or part.dtype.kind not in kinds:
            raise ValueError(f"{name} is no vector of numbers")
    if len(shape) != 2 or min(shape) < 0:
        raise ValueError("its shape is not one of rows and columns")
    starts, columns = indptr.astype(np.int64), indices.astype(np.int64)
    if len(starts) != shape[0] + 1 or starts[0] != 0 or starts[-1] != len(columns) or (np.diff(starts) < 0).any():
        raise ValueError("indptr does not part the entries into its rows")
    if len(data) != len(columns) or (len(columns) and not 0 <= columns.min() <= columns.max() < shape[1]):
        raise ValueError("indices do not name a column for each entry")
    return csr_matrix((data, columns, starts), shape=tuple(shape))


def dense_features(matrix: csr_matrix | NDArray[Any]) -> NDArray[np.float32]:
    """Returns a matrix of features as float32[N, F].

    Raises:
        ValueError: it is no matrix of real numbers, or too large for one that was published.
    """
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        raise ValueError(f"{matrix.dtype}{list(matrix.shape)} is no matrix of numbers")
    rows, columns = (int(extent) for extent in matrix.shape)
    if rows * columns > _DENSE_VALUES:
        raise ValueError(f"the shape {[rows, columns]} has more than {_DENSE_VALUES:,} values")
    narrow = matrix.astype(np.float32)
    return np.asarray(narrow.toarray() if isinstance(narrow, csr_matrix) else narrow)
