"""The streamed build of a store against the build in memory: the same bytes, whatever the graph and the piece size."""

from __future__ import annotations

import errno
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import RawGraph, as_array, raw_graphs

from graphkit import GraphkitError, KnowledgeGraph, _native
from graphkit.graph import StoreBuilder, building, edge_index

LARGE = 2**22


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def built(triples: np.ndarray, entities: int, relations: int, *, piece_edges: int = LARGE, blocks: int = 1) -> dict:
    """The store of a streamed build, by file."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        with StoreBuilder(store, entities, relations, threads=2, piece_edges=piece_edges) as builder:
            for block in np.array_split(triples, blocks):
                builder.add(block)
            builder.finish()
        assert [path.name for path in Path(folder).iterdir()] == ["store"]
        return contents(store)


def saved(triples: np.ndarray, entities: int, relations: int) -> dict:
    """The store of a build in memory, by file."""
    with tempfile.TemporaryDirectory() as folder:
        graph = KnowledgeGraph.from_triples(triples, num_entities=entities, num_relations=relations)
        graph.save(Path(folder) / "store")
        return contents(Path(folder) / "store")


def hub_graph(entities: int, relations: int, edges: int) -> np.ndarray:
    """A tenth of the edges at entity 0, among them one edge a hundred times; the last third of entities have none."""
    random = np.random.default_rng(0)
    rows = random.integers(0, [2 * entities // 3, relations, 2 * entities // 3], (edges, 3))
    rows[: edges // 10, 0] = 0
    rows[-100:] = rows[0]
    return random.permutation(rows)


# -------------------------------------------------------------------------------------------------- the same store


@given(raw_graphs(), st.sampled_from([1, 2, 3, 7, LARGE]), st.integers(1, 4))
def test_a_streamed_build_is_the_build_in_memory(raw: RawGraph, piece_edges: int, blocks: int) -> None:
    triples = as_array(raw.train)
    streamed = built(triples, raw.entities, raw.relations, piece_edges=piece_edges, blocks=blocks)
    assert streamed == saved(triples, raw.entities, raw.relations)


@pytest.mark.parametrize("piece_edges", [50, 1000, LARGE])
@pytest.mark.parametrize("entities", [40, 3_000, 100_000])
def test_a_graph_with_hubs_is_the_same_in_pieces_of_any_size(entities: int, piece_edges: int) -> None:
    triples = hub_graph(entities, 30, 20_000)
    assert built(triples, entities, 30, piece_edges=piece_edges, blocks=7) == saved(triples, entities, 30)


@pytest.mark.parametrize("relations", [2**15, 2**15 + 1, 70_000])
def test_relations_take_the_narrowest_type_that_holds_both_directions(relations: int) -> None:
    triples = hub_graph(500, relations, 5_000)
    triples[0, 1] = relations - 1
    streamed = built(triples, 500, relations, piece_edges=300)
    assert streamed == saved(triples, 500, relations)
    assert (b'"uint16"' in streamed["graph.json"]) == (relations <= 2**15)


@pytest.mark.parametrize("piece_edges", [100, LARGE])
def test_keys_that_do_not_fit_64_bits_are_wider(piece_edges: int) -> None:
    """2**21 entities and 2**31 - 1 relations take 11 + 32 + 21 = 64 bits, one more entity 12 + 32 + 22."""
    for entities in (2**21, 2**21 + 1):
        relations = 2**31 - 1
        triples = hub_graph(entities, relations, 3_000)
        triples[0] = entities - 1, relations - 1, entities - 1
        assert built(triples, entities, relations, piece_edges=piece_edges) == saved(triples, entities, relations)


@pytest.mark.parametrize("edges", [49, 50])
def test_offsets_widen_with_the_directed_edges(monkeypatch: pytest.MonkeyPatch, edges: int) -> None:
    monkeypatch.setattr(edge_index, "NARROW_OFFSETS_BELOW", 100)
    triples = hub_graph(150, 2, 200)[:edges]
    streamed = built(triples, 150, 2, piece_edges=8)
    assert streamed == saved(triples, 150, 2)
    assert (b'"uint64"' in streamed["graph.json"]) == (edges == 50)


def test_long_stretches_of_empty_entities_are_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building._IndexFiles, "_FILL", 3)
    triples = as_array([(17, 0, 40), (40, 0, 17)])
    assert built(triples, 60, 1) == saved(triples, 60, 1)


def test_counts_are_returned(tmp_path: Path) -> None:
    with StoreBuilder(tmp_path / "store", 3, 2, piece_edges=1) as builder:
        builder.add([(0, 1, 2), (0, 1, 2)])
        builder.add([(2, 1, 0), (0, 1, 2), (1, 0, 1)])
        assert builder.finish() == {"num_entities": 3, "num_relations": 2, "num_edges": 3, "duplicates": 2}
    graph = KnowledgeGraph.open(tmp_path / "store")
    assert graph.triples().tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]


def test_progress_counts_the_pieces(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with StoreBuilder(tmp_path / "store", 4, 1) as builder:
        builder.add([(0, 0, 1), (2, 0, 3)])
        builder.finish(lambda done, pieces: seen.append((done, pieces)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]  # few entities have a bucket each


# ---------------------------------------------------------------------------------------------------------- errors


def test_a_bad_id_is_named_with_its_row_in_the_stream(tmp_path: Path) -> None:
    with StoreBuilder(tmp_path / "store", 3, 2) as builder:
        builder.add([(0, 0, 1)] * 10)
        with pytest.raises(GraphkitError) as error:
            builder.add([(0, 0, 1), (0, 2, 1)])
        assert str(error.value) == (
            "the train triple 11 is (0, 2, 1), outside 0 to 2 for entities and 0 to 1 for relations; give num_entities "
            "and num_relations that cover all ids, or number the ids from 0"
        )
        assert builder.finish()["duplicates"] == 9  # nothing of the bad block was taken


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0)])
def test_sizes_without_a_triple_are_refused(tmp_path: Path, sizes: tuple[int, int]) -> None:
    with pytest.raises(GraphkitError) as error:
        StoreBuilder(tmp_path / "store", *sizes)
    assert str(error.value) == (
        f"a graph of {sizes[0]} entities and {sizes[1]} relations has no triples; give at least one of each"
    )


def test_sizes_beyond_the_store_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphkitError, match=r"^a graph of 4294967296 entities and 1 relations is beyond the store's"):
        StoreBuilder(tmp_path / "store", 2**32, 1)


def test_a_store_of_nothing_is_refused(tmp_path: Path) -> None:
    with StoreBuilder(tmp_path / "store", 3, 2) as builder, pytest.raises(GraphkitError) as error:
        builder.finish()
    assert str(error.value) == f"{tmp_path / 'store'} was given no triples; add some before it is finished"
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with pytest.raises(GraphkitError) as error:
        StoreBuilder(tmp_path / "store", 3, 2)
    assert str(error.value) == (
        f"{tmp_path / 'store'} exists already; choose another folder or say overwrite (--overwrite)"
    )


def test_overwrite_replaces_a_store(tmp_path: Path) -> None:
    for rows in ([(0, 0, 1)], [(1, 0, 1)]):
        with StoreBuilder(tmp_path / "store", 2, 1, overwrite=True) as builder:
            builder.add(rows)
            builder.finish()
    assert KnowledgeGraph.open(tmp_path / "store").triples().tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("end", [StoreBuilder.finish, StoreBuilder.close])
def test_a_builder_that_has_ended_takes_no_more(tmp_path: Path, end: Callable[[StoreBuilder], object]) -> None:
    builder = StoreBuilder(tmp_path / "store", 2, 1)
    builder.add([(0, 0, 1)])
    end(builder)
    for again in (lambda: builder.add([(0, 0, 1)]), builder.finish):
        with pytest.raises(GraphkitError) as error:
            again()
        assert str(error.value) == f"the builder of {tmp_path / 'store'} is closed; begin a new one"


def test_every_thread_that_adds_is_told_of_the_full_disk_that_one_of_them_met(tmp_path: Path) -> None:
    class Full:
        def add(self, rows: object) -> None:
            raise OSError(errno.ENOSPC, "no space")

    builder = StoreBuilder(tmp_path / "store", 2, 1)
    builder._sorter = Full()
    told = set()
    for _ in range(2):
        with pytest.raises(GraphkitError) as error:
            builder.add([(0, 0, 1)])
        told.add(str(error.value))
    assert told == {
        f"{tmp_path / 'store'} was not written: the disk is full; what stood there before is untouched; free some "
        "space and try again"
    }


def test_what_is_no_store_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("all of it")
    graph = KnowledgeGraph.from_triples([(0, 0, 1)])
    makers = (
        lambda: StoreBuilder(tmp_path / "precious", 3, 2, overwrite=True),
        lambda: graph.save(tmp_path / "precious", overwrite=True),
    )
    for make in makers:
        with pytest.raises(GraphkitError) as error:
            make()
        assert str(error.value) == (
            f"{tmp_path / 'precious'} is no graph store (it has no graph.json), so it is not replaced; choose another"
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["precious", "thesis.txt"]


@pytest.mark.parametrize("sizes", [{"threads": 0}, {"threads": -1}, {"piece_edges": 0}])
def test_sizes_below_one_are_refused_before_any_work(tmp_path: Path, sizes: dict[str, int]) -> None:
    with pytest.raises(GraphkitError) as error:
        StoreBuilder(tmp_path / "store", 3, 2, **sizes)
    told = {"threads": None, "piece_edges": 2**22} | sizes
    assert str(error.value) == (
        f"the store is built with threads={told['threads']} and piece_edges={told['piece_edges']}, and at least 1 of "
        "each is needed"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_a_store_still_leads_to_one_after_it_was_replaced(tmp_path: Path) -> None:
    KnowledgeGraph.from_triples([(0, 0, 1)]).save(tmp_path / "store")
    (tmp_path / "link").symlink_to("store")
    KnowledgeGraph.from_triples([(1, 0, 0)]).save(tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert KnowledgeGraph.open(tmp_path / "store").triples().tolist() == [[1, 0, 0]]
    assert {path.name for path in tmp_path.iterdir()} == {"store", "link"}


def test_a_native_sorter_refuses_what_would_read_out_of_bounds() -> None:
    with tempfile.TemporaryFile() as file:
        sorter = _native.EdgeSorter(file.fileno(), num_entities=2, num_relations=1, piece_edges=9)
        sorter.add(as_array([(0, 0, 1)]))
        with pytest.raises(IndexError, match="there is no such piece"):
            sorter.piece(0)
        assert sorter.finish() == 2
        with pytest.raises(IndexError, match="there is no such piece"):
            sorter.piece(2)
        for call in (sorter.finish, lambda: sorter.add(as_array([(0, 0, 1)]))):
            with pytest.raises(ValueError, match="the sorter has finished"):
                call()
        with pytest.raises(ValueError, match="is out of range"):
            _native.EdgeSorter(file.fileno(), num_entities=0, num_relations=1, piece_edges=9)


@pytest.mark.parametrize(
    ("triples", "sentence"),
    [
        (
            np.zeros((2, 2), int),
            "the train triples have shape (2, 2), and (M, 3) with columns head, relation, tail is needed",
        ),
        (
            np.zeros((2, 3)),
            "the train triples hold 0.0 of type float; heads, relations and tails must all be integers or all be "
            "strings",
        ),
        ([("Ann", "likes", "Bob")], "the train triples hold labels such as 'Ann'; number them from 0 first"),
    ],
)
def test_what_is_no_block_of_ids_is_refused(tmp_path: Path, triples: object, sentence: str) -> None:
    with StoreBuilder(tmp_path / "store", 2, 1) as builder, pytest.raises(GraphkitError) as error:
        builder.add(triples)
    assert str(error.value) == sentence


# ------------------------------------------------------------------------------------------- nothing half-written


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The temporary file lies on a device that is full: the kernel itself says ENOSPC."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a device that is always full")
    with Path("/dev/full").open("w+b", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
        yield


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("rows", [10, 20_000], ids=["while finishing", "while adding"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, rows: int) -> None:
    with pytest.raises(GraphkitError) as error, StoreBuilder(tmp_path / "store", 3, 2) as builder:
        builder.add(np.ones((rows, 3), int))
        assert rows == 10
        builder.finish()
    assert str(error.value) == (
        f"{tmp_path / 'store'} was not written: the disk is full; what stood there before is untouched; free some "
        "space and try again"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [9_000, 70_000])
def test_a_store_that_could_not_be_written_whole_is_never_there(tmp_path: Path, limit: int) -> None:
    """The process may write no file beyond `limit` bytes: the temporary file, or an array, ends in the middle."""
    builder = StoreBuilder(tmp_path / "store", 20_000, 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(GraphkitError) as error, builder:
            builder.add(hub_graph(20_000, 2, 1_000))
            builder.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(error.value) == (
        f"{tmp_path / 'store'} was not written: File too large; choose another folder or change its permissions"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GraphkitError, match=rf"^{tmp_path / 'file' / 'store'} was not written: Not a dir"):
        StoreBuilder(tmp_path / "file" / "store", 3, 2)


def test_an_interrupt_in_mid_build_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, pieces: int) -> None:
        assert any(".store.part-" in path.name for path in tmp_path.iterdir())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), StoreBuilder(tmp_path / "store", 100, 2) as builder:
        builder.add(hub_graph(100, 2, 1_000))
        builder.finish(interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_build_leaves_no_temporary_file(tmp_path: Path) -> None:
    program = (
        "import sys, time, numpy as np\n"
        "from graphkit.graph import StoreBuilder\n"
        "builder = StoreBuilder(sys.argv[1], 9, 1)\n"
        "builder.add(np.zeros((100_000, 3), dtype=np.int64))\n"
        "print('added', flush=True)\n"
        "time.sleep(1000)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "store")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "added\n"
        process.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []
