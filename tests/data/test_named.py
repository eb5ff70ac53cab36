"""Named data sets: the counts of the published files, and what is said when they are not there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import graphkit.data
from graphkit.data import DATASETS, load, names
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph

ROOT = os.environ.get("GRAPHKIT_DATA")
with_files = pytest.mark.skipif(not ROOT, reason="GRAPHKIT_DATA is not set: no published data sets at hand")


def error_of(name: str, root: Path | None = None) -> str:
    with pytest.raises(GraphkitError) as caught:
        load(name, root=root)
    return str(caught.value)


def counts(graph: KnowledgeGraph) -> tuple[int, ...]:
    held_out = len(graph.triples("valid")), len(graph.triples("test"))
    return graph.num_entities, graph.num_relations, len(graph.triples("train")), *held_out


@with_files
@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("fb15k237", (14_541, 237, 272_115, 17_535, 20_466)),
        ("wn18", (40_943, 18, 141_442, 5_000, 5_000)),
        ("wn18rr", (40_943, 11, 86_835, 3_034, 3_134)),
        ("nell995", (75_492, 200, 149_678, 543, 3_992)),
        ("codex_s", (2_034, 42, 32_888, 1_827, 1_828)),
        ("umls", (135, 46, 5_216, 652, 661)),
        ("kinships", (104, 25, 8_544, 1_068, 1_074)),
        ("nations", (14, 55, 1_592, 199, 201)),
        ("countries_s1", (271, 2, 1_111 - 1, 24, 24)),  # train repeats one line
        ("countries_s2", (271, 2, 1_063 - 1, 24, 24)),
        ("countries_s3", (271, 2, 985 - 1, 24, 24)),
        ("hs_gene_go", (155_492, 65, 712_191, 18_741, 18_741)),
    ],
)
def test_counts_are_the_published_ones(name: str, published: tuple[int, ...]) -> None:
    assert counts(load(name)) == published


@with_files
def test_labels_belong_to_their_ids() -> None:
    assert ROOT
    graph = load("hs_gene_go")
    with np.load(Path(ROOT) / "kg/hs-gene-go/core.npz") as arrays:
        head, relation, tail = arrays["triples"][arrays["split"] == 2][0].tolist()
    relations = (Path(ROOT) / "kg/hs-gene-go/relations.txt").read_text().split("\n")
    h, r, t = graph.triples("test")[0].tolist()
    assert (h, graph.relation_label(r), t) == (head, relations[relation], tail)
    nations = load("nations", root=Path(ROOT))
    spoken = {
        (nations.entity_label(h), nations.relation_label(r), nations.entity_label(t))
        for h, r, t in nations.triples("train").tolist()
    }
    assert ("netherlands", "militaryalliance", "uk") in spoken


def test_every_set_has_a_name_and_geography_is_one() -> None:
    assert names() == (*DATASETS, "geography")
    assert all(dataset.name == name for name, dataset in DATASETS.items())


def test_unset_variable_is_named_with_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHKIT_DATA", raising=False)
    assert error_of("wn18rr") == (
        "the data set wn18rr needs the environment variable GRAPHKIT_DATA, which is not set; set it to a "
        "folder that holds kg/WN18RR/{train.txt.gz,valid.txt.gz,test.txt.gz}"
    )


def test_missing_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kg/hs-gene-go"
    folder.mkdir(parents=True)
    (folder / "relations.txt").touch()
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    assert error_of("hs_gene_go") == (
        f"the data set hs_gene_go lacks core.npz, entities.txt.gz in {folder}; put "
        f"kg/hs-gene-go/{{core.npz,entities.txt.gz,relations.txt}} below {tmp_path}, or set GRAPHKIT_DATA "
        "to the folder that holds them"
    )


def test_other_triples_under_a_published_name_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kg/nations"
    folder.mkdir(parents=True)
    for part in ("train", "valid", "test"):
        (folder / f"{part}.txt.gz").write_text("a\tr\tb\nb\tr\ta\n")
    assert error_of("nations", tmp_path) == (
        f"{folder} is not the published nations: entities, relations, train, valid and test triples are "
        "2 / 1 / 2 / 2 / 2 instead of 14 / 55 / 1592 / 199 / 201; put the published files there, or import "
        "these with graphkit data import"
    )


def test_unknown_name_is_answered_with_the_nearest_and_all() -> None:
    everything = ", ".join(names())
    assert error_of("wn18r") == (
        f"there is no data set named 'wn18r'; the nearest are wn18rr, wn18, and all are {everything}"
    )
    assert error_of("zzzz") == f"there is no data set named 'zzzz'; there are {everything}"


def test_built_in_set_keeps_both_directions_of_a_border_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(i, j) for i in range(12) for j in range(i)]
    borders = [(f"c{i}", "borders", f"c{j}") for i, j in pairs]
    both = borders + [(t, r, h) for h, r, t in borders]
    fake = ModuleType("graphkit.data.geography")
    fake.triples = lambda: both + [(f"c{i}", "in_region", "Earth") for i in range(12)]  # type: ignore[attr-defined]
    fake.symmetric_relations = frozenset({"borders"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setattr(graphkit.data, "geography", fake, raising=False)
    graph = load("geography")
    assert counts(graph)[:2] == (13, 2)
    assert sum(counts(graph)[2:]) == len(both) + 12
    assert graph.entities is not None
    assert graph.entities.labels.to_pylist()[:2] == ["c1", "c0"]
    borders_id = 0
    for split in ("train", "valid", "test"):
        rows = graph.triples(split)
        assert len(rows)
        ends = {(h, t) for h, r, t in rows.tolist() if r == borders_id}
        assert {(t, h) for h, t in ends} == ends


def test_geography_needs_no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHKIT_DATA", raising=False)
    graph = load("geography")
    train = graph.triples("train")
    assert set(train[:, [0, 2]].flat) == set(range(graph.num_entities))
    assert set(train[:, 1]) == set(range(graph.num_relations))
    assert len(graph.triples("valid")) > 0
    assert len(graph.triples("test")) > 0
    assert load("geography").fingerprint == graph.fingerprint
