"""From text files to a store on disk, with the report of what was found."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from graphkit.data import ImportReport, import_triples
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph, Split

FRANCE = "France\tborders\tSpain\n"
SPAIN = "Spain\tborders\tFrance\n"
PORTUGAL = "Spain\tborders\tPortugal\n"


def labelled(graph: KnowledgeGraph, split: Split) -> set[tuple[str, str, str]]:
    return {
        (graph.entity_label(h), graph.relation_label(r), graph.entity_label(t))
        for h, r, t in graph.triples(split).tolist()
    }


def write(folder: Path, **contents: str) -> dict[str, Path]:
    paths = {}
    for name, content in contents.items():
        paths[name] = folder / f"{name}.tsv"
        paths[name].write_text(content, encoding="utf-8")
    return paths


def ring(size: int) -> str:
    return "".join(f"n{i}\tstep{k}\tn{(i + k) % size}\n" for i in range(size) for k in range(1, 6))


def test_given_splits_are_kept(tmp_path: Path) -> None:
    files = write(tmp_path, train=FRANCE + PORTUGAL, valid="France\tcapital\tParis\n", test=FRANCE)
    report = import_triples(files["train"], tmp_path / "kg", valid=files["valid"], test=files["test"])
    graph = KnowledgeGraph.open(tmp_path / "kg")
    assert labelled(graph, "train") == {("France", "borders", "Spain"), ("Spain", "borders", "Portugal")}
    assert labelled(graph, "valid") == {("France", "capital", "Paris")}
    assert labelled(graph, "test") == {("France", "borders", "Spain")}
    assert (report.valid.unseen, report.valid.leaked) == (1, 0)
    assert (report.test.unseen, report.test.leaked) == (0, 1)
    assert report.lines()[3:] == [
        "read 4 triples",
        "4 entities, 2 relations",
        "2 train, 1 valid, 1 test triples (as given)",
        "warning: 1 valid triples name an entity or a relation that train does not have",
        "warning: 1 test triples stand in train too",
        f"saved in {tmp_path / 'kg'}",
    ]


def test_one_held_out_file_is_enough(tmp_path: Path) -> None:
    files = write(tmp_path, train=FRANCE + SPAIN, test=SPAIN)
    report = import_triples(files["train"], tmp_path / "kg", test=files["test"])
    assert (report.train.triples, report.valid.triples, report.test.triples) == (2, 0, 1)
    assert report.split_seed is None


def test_entities_unseen_as_tail_or_by_relation_are_counted(tmp_path: Path) -> None:
    test = "France\tborders\tMoon\nMoon\tborders\tFrance\nFrance\teats\tSpain\nSpain\tborders\tSpain\n"
    files = write(tmp_path, train=FRANCE, test=test)
    assert import_triples(files["train"], tmp_path / "kg", test=files["test"]).test.unseen == 3


def test_without_splits_one_is_made(tmp_path: Path) -> None:
    files = write(tmp_path, all=ring(40))
    report = import_triples(files["all"], tmp_path / "kg")
    graph = KnowledgeGraph.open(tmp_path / "kg")
    everything = [labelled(graph, split) for split in ("train", "valid", "test")]
    assert [len(part) for part in everything] == [160, 20, 20]
    assert set.union(*everything) == {tuple(line.split("\t")) for line in ring(40).splitlines()}
    assert {label for h, _, t in everything[0] for label in (h, t)} == {f"n{i}" for i in range(40)}
    assert (report.valid.unseen, report.valid.leaked, report.test.unseen, report.test.leaked) == (0, 0, 0, 0)
    assert "160 train, 20 valid, 20 test triples (split with seed 0)" in report.lines()


def test_split_and_seed_are_options(tmp_path: Path) -> None:
    files = write(tmp_path, all=ring(40))

    def imported(name: str, **options: object) -> tuple[ImportReport, KnowledgeGraph]:
        report = import_triples(files["all"], tmp_path / name, **options)  # type: ignore[arg-type]
        return report, KnowledgeGraph.open(tmp_path / name)

    first, again, other = (imported(name, seed=seed)[1] for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    report, _ = imported("d", split=(0.5, 0.25, 0.25))
    assert (report.train.triples, report.valid.triples, report.test.triples) == (100, 50, 50)


def test_repeated_lines_are_counted_and_never_straddle_splits(tmp_path: Path) -> None:
    files = write(tmp_path, all=ring(40) + ring(40))
    report = import_triples(files["all"], tmp_path / "kg")
    assert (report.read, report.duplicates) == (400, 200)
    assert (report.valid.leaked, report.test.leaked) == (0, 0)
    assert "read 400 triples, 200 of them repeated and dropped" in report.lines()


def test_repeated_lines_of_given_splits_are_counted(tmp_path: Path) -> None:
    files = write(tmp_path, train=FRANCE * 3 + SPAIN, valid=SPAIN * 2)
    report = import_triples(files["train"], tmp_path / "kg", valid=files["valid"])
    assert (report.read, report.duplicates) == (6, 3)
    assert len(KnowledgeGraph.open(tmp_path / "kg").triples("valid")) == 1


def test_layout_options_reach_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"who,what,weight,whom\nFrance,borders,1,Spain\n"))
    report = import_triples(path, tmp_path / "kg", delimiter="comma", header=True, columns="hr-t")
    assert labelled(KnowledgeGraph.open(tmp_path / "kg"), "train") == {("France", "borders", "Spain")}
    assert report.lines()[0] == f"{path}: delimiter comma, a header, columns hr-t"


def test_existing_store_is_replaced_only_on_demand(tmp_path: Path) -> None:
    files = write(tmp_path, one=FRANCE, two=SPAIN)
    out = tmp_path / "kg"
    import_triples(files["one"], out)
    with pytest.raises(GraphkitError) as caught:
        import_triples(files["two"], out)
    assert str(caught.value) == (f"{out} exists already; choose another folder or say overwrite (--overwrite)")
    assert labelled(KnowledgeGraph.open(out), "train") == {("France", "borders", "Spain")}
    import_triples(files["two"], out, overwrite=True)
    assert labelled(KnowledgeGraph.open(out), "train") == {("Spain", "borders", "France")}


def test_overwrite_spares_folders_that_are_no_stores(tmp_path: Path) -> None:
    files = write(tmp_path, one=FRANCE)
    with pytest.raises(GraphkitError) as caught:
        import_triples(files["one"], tmp_path, overwrite=True)
    assert str(caught.value) == (
        f"{tmp_path} is no graph store (it has no graph.json), so it is not replaced; choose another"
    )
    assert files["one"].exists()


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    files = write(tmp_path, train=FRANCE, test=FRANCE + "France\tborders\n")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(GraphkitError, match=r"test\.tsv, line 2: 2 columns"):
        import_triples(files["train"], tmp_path / "kg", test=files["test"])
    with pytest.raises(GraphkitError, match="the split is"):
        import_triples(files["train"], tmp_path / "kg", split=(0.9, 0.9, 0.9))
    assert sorted(tmp_path.iterdir()) == before


def test_missing_held_out_file_shows_before_anything_is_read(tmp_path: Path) -> None:
    files = write(tmp_path, train="not a triple\n")
    with pytest.raises(GraphkitError, match=r"there is no file .*valid\.tsv"):
        import_triples(files["train"], tmp_path / "kg", valid=tmp_path / "valid.tsv")


def test_a_first_line_that_may_be_a_header_is_pointed_out(tmp_path: Path) -> None:
    source = tmp_path / "films.csv"
    source.write_text("film,property,value\n" + "".join(f"f{i},year,{1990 + i}\nf{i},genre,drama\n" for i in range(9)))
    lines = import_triples([source], tmp_path / "graph").lines()
    assert (
        "warning: the first line was read as a triple (film, property, value), and its relation occurs nowhere else; "
        "if it is a header, import again with --header"
    ) in lines
    told = import_triples([source], tmp_path / "told", header=True).lines()
    assert not any("first line" in line for line in told)
