"""Published query sets: native execution gives their answers, all of them, and damaged files are refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from graphkit import GraphkitError
from graphkit.data import QUERY_SETS, load_queries
from graphkit.graph import SPLITS
from graphkit.queries import STRUCTURES, AnswerSets, easy_and_hard

#: Entities, raw relations, triples of train, valid and test.
SIZES = {
    "query2box_fb15k237": (14_505, 237, 272_115, 17_526, 20_438),
    "query2box_nell995": (63_361, 200, 114_213, 14_324, 14_267),
    "betae_nell995": (63_361, 200, 114_213, 14_324, 14_267),
}
#: A split's queries of 1p, of every other structure, and structures.
QUERIES = {
    "query2box_fb15k237": {"valid": (20_101, 5_000, 9), "test": (22_812, 5_000, 9)},
    "query2box_nell995": {"valid": (16_927, 4_000, 9), "test": (17_034, 4_000, 9)},
    "betae_nell995": {"test": (17_021, 4_000, 14)},
}


def equal(some: AnswerSets, other: AnswerSets) -> bool:
    return np.array_equal(some.values, other.values) and np.array_equal(some.offsets, other.offsets)


@pytest.mark.parametrize("name", QUERY_SETS)
def test_execution_reproduces_every_published_answer_set(name: str, graphkit_data: Path) -> None:
    """All 289,895 queries of the five files: 26,368,581 answers, in some 12 s on one core."""
    published = load_queries(name, root=graphkit_data)
    graph = published.graph
    triples = (len(graph.triples(split)) for split in SPLITS)
    assert (graph.num_entities, graph.num_relations, *triples) == SIZES[name]
    assert set(published.splits) == set(QUERIES[name])
    for split in published.splits:
        tables = published.tables(split)
        one_hop, others, structures = QUERIES[name][split]
        assert [len(table.rows) for table in tables.values()] == [one_hop] + [others] * (structures - 1)
        known, full = {"valid": (SPLITS[:1], SPLITS[:2]), "test": (SPLITS[:2], SPLITS)}[split]
        for table in tables.values():
            executed = easy_and_hard(table.structure, table.rows, graph, known=known, full=full)
            assert equal(executed.easy, table.answers.easy), (split, table.structure.name)
            assert equal(executed.hard, table.answers.hard), (split, table.structure.name)


def test_labels_are_those_of_raw_relations(graphkit_data: Path) -> None:
    graph = load_queries("query2box_nell995", root=graphkit_data).graph
    assert graph.relation_label(0) == "concept:teamplaysagainstteam"
    assert graph.relation_label(1) == "concept:latitudelongitude"


# ------------------------------------------------------------------------------------------------------- small files


def write(
    root: Path, *, graph: dict[str, object] | None = None, test: dict[str, object] | None = None, relations: str = ""
) -> Path:
    """A made-up set of three entities and one relation, below the folders of betae_nell995."""
    for folder in ("queries/betae-NELL", "queries/query2box-NELL"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    edges: dict[str, object] = {
        "train": [[0, 0, 1], [1, 1, 0]],
        "valid": [[1, 0, 2], [2, 1, 1]],
        "test": [[0, 0, 2], [2, 1, 0]],
    }
    queries: dict[str, object] = {
        "1p/query": [[0, 0], [2, 1]],
        "1p/easy": [1, 1],
        "1p/easy_ptr": [0, 1, 2],
        "1p/hard": [2, 0],
        "1p/hard_ptr": [0, 1, 2],
    }
    shared = root / "queries/query2box-NELL"
    with gzip.open(shared / "entities.txt.gz", "wt") as file:
        file.write("a\nb\nc\n")
    with gzip.open(shared / "relations.txt.gz", "wt") as file:
        file.write(relations or "r\nr_reverse\n")
    save(shared / "graph.npz", edges | (graph or {}))
    save(root / "queries/betae-NELL/test.npz", queries | (test or {}))
    return root


def save(path: Path, arrays: dict[str, object]) -> None:
    np.savez(path, **{name: np.array(rows, dtype=np.int32) for name, rows in arrays.items() if rows is not None})  # type: ignore[arg-type]


def complaint(root: Path) -> str:
    with pytest.raises(GraphkitError) as error:
        load_queries("betae_nell995", root=root).tables("test")
    return str(error.value).replace(f"{root}/queries/", "")


def test_a_small_set_is_read_and_reproduced(tmp_path: Path) -> None:
    published = load_queries("betae_nell995", root=write(tmp_path))
    (table,) = published.tables("test").values()
    assert table.structure == STRUCTURES["1p"] and table.rows.dtype == np.int64
    executed = easy_and_hard(table.structure, table.rows, published.graph)
    assert equal(executed.easy, table.answers.easy) and equal(executed.hard, table.answers.hard)
    assert published.graph.relations is not None and len(published.graph.relations) == 1


def test_answers_in_any_order_come_ascending(tmp_path: Path) -> None:
    test = {"1p/easy": [2, 1, 0], "1p/easy_ptr": [0, 2, 3]}
    table = load_queries("betae_nell995", root=write(tmp_path, test=test)).tables()["1p"]
    assert [table.answers.easy[i].tolist() for i in (0, 1)] == [[1, 2], [0]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"graph": {"valid": [[1, 0, 2], [2, 1, 0]]}},
            "query2box-NELL/graph.npz is no file of a published query set: its valid edges of odd relations are not "
            "the inverses of those of even ones; put the published file there",
        ),
        (
            {"graph": {"test": None}},
            "query2box-NELL/graph.npz is no file of a published query set: it lacks the test triples; put the "
            "published file there",
        ),
        (
            {"relations": "r\ns\n"},
            "query2box-NELL/relations.txt.gz is no file of a published query set: label 2k+1 is not label 2k with "
            "_reverse; put the published file there",
        ),
        (
            {"test": {"9p/query": [[0, 0]]}},
            "betae-NELL/test.npz is no file of a published query set: it has the unknown structure '9p'; put the "
            "published file there",
        ),
        (
            {"test": {"1p/query": [[0, 0, 0]]}},
            "betae-NELL/test.npz is no file of a published query set: 1p/query has shape (1, 3) instead of (B, 2); put "
            "the published file there",
        ),
        (
            {"test": {"1p/query": [[0, 2], [0, 0]]}},
            "betae-NELL/test.npz is no file of a published query set: 1p/query has an id outside 0 to 1 in column 1 "
            "(relation); put the published file there",
        ),
        (
            {"test": {"1p/hard": [3, 0]}},
            "betae-NELL/test.npz is no file of a published query set: 1p/hard names an entity outside 0 to 2; put the "
            "published file there",
        ),
        (
            {"test": {"1p/easy_ptr": [0, 2, 1]}},
            "betae-NELL/test.npz is no file of a published query set: 1p/easy_ptr does not part 2 answers among 2 "
            "queries; put the published file there",
        ),
        (
            {"test": {"1p/easy": None}},
            "betae-NELL/test.npz is no file of a published query set: it lacks 1p/easy or 1p/easy_ptr; put the "
            "published file there",
        ),
    ],
)
def test_a_damaged_file_is_refused(change: dict[str, dict[str, object]], expected: str, tmp_path: Path) -> None:
    assert complaint(write(tmp_path, **change)) == expected  # type: ignore[arg-type]


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "queries/betae-NELL/test.npz"
    for content in (b"", b"PK\x03\x04 cut short", np.lib.format.MAGIC_PREFIX + b"\x80\x04K\x01."):
        path.write_bytes(content)
        assert complaint(tmp_path).startswith("betae-NELL/test.npz is no file of a published query set: it cannot be")
    np.save(path.with_suffix(".npy"), np.array([{}], dtype=object), allow_pickle=True)
    path.with_suffix(".npy").rename(path)
    assert "it cannot be read" in complaint(tmp_path)


def test_names_and_files_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GraphkitError) as error:
        load_queries("betae_nel995")
    assert str(error.value) == (
        "there is no query set named 'betae_nel995'; nearest: betae_nell995; query sets: query2box_fb15k237, "
        "query2box_nell995, betae_nell995"
    )
    monkeypatch.delenv("GRAPHKIT_DATA", raising=False)
    with pytest.raises(GraphkitError, match="needs the environment variable GRAPHKIT_DATA, which is not set"):
        load_queries("betae_nell995")
    assert complaint(tmp_path).startswith("the data set betae_nell995 lacks test.npz in betae-NELL; put ")
    with pytest.raises(GraphkitError) as error:
        load_queries("betae_nell995", root=write(tmp_path)).tables("valid")
    assert str(error.value) == "betae_nell995 has no valid queries; it has those of test"
