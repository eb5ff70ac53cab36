"""Labels to ids, batch by batch, in the order in which the labels first appear."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: Beyond this many bytes of text an Arrow string array needs 64-bit offsets.
_STRING_BYTES = (1 << 31) - 1


class LabelEncoder:
    """Numbers labels 0, 1, 2 … in the order in which they first appear.

    Each batch is reduced to its distinct labels by Arrow, and only those pass through a Python dictionary.

    Example:
        >>> encoder = LabelEncoder()
        >>> heads, tails = encoder.encode(pa.array(["a", "b"]), pa.array(["c", "a"]))
        >>> heads.tolist(), tails.tolist(), encoder.labels().to_pylist()
        ([0, 2], [1, 0], ['a', 'c', 'b'])
    """

    def __init__(self) -> None:
        # Keys are UTF-8 bytes: 16 bytes a label smaller than str, and made without decoding.
        self._ids: defaultdict[bytes, int] = defaultdict()
        self._ids.default_factory = self._ids.__len__
        self._new: list[pa.Array] = []

    def __len__(self) -> int:
        """The number of labels so far."""
        return len(self._ids)

    def encode(self, *columns: pa.Array) -> tuple[npt.NDArray[np.int64], ...]:
        """Number the labels of one batch.

        Args:
            *columns: String arrays of one length M without nulls; labels are met row by row, in a row from
                left to right, so that the numbers do not depend on how the rows are cut into batches.

        Returns:
            One ``(M,) int64`` array of ids a column.
        """
        width, rows = len(columns), len(columns[0])
        if not rows:
            return tuple(np.empty(0, np.int64) for _ in columns)
        encoded = pa.concat_arrays([column.cast(pa.binary()) for column in columns]).dictionary_encode()
        codes = encoded.indices.to_numpy().reshape(width, rows)
        met = np.full(len(encoded.dictionary), width * rows, dtype=np.int64)
        for place in range(width):
            np.minimum.at(met, codes[place], np.arange(place, width * rows, width, dtype=np.int64))
        order = np.argsort(met)
        labels = encoded.dictionary.take(pa.array(order))
        known = len(self._ids)
        keys = labels.to_pylist()
        ids = np.fromiter(map(self._ids.__getitem__, keys), np.int64, len(keys))
        fresh = labels.filter(pa.array(ids >= known))
        if len(fresh):
            self._new.append(fresh)
        id_of_code = np.empty(len(ids), np.int64)
        id_of_code[order] = ids
        return tuple(id_of_code[codes[place]] for place in range(width))

    def labels(self) -> pa.Array:
        """All labels, label i at position i: an Arrow ``string`` array (``large_string`` beyond 2 GiB)."""
        if sum(part.nbytes for part in self._new) > _STRING_BYTES:
            wide = [part.cast(pa.large_binary()) for part in self._new]
            return pa.concat_arrays(wide).cast(pa.large_string())
        return pa.concat_arrays([*self._new, pa.array([], pa.binary())]).cast(pa.string())
