"""Stores: what was saved comes back, damage is refused, and nothing half-written is left behind."""

from __future__ import annotations

import json
import mmap
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import RawGraph, random_graph, raw_graphs

from graphkit import GraphkitError, KnowledgeGraph
from graphkit.atomic import new_folder
from graphkit.graph import SPLITS, EdgeArrays, store

ARRAYS = (*EdgeArrays.names(), "valid", "test")
FILES = (*(f"{name}.bin" for name in ARRAYS), "entities.arrow", "relations.arrow")


def assert_same(left: KnowledgeGraph, right: KnowledgeGraph) -> None:
    for name in EdgeArrays.names():
        one, other = getattr(left.index.arrays, name), getattr(right.index.arrays, name)
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()
    for split in SPLITS:
        assert left.triples(split).tolist() == right.triples(split).tolist()
    for name in ("num_entities", "num_relations", "num_edges", "duplicates", "fingerprint"):
        assert getattr(left, name) == getattr(right, name)
    for mine, other in ((left.entities, right.entities), (left.relations, right.relations)):
        assert (mine is None) == (other is None)
        assert mine is None or other is None or (mine.labels.equals(other.labels) and mine.kind == other.kind)


def mapped(array: np.ndarray) -> bool:
    """Whether the memory of an array is a mapped file."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def damaged(path: Path, why: str) -> str:
    return f"{path} is damaged: {why}; restore it from a copy or import the graph again"


@pytest.fixture
def saved(six_nodes: KnowledgeGraph, tmp_path: Path) -> Path:
    six_nodes.save(tmp_path / "store")
    return tmp_path / "store"


# ------------------------------------------------------------------------------------------------------ round trips


@settings(max_examples=15)
@given(raw_graphs(held_out=True))
def test_a_numbered_graph_comes_back(raw: RawGraph) -> None:
    graph = raw.build()
    with tempfile.TemporaryDirectory() as folder:
        graph.save(Path(folder) / "store")
        assert_same(KnowledgeGraph.open(Path(folder) / "store"), graph)
        assert_same(KnowledgeGraph.open(Path(folder) / "store", resident=True), graph)


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("verify", [None, True, False])
def test_a_labelled_graph_comes_back(
    six_nodes: KnowledgeGraph, saved: Path, resident: bool, verify: bool | None
) -> None:
    opened = KnowledgeGraph.open(saved, resident=resident, verify=verify)
    assert_same(opened, six_nodes)
    assert opened.entity_label(5) == "Fay"
    assert opened.relation_label(1) == "knows"


def test_a_path_may_be_given_as_text(six_nodes: KnowledgeGraph, tmp_path: Path) -> None:
    six_nodes.save(str(tmp_path / "store"))
    assert_same(KnowledgeGraph.open(str(tmp_path / "store")), six_nodes)


def test_a_folder_holds_only_the_files_of_the_store(saved: Path) -> None:
    assert names_in(saved) == sorted([*FILES, "graph.json"])
    assert names_in(saved.parent) == ["store"]


def test_wide_relations_come_back(tmp_path: Path) -> None:
    graph = KnowledgeGraph.from_triples(np.array([[0, 40_000, 1], [1, 0, 0]]))
    graph.save(tmp_path / "store")
    opened = KnowledgeGraph.open(tmp_path / "store")
    assert opened.index.arrays.run_relations.dtype == np.uint32
    assert_same(opened, graph)


def test_a_graph_saved_from_an_opened_store_is_the_same_store(saved: Path, tmp_path: Path) -> None:
    KnowledgeGraph.open(saved).save(tmp_path / "again")
    for name in names_in(saved):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_a_store_can_replace_itself_while_it_is_mapped(six_nodes: KnowledgeGraph, saved: Path) -> None:
    opened = KnowledgeGraph.open(saved)
    opened.save(saved, overwrite=True)
    assert_same(opened, six_nodes)
    assert_same(KnowledgeGraph.open(saved), six_nodes)


def test_arrays_of_an_opened_store_are_mapped_and_read_only(saved: Path) -> None:
    opened = KnowledgeGraph.open(saved)
    for array in (*(getattr(opened.index.arrays, name) for name in EdgeArrays.names()), opened.triples("valid")):
        assert mapped(array)
        assert not array.flags.writeable


def test_arrays_of_a_resident_store_are_in_memory(saved: Path) -> None:
    opened = KnowledgeGraph.open(saved, resident=True)
    assert not any(mapped(getattr(opened.index.arrays, name)) for name in EdgeArrays.names())


def test_a_large_resident_store_has_shortcuts_and_the_same_edges(
    six_nodes: KnowledgeGraph, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphkit.graph.knowledge_graph.SHORTCUTS_FROM", 5)
    large = KnowledgeGraph.open(saved, resident=True)
    assert large.index.native.has_shortcuts
    large.index.native.add_shortcuts()  # again, to no effect
    assert_same(large, six_nodes)
    assert not KnowledgeGraph.open(saved).index.native.has_shortcuts
    monkeypatch.setattr("graphkit.graph.knowledge_graph.SHORTCUTS_FROM", 6)
    assert not KnowledgeGraph.open(saved, resident=True).index.native.has_shortcuts


def test_a_damaged_index_is_refused_before_shortcuts_walk_it(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphkit.graph.knowledge_graph.SHORTCUTS_FROM", 5)
    path = saved / "run_starts.bin"
    path.write_bytes(bytes(4) + b"\xff" * (path.stat().st_size - 8) + path.read_bytes()[-4:])
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.open(saved, resident=True, verify=False)
    assert str(error.value) == (
        "the index of the graph is damaged: run_starts is not strictly ascending; import or save the graph again"
    )


# ------------------------------------------------------------------------------------------------------ fingerprints


@given(raw_graphs(held_out=True))
def test_the_fingerprint_does_not_depend_on_the_order_of_the_training_triples(raw: RawGraph) -> None:
    turned = RawGraph(raw.entities, raw.relations, raw.train[::-1] + raw.train[:1], raw.valid, raw.test)
    assert turned.build().fingerprint == raw.build().fingerprint


@given(raw_graphs(), raw_graphs())
def test_fingerprints_are_equal_if_and_only_if_the_graphs_are(one: RawGraph, other: RawGraph) -> None:
    key = [(raw.entities, raw.relations, set(raw.train)) for raw in (one, other)]
    assert (one.build().fingerprint == other.build().fingerprint) == (key[0] == key[1])


def test_the_fingerprint_tells_splits_and_sizes_apart() -> None:
    base, extra = [(0, 0, 1), (1, 0, 2)], [(2, 0, 0)]
    graphs = [
        KnowledgeGraph.from_triples(base, num_entities=3),
        KnowledgeGraph.from_triples(base, num_entities=4),
        KnowledgeGraph.from_triples(base, num_entities=3, num_relations=2),
        KnowledgeGraph.from_triples(base, valid=extra),
        KnowledgeGraph.from_triples(base, test=extra),
        KnowledgeGraph.from_triples(base + extra),
    ]
    assert len({graph.fingerprint for graph in graphs}) == len(graphs)


# ------------------------------------------------------------------------------------------------------------ damage


def test_every_flipped_byte_of_the_header_is_refused(saved: Path) -> None:
    header = saved / "graph.json"
    good = header.read_bytes()
    for place in range(len(good)):
        header.write_bytes(good[:place] + bytes([good[place] ^ (1 << place % 8)]) + good[place + 1 :])
        with pytest.raises(GraphkitError):
            KnowledgeGraph.open(saved)
    header.write_bytes(good)
    KnowledgeGraph.open(saved)


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_byte_of_a_file_is_refused_with_verify(saved: Path, name: str) -> None:
    path = saved / name
    good = path.read_bytes()
    assert good
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        with pytest.raises(GraphkitError) as error:
            KnowledgeGraph.open(saved, verify=True)
        assert str(error.value) == damaged(path, "its checksum differs from the one in graph.json")


def test_a_small_store_is_verified_when_nothing_is_said(saved: Path) -> None:
    path = saved / "targets.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.open(saved)
    assert str(error.value) == damaged(path, "its checksum differs from the one in graph.json")


def test_a_large_store_is_verified_only_on_request(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "VERIFY_UP_TO_BYTES", 100)
    path = saved / "valid.bin"
    path.write_bytes(bytes(len(path.read_bytes())))
    assert KnowledgeGraph.open(saved).triples("valid").tolist() == [[0, 0, 0]]
    with pytest.raises(GraphkitError, match=r"valid\.bin is damaged"):
        KnowledgeGraph.open(saved, verify=True)


def test_consistent_checksums_of_an_impossible_index_are_refused(saved: Path) -> None:
    """A store that was written wrong, not damaged later: all checksums agree."""
    path = saved / "targets.bin"
    targets = np.fromfile(path, np.uint32)
    targets[0] = 77
    targets.tofile(path)
    header = json.loads((saved / "graph.json").read_text())
    del header["checksum"]
    header["files"]["targets"]["crc32"] = store.checksum(targets)
    header["checksum"] = store._seal(header)
    (saved / "graph.json").write_text(json.dumps(header))
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.open(saved)
    expected = "the index of the graph is damaged: an edge names an entity out of range; import or save the graph again"
    assert str(error.value) == expected


@pytest.mark.parametrize("verify", [None, True, False])
@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(saved: Path, name: str, verify: bool | None) -> None:
    (saved / name).unlink()
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.open(saved, verify=verify)
    assert str(error.value) == damaged(saved / name, "it is missing")


@pytest.mark.parametrize("kept", [0, 1, -1])
@pytest.mark.parametrize("verify", [None, True, False])
@pytest.mark.parametrize("name", ["entity_runs.bin", "targets.bin", "test.bin", "entities.arrow"])
def test_a_truncated_file_is_refused(saved: Path, name: str, verify: bool | None, kept: int) -> None:
    path = saved / name
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(GraphkitError, match=rf"^{path} is damaged: .*; restore it from a copy or import the graph"):
        KnowledgeGraph.open(saved, verify=verify)


def test_the_size_of_a_truncated_array_is_stated(saved: Path) -> None:
    path = saved / "targets.bin"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.open(saved, verify=False)
    assert str(error.value) == damaged(path, "it has 52 bytes instead of 56")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"null", b"\xff\xfe", b"{}"])
def test_a_header_that_is_none_is_refused(saved: Path, content: bytes) -> None:
    (saved / "graph.json").write_bytes(content)
    with pytest.raises(GraphkitError, match=rf"^{saved / 'graph.json'} is damaged: "):
        KnowledgeGraph.open(saved)


def test_a_newer_store_says_which_version_is_read(saved: Path) -> None:
    header = json.loads((saved / "graph.json").read_text())
    header["version"] = 2
    (saved / "graph.json").write_text(json.dumps(header))
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.open(saved)
    assert str(error.value) == (
        f"{saved / 'graph.json'} has version 2, and this graphkit reads up to 1; install a newer graphkit or import "
        "the graph again"
    )


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: None], ids=["folder", "file", "nothing"])
def test_what_is_no_store_is_refused(tmp_path: Path, make) -> None:
    make(tmp_path / "other")
    with pytest.raises(GraphkitError) as error:
        KnowledgeGraph.open(tmp_path / "other")
    expected = (
        f"{tmp_path / 'other'} is no graph store: it has no graph.json; make one with graphkit data import"
        if (tmp_path / "other").exists()
        else f"the graph store {tmp_path / 'other'} does not exist; if it has moved, say graph.path=FOLDER"
    )
    assert str(error.value) == expected


# ----------------------------------------------------------------------------------------------------------- writing


def test_an_existing_folder_is_refused_and_untouched(saved: Path) -> None:
    before = {name: (saved / name).read_bytes() for name in names_in(saved)}
    with pytest.raises(GraphkitError) as error:
        random_graph(3, 1, 4).save(saved)
    assert str(error.value) == f"{saved} exists already; choose another folder or say overwrite (--overwrite)"
    assert {name: (saved / name).read_bytes() for name in names_in(saved)} == before


def test_overwrite_replaces_the_whole_folder(saved: Path) -> None:
    (saved / "leftover").touch()
    graph = random_graph(3, 1, 4)
    graph.save(saved, overwrite=True)
    assert_same(KnowledgeGraph.open(saved), graph)
    assert names_in(saved) == sorted([*(f"{name}.bin" for name in ARRAYS), "graph.json"])
    assert names_in(saved.parent) == ["store"]


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """Lets the file `name` of the next store lie on a device that is full: the kernel itself says ENOSPC."""

    @contextmanager
    def prepared(goal: Path, *, overwrite: bool = False) -> Iterator[Path]:
        with new_folder(goal, overwrite=overwrite) as part:
            (part / name).symlink_to("/dev/full")
            yield part

    with monkeypatch.context() as patch:
        patch.setattr(store, "new_folder", prepared)
        yield


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
@pytest.mark.parametrize("edges", [20, 4000], ids=["smaller than a write buffer", "larger than a write buffer"])
@pytest.mark.parametrize("name", ["entity_runs.bin", "targets.bin", "test.bin", "graph.json"])
def test_a_full_disk_in_mid_save_leaves_the_old_store(
    saved: Path, six_nodes: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch, name: str, edges: int
) -> None:
    with full_disk(monkeypatch, name), pytest.raises(GraphkitError) as error:
        random_graph(3000, 2, edges, held_out=edges).save(saved, overwrite=True)
    assert str(error.value) == (
        f"{saved} was not written: the disk is full; what stood there before is untouched; free some space and try "
        "again"
    )
    assert names_in(saved.parent) == ["store"]
    assert_same(KnowledgeGraph.open(saved), six_nodes)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
@pytest.mark.parametrize("name", ["entities.arrow", "relations.arrow"])
def test_a_full_disk_while_labels_are_saved_leaves_no_store(
    six_nodes: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with full_disk(monkeypatch, name), pytest.raises(GraphkitError) as error:
        six_nodes.save(tmp_path / "store")
    assert str(error.value).startswith(f"{tmp_path / 'store'} was not written: the disk is full; ")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("limit", [4, 100, 5000])
def test_a_store_that_could_not_be_written_whole_is_never_there(tmp_path: Path, limit: int) -> None:
    """The process may write no file beyond `limit` bytes, so that writes end in the middle of an array."""
    graph = random_graph(500, 2, 2000, held_out=400)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(GraphkitError, match=rf"^{tmp_path / 'store'} was not written: "):
            graph.save(tmp_path / "store")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names_in(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(six_nodes: KnowledgeGraph, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    goal = tmp_path / "file" / "store"
    with pytest.raises(GraphkitError) as error:
        six_nodes.save(goal)
    assert (
        str(error.value) == f"{goal} was not written: Not a directory; choose another folder or change its permissions"
    )
