"""Pickles are read without running what they name."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import warnings
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from node_files import old_pickle
from scipy.sparse import csr_matrix

from graphkit.errors import GraphkitError
from graphkit.nodes.published.unpickling import unpickled


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
    value = {"lists": lists, "array": array, "scalar": np.int64(7), "text": ("é", [1])}
    found = unpickled(written(tmp_path, dump(value)))
    assert (found["lists"], found["scalar"], found["text"]) == (lists, 7, ("é", [1]))
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
        ("builtins.set", b"cbuiltins\nset\n."),
        ("numpy.core.multiarray._frombuffer", b"cnumpy.core.multiarray\n_frombuffer\n."),
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


# ---- pickles that would end the process: each is read by a process of its own


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def raw(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def dtype(name: str, memo: bytes) -> bytes:
    return b"cnumpy\ndtype\n(" + text(name) + b"tRq" + memo


#: A type V8 whose size is set to 2^30 after four of it were allocated.
GROWN = (
    b"\x80\x02" + dtype("V8", b"\0") + b"0cnumpy\nndarray\n((" + number(4) + b"th\0tRq\x010h\0("
    + number(3) + text("|") + b"NNN" + number(1 << 30) + number(1) + number(0) + b"tb0c__builtin__\n%b\n(h\x01tR."
)  # fmt: skip
#: Records of two Python objects, whose addresses are the bytes AAAAAAAA.
FORGED = (
    b"\x80\x02" + dtype("O8", b"\5") + b"0" + dtype("V16", b"\0") + b"(" + number(3) + text("|") + b"N("
    + text("a") + text("b") + b"t}(" + text("a") + b"(h\5" + number(0) + b"t" + text("b") + b"(h\5" + number(8) + b"tu"
    + number(16) + number(1) + number(0) + b"tb0cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n("
    + number(0) + b"t" + raw(b"b") + b"tR(" + number(1) + b"(" + number(1) + b"th\0\x89" + raw(b"A" * 16)
    + b"tbq\x010c__builtin__\n%b\n(h\x01tR."
)  # fmt: skip
NAMED = "is a pickle that names __builtin__.dict, which files of graphs have no use for; "
DAMAGED = "is damaged, or no pickle of arrays (ValueError: "


FORGERIES = [
    (GROWN % b"dict", NAMED),
    (GROWN % b"list", DAMAGED + "it holds a kind that is none, or lacks its parts); "),
    (FORGED % b"dict", NAMED),
    (FORGED % b"list", DAMAGED + "it holds a kind that is none, or lacks its parts); "),
    (FORGED.partition(b"q\x010")[0] + b".", DAMAGED + "the type 'V16' is none of numbers); "),
    (b"\x80\x02})" + b"\x85" * 10**6 + b"Ns.", DAMAGED + "it has more than 1,000 tuples); "),
    (b"\x80\x02Nr\xff\xff\xff\x7f.", DAMAGED + "its memo has more places than the file has bytes); "),
]
READING = """
import sys, pathlib
from graphkit.errors import GraphkitError
from graphkit.nodes.published.unpickling import unpickled
for path in sys.argv[1:]:
    try:
        unpickled(pathlib.Path(path))
    except GraphkitError as error:
        print(error)
"""


def test_pickles_that_forge_what_is_inside_of_objects_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(len(FORGERIES))]
    for path, (content, _) in zip(paths, FORGERIES, strict=True):
        path.write_bytes(content)
    command = [sys.executable, "-c", READING, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for path, line, (_, said) in zip(paths, done.stdout.splitlines(), FORGERIES, strict=True):
        assert line.startswith(f"{path} {said}")


@pytest.mark.parametrize(
    ("shape", "kind", "length"),
    [((2,), "f4", 4), ((1,), "O8", 8), ((-1,), "f4", 4), ((1,), "f3", 3), ((True,), "f4", 4), ((1 << 62, 4), "f4", 0)],
)
def test_an_array_is_as_long_as_its_shape_says(tmp_path: Path, shape: Any, kind: str, length: int) -> None:
    extents = b"(" + b"".join(b"\x88" if extent is True else number(extent) for extent in shape) + b"t"
    start = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + number(0) + b"t" + raw(b"b") + b"tR("
    content = start + number(1) + extents + dtype(kind, b"\0") + b"\x89" + raw(bytes(length)) + b"tb."
    said = complaint(written(tmp_path, content))
    assert "an array has another length than its shape says" in said or "is none of numbers" in said
    if shape == (2,):
        good = content.replace(extents, b"(" + number(1) + b"t")
        assert unpickled(written(tmp_path, good)).tolist() == [0]


def test_what_is_shared_is_made_once_and_what_holds_itself_is_refused(tmp_path: Path) -> None:
    shared: list[Any] = []
    for _ in range(100):  # 2^100 lists, if each were made anew
        shared = [shared, shared]
    assert len(unpickled(written(tmp_path, pickle.dumps(shared, 2)))) == 2
    shared.append(shared)
    assert "is damaged, or no pickle of arrays (RecursionError: " in complaint(written(tmp_path, pickle.dumps(shared)))
