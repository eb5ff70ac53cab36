"""Reports say what runs measured, need nothing beside them, and refuse what is no finished node run."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import write_files, write_node_run

from graphkit.cli.main import main
from graphkit.report.comparison import _PANELS
from graphkit.report.details import quoted, settings
from graphkit.report.runs import read_run

#: Runs `graphkit report` and returns its exit code, standard output and standard error.
Line = Callable[..., tuple[int, str, str]]


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["report", *map(str, words)])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def cells(page: str) -> list[list[str]]:
    """Returns the texts of the table's rows."""
    rows = re.findall(r"<tr.*?</tr>", page)
    return [[re.sub("<.*?>", " ", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_the_page_of_a_run_shows_its_figures_beside_no_training(line: Line) -> None:
    write_node_run(Path("run"))
    assert line("run") == (0, "run/report.html\n", "")
    page = Path("run/report.html").read_text(encoding="utf-8")
    # The partition took 0.5 s, and the two encoders, which share it, 8 s.
    assert cells(page) == [
        ["", "accuracy", "seconds", "MiB"],
        ["no training, X", "0.5804", "–", "–"],
        ["no training, ÂX", "0.7667", "–", "–"],
        ["no training, Â²X", "0.8050", "–", "–"],
        ["no training, Â³X", "0.8099", "–", "–"],
        ["SCE, compressed, 24 clusters", "0.8147 ± 0.0094", "4.5", "600"],
    ]
    assert "<h1>SCE on cora</h1>" in page
    assert "240 nodes; trained on 24 clusters (0.1 of the nodes); 2 encoders, probed on 50 splits." in page
    assert "<dt>partition</dt><dd>metis, 24 clusters (0.1 of the nodes), 21.0% of edges cut, the largest" in page
    assert "graphkit train experiment=structcomp_cora_sce run_dir='my run'" in page
    assert page.count("<svg") == 3 + 4  # bars, loss, embeddings; and the keys of four classes


def test_the_page_needs_nothing_beside_it(line: Line) -> None:
    write_node_run(Path("run"))
    line("run")
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe|object)|https?:|url\(|@import|src=", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_several_runs_are_compared_by_compression_ratio(line: Line) -> None:
    for clusters in (12, 24, 48):
        write_node_run(Path(f"c{clusters}"), clusters=clusters, seconds=clusters / 4, peak=500 + clusters)
    write_node_run(Path("full"), clusters=None, seconds=90.0, peak=2000.0)
    assert line("c12", "c48", "c24", "full", "--out", "all.html") == (0, "all.html\n", "")
    page = Path("all.html").read_text(encoding="utf-8")
    assert [row[0] for row in cells(page)[5:]] == [
        "SCE, full graph full",
        "SCE, compressed, 12 clusters c12",
        "SCE, compressed, 24 clusters c24",
        "SCE, compressed, 48 clusters c48",
    ]
    panels = page[page.index("Against the compression ratio") :].split("</figure>")[: len(_PANELS)]
    for panel in panels:
        (drawn,) = re.findall(r'<path class="line c0" d="M([^"]*)"', panel)
        points = [tuple(map(float, point.split())) for point in drawn.split("L")]
        assert len(points) == 3
        assert [x for x, _ in points] == sorted(x for x, _ in points)
        assert panel.count('class="level c0"') == 1  # the full graph
    accuracy, seconds, memory = (panel.count('class="level plain"') for panel in panels)
    assert (accuracy, seconds, memory) == (1, 0, 0)  # the best of no training
    assert "no training, Â³X</li>" in page


def test_runs_on_several_graphs_have_rows_without_training_each(line: Line) -> None:
    write_node_run(Path("one"), graph="cora")
    write_node_run(Path("two"), graph="actor", classes=None)
    assert line("one", "two", "--out", "both.html")[0] == 0
    rows = [row[0] for row in cells(Path("both.html").read_text(encoding="utf-8"))]
    assert [rows.index("actor"), rows.index("cora"), rows.count("no training, X")] == [1, 7, 2]


def test_runs_on_full_graphs_alone_have_no_ratio(line: Line) -> None:
    write_node_run(Path("one"), clusters=None)
    write_node_run(Path("two"), clusters=None, loss="GRACE")
    assert line("one", "two", "--out", "both.html")[0] == 0
    page = Path("both.html").read_text(encoding="utf-8")
    assert "<h1>GRACE, SCE on cora</h1>" in page
    assert "Against the compression ratio" not in page


def test_one_ratio_alone_makes_no_picture(line: Line) -> None:
    write_node_run(Path("sce"), clusters=24)
    write_node_run(Path("grace"), clusters=24, loss="GRACE")
    write_node_run(Path("full"), clusters=None)
    assert line("sce", "grace", "full", "--out", "all.html")[0] == 0
    assert "Against the compression ratio" not in Path("all.html").read_text(encoding="utf-8")


def test_a_partition_of_fewer_clusters_says_how_many_were_asked_for(tmp_path: Path) -> None:
    run = read_run(write_node_run(tmp_path / "run", clusters=24))
    assert "asked" not in dict(settings(run))["partition"]
    run.metrics["partition"]["asked"] = 1083
    assert dict(settings(run))["partition"].startswith("metis, 24 clusters (0.1 of the nodes), 1,083 were asked for, ")


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("task.clusters=300", "task.clusters=300"),
        ("run_dir=my run", "run_dir='my run'"),
        ("allow_targets=[mine.]", "allow_targets='[mine.]'"),
        ("run_dir='my (first) run'", "run_dir=\"'my (first) run'\""),
        ("a b=c", "'a b=c'"),
        ("name=it's $HOME", "name='it'\"'\"'s $HOME'"),
    ],
)
def test_commands_are_quoted_about_values(word: str, shown: str) -> None:
    assert quoted(word) == shown
    assert shlex.split(quoted(word)) == [word]


def test_names_of_users_are_texts(line: Line) -> None:
    hostile = "<script>alert(1)</script>"
    write_node_run(Path("a & b"), graph=hostile, classes=[hostile, '"quoted"'])
    assert line("a & b")[0] == 0
    page = Path("a & b/report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<h1>SCE on &lt;script&gt;alert(1)&lt;/script&gt;</h1>" in page


def test_each_encoder_has_its_curve(tmp_path: Path) -> None:
    run = read_run(write_node_run(tmp_path / "run", encoders=3, epochs=4))
    entries = [json.loads(text) for text in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    losses = [entry["train/loss"] for entry in entries]
    assert run.loss_curves() == [list(zip(range(1, 5), losses[i : i + 4], strict=True)) for i in (0, 4, 8)]


def test_a_run_without_labels_has_no_accuracies(line: Line) -> None:
    write_node_run(Path("run"), classes=None, probed=False)
    write_node_run(Path("other"), classes=None, probed=False, clusters=12)
    assert line("run")[0] == line("run", "other", "--out", "both.html")[0] == 0
    page = Path("run/report.html").read_text(encoding="utf-8")
    assert cells(page)[1:] == [["SCE, compressed, 24 clusters", "–", "4.5", "600"]]
    assert "2 encoders, not probed: its labels are not known." in page
    assert page.count("<svg") == 2  # loss and embeddings
    assert Path("both.html").read_text(encoding="utf-8").count("clusters / nodes") == 2  # seconds and memory


# ---- errors


def test_an_existing_page_is_replaced_on_demand_alone(line: Line) -> None:
    write_node_run(Path("run"))
    Path("mine.html").write_text("mine")
    assert line("run", "--out", "mine.html") == (
        2,
        "",
        "graphkit: mine.html exists already; say --out with another file, or --overwrite\n",
    )
    assert Path("mine.html").read_text() == "mine"
    assert line("run", "--out", "mine.html", "--overwrite")[0] == 0
    assert Path("mine.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["nowhere"],
            "nowhere is no run folder: it does not exist; name the run_dir of an earlier graphkit train",
        ),
        (["."], ". is no run folder: it has no config.yaml; name the run_dir of an earlier graphkit train"),
        (["run", "run/"], "the run run is named more than once; name each run once"),
        (["run", "other"], "a report of 2 runs belongs to no one's folder; say --out FILE.html"),
        (["run", "--out", "other"], "other is a folder, and a report is a file; say --out other/report.html"),
        (
            ["run", "--out", "no/such/file.html"],
            "no/such/file.html was not written: No such file or directory; choose another folder or change its "
            "permissions",
        ),
    ],
)
def test_wrong_lines_end_with_a_sentence(line: Line, words: list[str], sentence: str) -> None:
    write_node_run(Path("run"), nodes=20)
    write_node_run(Path("other"), nodes=20)
    assert line(*words) == (2, "", f"graphkit: {sentence}\n")
    assert not list(Path().rglob("*.html"))


def test_a_run_that_has_not_finished_is_refused(line: Line) -> None:
    (write_node_run(Path("my run"), nodes=20) / "metrics.json").unlink()
    assert line("my run") == (
        2,
        "",
        "graphkit: the run my run has not finished: it has no metrics.json; finish it with graphkit train "
        "resume='my run'\n",
    )


def test_a_run_of_the_library_without_settings_is_refused(line: Line) -> None:
    Path("run").mkdir()
    write_files(Path("run"), {}, {"partition": {}, "train": {}})
    assert line("run") == (
        2,
        "",
        "graphkit: the run run was made by the library without a configuration, and a report compares settings; train "
        "it with graphkit train experiment=structcomp, or read its metrics.json\n",
    )


def test_a_run_on_a_knowledge_graph_is_refused(line: Line) -> None:
    Path("run").mkdir()
    write_files(Path("run"), {"task": {"_target_": "graphkit.training.LinkTask"}}, {"test": {}, "train": {}})
    assert line("run") == (
        2,
        "",
        "graphkit: the run run is of the task LinkTask, and a report knows node runs alone (task=contrastive); "
        "graphkit evaluate run measures this one\n",
    )


@pytest.mark.parametrize("name", ["metrics.json", "embeddings.parquet", "environment.json"])
def test_a_damaged_run_is_refused(line: Line, name: str) -> None:
    run = write_node_run(Path("run"), nodes=20)
    (run / name).write_text("{")
    sentence = f"{run / name} is missing or damaged; restore it from a copy, or train again with another run_dir"
    assert line("run") == (2, "", f"graphkit: {sentence}\n")
