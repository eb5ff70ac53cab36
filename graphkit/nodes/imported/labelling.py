"""Labels and masks of a user's graph, from the tables and arrays that people keep them in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from graphkit.errors import GraphkitError
from graphkit.nodes.imported.lookup import NodeLookup, as_arrow
from graphkit.nodes.imported.tables import (
    ID_NAMES,
    MISSING,
    Columns,
    archive_names,
    is_number,
    read_array,
    read_columns,
    suffix_of,
)
from graphkit.nodes.npz import read_arrays

_LABELS = frozenset({"label", "labels", "class", "y", "target", "category", "node_label", "node_labels"})
#: What the mask of each part is called, without ``_mask`` and ``_masks``.
_PARTS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_SPLITS = frozenset({"split", "set", "fold"})
#: What columns of masks are called.
_MASKS = _SPLITS | {
    f"{name}{ending}" for names in _PARTS.values() for name in names for ending in ("", "_mask", "_masks")
}
_TRUTHS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False, "": False}


@dataclass(frozen=True)
class Labels:
    """The class of each node."""

    #: int64[N], -1 where unknown
    classes: NDArray[np.int64]
    #: Names of classes, or None where labels are 0 to C-1 already.
    names: tuple[str, ...] | None


def read_labels(path: Path, nodes: NodeLookup) -> Labels:
    """Reads labels: a table of ids and labels, or one label a node in the order of the features.

    Labels are texts, or whole numbers; empty ones, NaN and -1 are unknown. Texts become classes in alphabetical order,
    numbers in ascending order.

    Raises:
        GraphkitError: the file cannot be read, an id is unknown or occurs twice, or labels are no classes.
    """
    if suffix_of(path) in (".npy", ".npz"):
        array = read_array(path, ("labels", "y", "node_labels"))
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise GraphkitError(f"{path} holds labels of shape {list(array.shape)}; one label a node is needed")
        nodes.require_rows(len(array), str(path), "label")
        rows, values, where = np.arange(len(array)), as_arrow(array, str(path)), str(path)
    else:
        table = read_columns(path, roles=(_LABELS | ID_NAMES,))
        rows, rest = nodes.rows_of(table, "label")
        place = _label_place(table, rest)
        values, where = table.columns[place], f"{path}, {table.name(place)}"
    found, names = _classes(values, where)
    classes = np.full(nodes.nodes, -1, np.int64)
    classes[rows] = found
    return Labels(classes, names)


def _label_place(table: Columns, rest: list[int]) -> int:
    """Returns which column has the labels; others than masks are in doubt, since one of them may be meant for ids."""
    named = [place for place in rest if table.names is not None and table.names[place] in _LABELS]
    found = named if table.names is not None and len(rest) > 1 else rest
    _require_known(table, rest, found, "label", "id and label")
    return found[0]


def _require_known(table: Columns, rest: list[int], found: list[int], what: str, needed: str) -> None:
    """Makes sure that columns beside the ids are what was found, or what another file might be read for."""
    names = table.names or ("",) * len(table.columns)
    odd = [place for place in rest if place not in found and names[place] not in _MASKS | _LABELS]
    if odd or not found or (what == "label" and len(found) > 1):
        listed = f" ({', '.join(table.names)})" if table.names else ""
        raise GraphkitError(
            f"{table.path} has {len(table.columns)} columns{listed}, and which are ids and which {what}s is not "
            f"clear; name them {needed}, and leave others out"
        )


def _classes(values: pa.Array, where: str) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    """Returns the class of each value and the names of classes."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.string())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        texts = [(text or "").strip() for text in values.to_pylist()]
        texts = ["" if text.lower() in MISSING else text for text in texts]
        numeric = [is_number(text) for text in texts if text]
        if any(numeric) and not all(numeric):
            number = next(text for text in texts if text and is_number(text))
            word = next(text for text in texts if text and not is_number(text))
            raise GraphkitError(
                f"{where} mixes numbers and texts, such as {number!r} and {word!r}; labels are all of one kind, so "
                "name the header's columns (id and label), or mend the labels"
            )
        if not numeric or not all(numeric):
            return _text_classes(texts, where)
        values = pa.array([float(text) if text else None for text in texts], pa.float64())
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_null(values.type)):
        raise GraphkitError(f"{where} holds {values.type}; labels are texts or whole numbers")
    return _number_classes(np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False)), where)


def _text_classes(texts: list[str], where: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    names = tuple(sorted(set(texts) - {""}))
    if not names:
        raise _no_labels(where)
    number = {name: place for place, name in enumerate(names)} | {"": -1}
    return np.array([number[text] for text in texts], np.int64), names


def _number_classes(numbers: NDArray[np.float64], where: str) -> tuple[NDArray[np.int64], tuple[str, ...] | None]:
    known = ~np.isnan(numbers) & (numbers != -1)
    distinct = np.unique(numbers[known])
    odd = distinct[(distinct != np.round(distinct)) | (distinct < 0) | np.isinf(distinct)]
    if len(odd):
        raise GraphkitError(
            f"{where} has the label {odd[0]:g}; classes are texts or whole numbers from 0, and -1 or empty "
            "where unknown"
        )
    if not len(distinct):
        raise _no_labels(where)
    classes = np.full(len(numbers), -1, np.int64)
    classes[known] = np.searchsorted(distinct, numbers[known])
    as_they_are = np.array_equal(distinct, np.arange(len(distinct)))
    return classes, None if as_they_are else tuple(str(int(number)) for number in distinct)


def _no_labels(where: str) -> GraphkitError:
    return GraphkitError(f"{where} has no labels: all are empty or -1; leave --labels out, or fill some in")


def read_masks(path: Path, nodes: NodeLookup) -> NDArray[np.bool_]:
    """Reads masks: bool[3, N, S] of train, val and test.

    An archive has arrays train_mask and test_mask, perhaps val_mask, bool[N] or bool[N, S] (train_masks … [S, N]); a
    table has columns train, val and test of true and false, or one column named split that says train, val or test.

    Raises:
        GraphkitError: the file cannot be read, names no part, or has values that are neither true nor false.
    """
    if suffix_of(path) == ".npy":
        raise GraphkitError(f"{path} is one array, and masks are several; save them with numpy.savez(train_mask=…)")
    given = _masks_of_archive(path, nodes) if suffix_of(path) == ".npz" else _masks_of_table(path, nodes)
    if "train" not in given or "test" not in given:
        raise GraphkitError(
            f"{path} has masks of {', '.join(given) or 'no part'}; a probe needs train and test (columns or arrays "
            "train_mask, test_mask, perhaps val_mask, or a column named split)"
        )
    splits = max(mask.shape[1] for mask in given.values())
    masks = np.zeros((3, nodes.nodes, splits), np.bool_)
    for place, part in enumerate(_PARTS):
        if part in given:
            if given[part].shape[1] not in (1, splits):
                raise GraphkitError(
                    f"{path} has {given[part].shape[1]} splits of {part} and {splits} of another part; they must agree"
                )
            masks[place] = given[part]
    both = np.argwhere(masks[0] & masks[2])
    if len(both):
        node, split = (int(place) for place in both[0])
        shown = repr(nodes.ids.label(node)) if nodes.ids is not None else str(node)
        raise GraphkitError(
            f"{path}: node {shown} is in train and in test"
            + (f" of split {split}" if splits > 1 else "")
            + "; take it out of one"
        )
    return masks


def _masks_of_archive(path: Path, nodes: NodeLookup) -> dict[str, NDArray[np.bool_]]:
    given = {}
    for name in archive_names(path):
        part = _part(name)
        if part is None:
            continue
        mask = read_arrays(path, [name])[name]
        if mask.ndim == 2 and (name.endswith("s") or len(mask) != nodes.nodes):
            mask = mask.T
        if mask.ndim == 2 and name.endswith("s") and len(mask) != nodes.nodes:
            raise GraphkitError(
                f"{path}, array {name!r} is {mask.dtype}{list(mask.T.shape)}, and there are {nodes.nodes:,} nodes; "
                "bool[splits, nodes] is needed"
            )
        if mask.ndim not in (1, 2) or len(mask) != nodes.nodes or not np.isin(mask, (0, 1)).all():
            raise GraphkitError(
                f"{path}, array {name!r} is {mask.dtype}{list(mask.shape)}, and there are {nodes.nodes:,} nodes; "
                "bool[nodes] or bool[nodes, splits] is needed"
            )
        given[part] = mask.reshape(nodes.nodes, -1).astype(np.bool_)
    return given


def _masks_of_table(path: Path, nodes: NodeLookup) -> dict[str, NDArray[np.bool_]]:
    table = read_columns(path, roles=(_MASKS | ID_NAMES,))
    if table.names is None:
        raise GraphkitError(f"{path} has no header; name its columns id and split, or id, train, val and test")
    rows, rest = nodes.rows_of(table, "mask")
    masks = [place for place in rest if table.names[place] in _MASKS]
    _require_known(table, rest, masks, "mask", "id and split, or id, train, val and test")
    given = {}
    for place, name in enumerate(table.names):
        part, where = _part(name), f"{path}, {table.name(place)}"
        if name in _SPLITS:
            words = [str(word or "").strip().lower() for word in table.columns[place].cast(pa.string()).to_pylist()]
            for row, word in enumerate(words):
                if word and _part(word) is None:
                    raise GraphkitError(
                        f"{where}, row {row + 1}: {word!r} is no part; allowed: train, val, test, or empty"
                    )
            for key in _PARTS:
                given[key] = _scattered(rows, [_part(word) == key for word in words], nodes)
        elif part is not None:
            given[part] = _scattered(rows, _truths(table.columns[place], where), nodes)
    return given


def _scattered(rows: NDArray[np.int64], values: list[bool], nodes: NodeLookup) -> NDArray[np.bool_]:
    mask = np.zeros((nodes.nodes, 1), np.bool_)
    mask[rows, 0] = values
    return mask


def _truths(column: Any, where: str) -> list[bool]:
    texts = [str(text or "").strip().lower() for text in column.cast(pa.string()).to_pylist()]
    odd = next((row for row, text in enumerate(texts) if text not in _TRUTHS), None)
    if odd is not None:
        raise GraphkitError(f"{where}, row {odd + 1}: {texts[odd]!r} is neither true nor false (1 nor 0)")
    return [_TRUTHS[text] for text in texts]


def _part(name: str) -> str | None:
    stem = name.lower().removesuffix("s").removesuffix("_mask")
    return next((part for part, names in _PARTS.items() if stem in names), None)
