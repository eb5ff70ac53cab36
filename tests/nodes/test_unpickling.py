"""Pickles are read without running what they name."""

from __future__ import annotations

import os
import pickle
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_files import old_pickle
from scipy.sparse import csr_matrix

from graphkit.errors import GraphkitError
from graphkit.nodes.unpickling import unpickled


def written(folder: Path, content: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(content)
    return path


def complaint(path: Path) -> str:
    with pytest.raises(GraphkitError) as error:
        unpickled(path)
    return str(error.value)


@pytest.mark.parametrize("dump", [old_pickle, lambda value: pickle.dumps(value, 4)])
def test_arrays_and_containers_come_back(tmp_path: Path, dump: Any) -> None:
    lists: defaultdict[int, list[int]] = defaultdict(list)
    lists[3].append(4)
    array = np.array([[1.5, 2.0]], np.float32)
    value = {"lists": lists, "array": array, "scalar": np.int64(7), "text": ("é", {1})}
    found = unpickled(written(tmp_path, dump(value)))
    assert (found["lists"], found["scalar"], found["text"]) == (lists, 7, ("é", {1}))
    np.testing.assert_array_equal(found["array"], array)
    matrix = csr_matrix(np.array([[0, 1.5], [2, 0]], np.float32))
    np.testing.assert_array_equal(unpickled(written(tmp_path, dump(matrix))).toarray(), matrix.toarray())


def test_python_2_strings_and_integer_flags_of_dtypes_are_read_without_a_warning(tmp_path: Path) -> None:
    """numpy.dtype('f4', 0, 1), as old NumPy wrote it."""
    content = b"\x80\x02cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert unpickled(written(tmp_path, content)) == np.dtype("f4")
    assert unpickled(written(tmp_path, b"\x80\x02U\x02\xe9a.")) == "éa"


class Hostile:
    """Runs a command when it is unpickled by the usual means."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


def test_a_hostile_pickle_is_refused_and_nothing_of_it_runs(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    content = pickle.dumps({"x": [Hostile(f"touch {mark}")]})
    assert complaint(written(tmp_path, content)) == (
        f"{tmp_path / 'file'} is a pickle that names posix.system, which files of graphs have no use for; it was not "
        "run, so ask where the file comes from"
    )
    assert not mark.exists()
    pickle.loads(content)
    assert mark.exists()  # so the pickle would have


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("builtins.eval", b"cbuiltins\neval\n(S'1'\ntR."),
        ("builtins.getattr", b"cbuiltins\ngetattr\n."),
        ("numpy.load", b"cnumpy\nload\n."),
        ("numpy.ndarray.tofile", b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."),
        ("collections.OrderedDict", pickle.dumps(OrderedDict())),
        ("subprocess.Popen", b"csubprocess\nPopen\n."),
    ],
)
def test_no_other_name_is_admitted(tmp_path: Path, name: str, content: bytes) -> None:
    assert f"is a pickle that names {name}, which" in complaint(written(tmp_path, content))


def test_persistent_ids_and_extensions_are_refused(tmp_path: Path) -> None:
    for content in (b"Pname\n.", b"\x80\x02\x82\x01."):
        assert " is damaged, or no pickle of arrays (" in complaint(written(tmp_path, content))


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n", b"\x80\x02]q\x00(K", b"\x80\x02cnumpy\nndarray\n)R."])
def test_what_is_no_pickle_or_is_cut_short_is_refused(tmp_path: Path, content: bytes) -> None:
    said = complaint(written(tmp_path, content))
    assert said.startswith(f"{tmp_path / 'file'} is damaged, or no pickle of arrays (")
    assert said.endswith("); fetch it again")


@pytest.mark.parametrize(
    "change",
    [{"indices": np.array([0, 9], np.int32)}, {"indptr": np.array([0, 5, 2], np.int32)}, {"_shape": (1 << 40,)}],
)
def test_a_matrix_whose_indices_lead_astray_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    matrix = csr_matrix(np.eye(2, dtype=np.float32))
    matrix.__dict__.update(change)
    assert " is damaged, or no pickle of arrays (" in complaint(written(tmp_path, pickle.dumps(matrix)))
