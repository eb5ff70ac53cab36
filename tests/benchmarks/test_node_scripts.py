"""The scripts that measure training on compressed nodes print what was promised, of runs that took place."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from graphkit.errors import GraphkitError

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
RUN_FIGURES = (
    "encoders",
    "splits",
    "clusters",
    "nodes",
    "seconds",
    "cpu_seconds",
    "partition_seconds",
    "peak_anon_mib",
)
MACHINE = {"measured": {}, "stored": {}, "comparable": False, "reason": "a test", "cores_used_by_others": 0.0}


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes the scripts importable; the machine is not measured."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import calibration

    monkeypatch.setattr(calibration, "calibrate", lambda: MACHINE)
    monkeypatch.setattr(calibration, "lines", lambda _: [])
    yield
    for path in SCRIPTS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the comparison would start take seconds to import; their work is done here."""
    import compressed_training
    import node_training

    monkeypatch.setattr(compressed_training, "alone", node_training.measure)


@pytest.mark.usefixtures("_in_this_process")
def test_the_comparison_prints_its_promised_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import compressed_training

    files = f"--out {tmp_path / 'result.json'} --picture {tmp_path / 'bars.svg'}"
    sizes = "--nodes 900 --edges 9000 --features 8 --noise 2 --clusters 90 --dim 16 --full-graph-nodes 300"
    words = f"{sizes} --losses coles,sce,grace --epochs 3 --compressed-epochs 4 --splits 2 --threads 1 --json {files}"
    monkeypatch.setattr(sys, "argv", ["compressed_training", *words.split()])
    assert compressed_training.main() == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((tmp_path / "result.json").read_text())
    assert (tmp_path / "bars.svg").exists()
    assert set(result) >= {"machine", "graph", "losses", "ratio_time", "ratio_memory", "accuracies"}
    assert (result["graph"]["nodes"], result["graph"]["edges"], result["graph"]["features"]) == (900, 9000, 8)
    assert list(result["losses"]) == ["coles", "sce", "grace"]
    assert result["pooled_hops"] == 1
    step = result["losses"]["grace"]["step_at_full_size"]
    assert step["measured"] and step["seconds"] > 0
    for loss, row in result["losses"].items():
        nodes = 300 if loss == "grace" else 900
        assert row["graph"]["nodes"] == nodes
        assert row["full_graph"]["partition"]["clusters"] == nodes
        assert row["compressed"]["partition"]["clusters"] == nodes / 10
        for form in ("full_graph", "compressed"):
            found = row[form]
            assert (found["steps"], found["splits"]) == (3 if form == "full_graph" else 4, 2)
            # More than chance, of five classes: the accuracies are those of embeddings.
            assert found["accuracy_mean"] > 0.3
            assert result["accuracies"][loss][form] == found["accuracy_mean"]
            assert list(found["no_training"]) == ["X", "AX", "A2X", "A3X"]
        assert (row["full_graph"]["partition"]["method"], row["compressed"]["partition"]["method"]) == ("none", "metis")
        assert (row["full_graph"]["partition_seconds"], row["compressed"]["partition_seconds"] > 0) == (0, True)
        assert row["ratio_time"] == pytest.approx(row["full_graph"]["seconds"] / row["compressed"]["seconds"])
    assert result["losses"]["grace"]["compressed_whole"]["partition"]["nodes"] == 900
    assert result["ratios_are_of"] == "sce"
    for ratio in ("ratio_time", "ratio_memory"):
        assert result[ratio] == result["losses"]["sce"][ratio]


def test_a_form_trains_in_a_process_of_its_own(tmp_path: Path) -> None:
    import compressed_training
    import node_training

    from graphkit.nodes import planted_communities

    node_training.save_graph(planted_communities(nodes=300, edges=1500, features=8, seed=3), tmp_path)
    sizes = {"clusters": 30, "partition": "random", "epochs": 2, "dim": 8, "splits": 1, "threads": 1, "seed": 0}
    setting = node_training.Setting(loss="sce", form="compressed", graph=str(tmp_path), **sizes)
    found = compressed_training.alone(setting)
    assert found["accuracy_mean"] == node_training.measure(setting)["accuracy_mean"]
    assert found["partition"]["method"] == "random"


def test_the_peak_of_memory_is_that_of_the_block() -> None:
    import node_training

    with node_training.PeakMemory() as idle:
        pass
    if idle.measured_by != "VmHWM":
        pytest.skip(
            "/proc/self/clear_refs cannot be written here, and samples may miss a block that is soon given back"
        )
    with node_training.PeakMemory() as busy:
        block = np.ones(40 * 2**17)  # 40 MiB
        del block
        torch.ones(10 * 2**18).sum()  # 10 MiB, after the others were given back
    assert idle.rise < 5
    assert 38 < busy.rise < 60


@pytest.mark.parametrize(
    ("code", "said", "how"),
    [
        (-9, "", "was killed, as it is where memory runs out"),
        (2, "a warning\ntask.clusters is 301\n", "ended: task.clusters is 301"),
        (-11, "", "ended: exit code -11"),
    ],
)
def test_a_form_that_ends_early_is_named(monkeypatch: pytest.MonkeyPatch, code: int, said: str, how: str) -> None:
    import compressed_training
    import node_training

    sizes = {"clusters": 2, "partition": None, "epochs": 1, "dim": 1, "splits": 1, "threads": 1, "seed": 0}
    setting = node_training.Setting(loss="grace", form="full_graph", graph="", **sizes)
    ended = subprocess.CompletedProcess([], code, stdout="", stderr=said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(GraphkitError) as refused:
        compressed_training.alone(setting)
    assert str(refused.value) == (
        f"grace in the form full_graph {how}; name a smaller --full-graph-nodes, or leave it out of --losses"
    )


def test_a_form_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import compressed_training
    import node_training

    def alone(setting: node_training.Setting) -> dict[str, object]:
        if (setting.loss, setting.form) == ("sce", "full_graph"):
            raise GraphkitError("it was killed")
        return node_training.measure(setting)

    monkeypatch.setattr(compressed_training, "alone", alone)
    words = "--nodes 300 --edges 3000 --features 8 --dim 8 --epochs 1 --splits 1 --threads 1 --losses sce,coles"
    monkeypatch.setattr(sys, "argv", ["compressed_training", *words.split(), "--out", str(tmp_path / "result.json")])
    assert compressed_training.main() == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["losses"]["sce"]["full_graph"] == {"failed": "it was killed"}
    assert result["losses"]["sce"]["ratio_time"] is result["accuracies"]["sce"]["full_graph"] is None
    assert result["accuracies"]["sce"]["compressed"] > 0
    assert (result["ratios_are_of"], list(result["bars"]["heights"])) == ("coles", ["COLES"])
    assert "SCE, full graph       failed: it was killed" in capsys.readouterr().out


def test_a_step_that_would_take_too_long_is_estimated_by_the_square_of_the_nodes() -> None:
    import compressed_training
    import node_training

    sizes = {"clusters": 2, "partition": None, "epochs": 1, "dim": 1, "splits": 1, "threads": 1, "seed": 0}
    setting = node_training.Setting(loss="grace", form="compressed", graph="", **sizes)
    row = {"graph": {"nodes": 10}, "full_graph": {"seconds": 6.0, "steps": 2}}
    assert compressed_training.step_at_full_size(row, setting, 50, 74.0) == {"seconds": 75.0, "measured": False}


@pytest.mark.parametrize(
    ("script", "words", "sentence"),
    [
        (
            "compressed_training",
            ["--losses", "sce,triplet"],
            "compressed_training: --losses names 'triplet', and some of sce, coles, cca_ssg, grace are needed\n",
        ),
        (
            "compressed_training",
            ["--epochs", "0"],
            "compressed_training: --epochs is 0; give at least 1, or leave it out for the default\n",
        ),
        (
            "compressed_training",
            ["--clusters", "0"],
            "compressed_training: --clusters is 0; give at least 2, or leave it out for the default\n",
        ),
        (
            "structcomp",
            ["--runs", "runs", "--losses", "triplet"],
            "structcomp: --losses names 'triplet', and some of sce, coles, cca_ssg, grace are needed\n",
        ),
    ],
)
def test_options_out_of_range_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str,
    words: list[str],
    sentence: str,
) -> None:
    module = __import__(script)
    monkeypatch.setattr(sys, "argv", [script, *words])
    assert module.main() == 2
    assert capsys.readouterr().err == sentence


# ---- structcomp.py


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Trains in this process; returns the lines that were trained, as they come."""
    import structcomp

    from graphkit.cli.main import main

    lines: list[list[str]] = []

    def train(words: list[str]) -> None:
        lines.append(words)
        with pytest.raises(SystemExit) as ended:
            main(["train", *words])
        assert ended.value.code == 0

    monkeypatch.setattr(structcomp, "train", train)
    return lines


def run_structcomp(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> str:
    import structcomp

    monkeypatch.setattr(sys, "argv", ["structcomp", *map(str, words)])
    assert structcomp.main() == 0
    return capsys.readouterr().out


def test_the_tables_are_of_runs_and_go_on_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trained: list[list[str]]
) -> None:
    words = ("--runs", tmp_path / "runs", "--quick", "--threads", 1, "--graphs", "planted", "--losses", "sce")
    out = run_structcomp(monkeypatch, capsys, *words, "--json", "--out", tmp_path / "page")
    result = json.loads(out[out.rindex('{"threads"') :])
    names = {"planted-sce-full_graph", "planted-sce-compressed", "planted-sce-0.05", "planted-sce-0.2"}
    folders = {path.name.rpartition("-")[0]: path for path in (tmp_path / "runs").iterdir()}
    assert set(folders) == names
    assert len(trained) == 4 and all("trainer.threads=1" in line for line in trained)
    for form, name in (("full graph", "planted-sce-full_graph"), ("compressed", "planted-sce-compressed")):
        metrics = json.loads((folders[name] / "metrics.json").read_text())
        row = result["graphs"]["planted"]["methods"]["SCE"][form]
        assert row["accuracy_mean"] == metrics["probe"]["accuracy_mean"]
        assert row["seconds"] == metrics["train"]["seconds"] + metrics["train"]["partition_seconds"]
        assert row["peak_anon_mib"] == metrics["train"]["peak_anon_mib"]
    untrained = metrics["probe"]["no_training"]
    assert list(result["graphs"]["planted"]["no_training"].values()) == list(untrained.values())
    # METIS may leave some of 100 and 400 clusters empty.
    few, many = (point["clusters"] for point in result["sweep"]["SCE"])
    assert 90 <= few <= 100 < 360 <= many <= 400
    assert (tmp_path / "page.svg").exists()
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "## planted: 2,000 nodes, 222 clusters, 1 encoder × 2 splits" in page
    assert f"| SCE | {untrained['A2X']:.4f} (2) |" in page

    assert "Threads of every run: 1." in page
    assert len(result["machines"]) == len(result["git_revisions"]) == 1

    # One that was killed is trained from its start: its memory would be that of a session that trained less.
    trained.clear()
    (folders["planted-sce-0.2"] / "metrics.json").unlink()
    again = run_structcomp(monkeypatch, capsys, *words, "--json")
    assert [line[-2:] for line in trained] == [[f"run_dir={folders['planted-sce-0.2']}", "overwrite=true"]]
    probed = json.loads(again[again.rindex('{"threads"') :])
    assert probed["graphs"] == result["graphs"]


def test_other_settings_have_another_folder() -> None:
    import structcomp

    quick, full = (structcomp.table_runs(["planted"], ["sce"], quick=quick)[0] for quick in (True, False))
    assert quick.name == full.name
    lines = [quick.words, full.words, (*full.words, "trainer.threads=1"), (*full.words, "trainer.threads=2")]
    assert len({structcomp.settings_hash(line) for line in lines}) == 4
    assert structcomp.settings_hash(full.words) == structcomp.settings_hash((*full.words, "trainer.threads=null"))


def test_cora_stands_beside_the_release() -> None:
    import structcomp

    def row(mean: float) -> dict[str, dict[str, float]]:
        return {"compressed": {"accuracy_mean": mean, "accuracy_std": 0.01, "splits": 25}}

    lines = structcomp.beside_release({"SCE": row(0.8130), "COLES": row(0.8119), "GRACE, 2 layers": row(0.9)})
    assert lines[-2:] == [
        "| SCE | 0.8130 | 0.0020 | 0.8147 | yes |",
        "| COLES | 0.8119 | 0.0020 | 0.8140 | no |",
    ]


def test_all_machines_and_revisions_of_runs_are_listed() -> None:
    import structcomp

    def run(revision: str) -> SimpleNamespace:
        environment = {"cpus": 2, "platform": "Linux", "packages": {"torch": "2"}, "git_revision": revision}
        return SimpleNamespace(
            environment=environment, **dict.fromkeys(RUN_FIGURES, 0), accuracy=SimpleNamespace(mean=0, std=0)
        )

    runs = {
        wanted: run(revision)
        for wanted, revision in zip(structcomp.sweep_runs("cora", 99, ["sce"], quick=False), "abaca", strict=True)
    }
    found = structcomp.collect(runs)
    assert found["git_revisions"] == ["a", "b", "c"]
    assert found["machines"] == [{"cpus": 2, "platform": "Linux", "torch": "2"}]


def test_runs_have_the_settings_of_their_graph() -> None:
    import structcomp

    lines = {run.name: run.words for run in structcomp.table_runs(["cora", "minesweeper"], ["grace"], quick=False)}
    assert list(lines) == [
        *(f"cora-grace{layers}-{form}" for layers in ("", "-2-layers", "-3-layers") for form in structcomp.FORMS),
        *(f"minesweeper-grace-{form}" for form in structcomp.FORMS),
    ]
    assert lines["cora-grace-3-layers-full_graph"] == (
        "experiment=structcomp_cora_grace",
        "graph=cora",
        "model.layers=3",
        "trainer=full_graph",
    )
    assert lines["minesweeper-grace-compressed"] == (
        "experiment=structcomp_cora_grace",
        "graph=minesweeper",
        "task.clusters=null",
        "task.encoders=3",
        "task.splits=10",
        "task.labels_per_class=null",
        "trainer=compressed",
    )
    swept = structcomp.sweep_runs("cora", 2708, ["sce"], quick=False)
    assert [run.words[-2] for run in swept] == [f"task.clusters={count}" for count in (54, 135, 298, 542, 1083)]


def test_a_line_that_cannot_be_trained_is_named() -> None:
    import structcomp

    with pytest.raises(GraphkitError) as refused:
        structcomp.train(["experiment=structcomp", "task.splits=-1", "run_dir=/nowhere/run"])
    assert str(refused.value) == (
        "graphkit train experiment=structcomp task.splits=-1 run_dir=/nowhere/run ended with 2: graphkit: task.splits "
        "is -1, and 0 (no probe) or more is needed"
    )
