"""The folder of a run: made whole or not at all, and read back with sentences instead of tracebacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import graphkit
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph, Vocabulary
from graphkit.training import Run
from graphkit.training.run import resume_word

CONFIG: dict[str, Any] = {"seed": 3, "model": {"_target_": "graphkit.models.ComplEx", "dim": 8}, "note": "Ωmega"}


def state(step: int, best: int | None = None) -> dict[str, Any]:
    return {"weights": {"x": torch.full((3,), float(step))}, "trainer": {"step": step, "best_step": best}}


def newest(steps: list[int]) -> set[int]:
    return set(steps[-1:])


def test_new_run_holds_settings_labels_and_environment(tmp_path: Path, six_nodes: KnowledgeGraph) -> None:
    run = Run.create(tmp_path / "deep" / "run", CONFIG, six_nodes)
    assert sorted(path.name for path in run.folder.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "environment.json",
        "vocabulary",
    ]
    assert Run.open(run.folder).config == CONFIG
    assert "Ωmega" in (run.folder / "config.yaml").read_text(encoding="utf-8")
    environment = run.environment
    assert environment["graph"] == six_nodes.fingerprint
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["packages"]["graphkit"] == graphkit.__version__
    assert {"python", "platform", "cpus", "command", "git_revision"} <= set(environment)
    labels = Vocabulary.load(run.folder / "vocabulary" / "entities.arrow")
    assert [labels.label(i) for i in range(6)] == ["Ann", "Bob", "Cid", "Dan", "Eve", "Fay"]
    assert len(Vocabulary.load(run.folder / "vocabulary" / "relations.arrow", kind="relation")) == 2


def test_graph_without_labels_has_an_empty_vocabulary(tmp_path: Path) -> None:
    graph = KnowledgeGraph.from_triples([(0, 0, 1)])
    run = Run.create(tmp_path / "run", CONFIG, graph)
    assert list((run.folder / "vocabulary").iterdir()) == []


def test_existing_run_is_refused_with_three_ways_out(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    run.log({"step": 1})
    with pytest.raises(GraphkitError) as caught:
        Run.create(tmp_path / "run", CONFIG)
    assert str(caught.value) == (
        f"the run folder {run.folder} exists already; resume it with graphkit train resume={run.folder}, choose "
        "another run_dir, or replace it with overwrite=true"
    )
    assert run.history() == [{"step": 1}]


def test_overwriting_replaces_the_whole_run(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    run.log({"step": 1})
    run.save_checkpoint(1, state(1), keep=newest)
    replaced = Run.create(tmp_path / "run", {"seed": 4}, overwrite=True)
    assert (replaced.config, replaced.history(), replaced.checkpoint_steps()) == ({"seed": 4}, [], [])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_overwriting_spares_folders_that_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.md").write_text("years of work")
    with pytest.raises(GraphkitError) as caught:
        Run.create(tmp_path / "thesis", CONFIG, overwrite=True)
    assert str(caught.value) == (
        f"{tmp_path / 'thesis'} exists and is no run folder (it has no config.yaml), so overwrite=true does not "
        "replace it; choose another run_dir"
    )
    assert (tmp_path / "thesis" / "text.md").read_text() == "years of work"


def test_run_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError):
        Run.create(tmp_path / "run", {"seed": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("make", "why"), [(False, "does not exist"), (True, "has no config.yaml")])
def test_opening_what_is_no_run(tmp_path: Path, make: bool, why: str) -> None:
    folder = tmp_path / "x"
    if make:
        folder.mkdir()
    with pytest.raises(GraphkitError) as caught:
        Run.open(folder)
    assert str(caught.value) == f"{folder} is no run folder: it {why}; name the run_dir of an earlier graphkit train"


@pytest.mark.parametrize("content", ["", "a: [1", "- 1\n- 2\n", "\x00"])
def test_damaged_settings_are_named(tmp_path: Path, content: str) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    (run.folder / "config.yaml").write_text(content)
    with pytest.raises(GraphkitError) as caught:
        _ = run.config
    assert str(caught.value) == (
        f"{run.folder / 'config.yaml'} is missing or damaged; restore it from a copy, or train again with another "
        "run_dir"
    )


def test_damaged_environment_is_named(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    for damage in (lambda path: path.write_text("{"), Path.unlink):
        damage(run.folder / "environment.json")
        with pytest.raises(GraphkitError, match=r"environment\.json is missing or damaged"):
            _ = run.environment


def test_settings_are_data_and_never_code(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    (run.folder / "config.yaml").write_text(f"seed: !!python/object/apply:pathlib.Path.touch [{tmp_path / 'hacked'}]")
    with pytest.raises(GraphkitError, match="missing or damaged"):
        _ = run.config
    assert not (tmp_path / "hacked").exists()


def test_another_graph_is_refused(tmp_path: Path, six_nodes: KnowledgeGraph) -> None:
    run = Run.create(tmp_path / "run", CONFIG, six_nodes)
    run.require_graph(six_nodes)
    other = KnowledgeGraph.from_triples([("a", "b", "c")])
    with pytest.raises(GraphkitError) as caught:
        run.require_graph(other)
    assert str(caught.value) == (
        f"the run {run.folder} was trained on the graph {six_nodes.fingerprint} and this graph is {other.fingerprint}; "
        "its ids would be mixed up, so give the graph of the run or train again"
    )


def test_history_leaves_out_a_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    assert run.history() == []
    for step in (1, 2, 3):
        run.log({"step": step})
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert [entry["step"] for entry in run.history()] == [1, 2, 3]
    run.rewind(2)
    assert (run.folder / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'


def test_log_on_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full stands for a full disk, and this system has none")
    run = Run.create(tmp_path / "run", CONFIG)
    (run.folder / "metrics.jsonl").symlink_to(full)
    with pytest.raises(GraphkitError) as caught:
        run.log({"step": 1})
    assert str(caught.value) == (
        f"{run.folder / 'metrics.jsonl'} was not written: No space left on device; free some space or mend its "
        f"permissions, then graphkit train resume={run.folder}"
    )


def test_checkpoints_are_listed_in_order_and_read_back(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    for step in (2, 10, 100_000_000):
        run.save_checkpoint(step, state(step, best=10), keep=set)
    assert run.checkpoint_steps() == [2, 10, 100_000_000]
    assert float(run.load_checkpoint()["weights"]["x"][0]) == 1e8
    assert float(run.load_checkpoint(2)["weights"]["x"][0]) == 2
    assert run.best_step() == 10
    assert "weights" not in run.load_checkpoint(only=("trainer",))


def test_saving_removes_old_checkpoints_and_leftovers_of_a_kill(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    run.save_checkpoint(1, state(1), keep=newest)
    leftover = run.folder / "checkpoints" / ".step-00000002.part-4242"
    leftover.mkdir()
    (leftover / "weights.safetensors").write_bytes(b"half")
    assert run.checkpoint_steps() == [1]
    run.save_checkpoint(2, state(2), keep=newest)
    assert [path.name for path in (run.folder / "checkpoints").iterdir()] == ["step-00000002"]


def test_run_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    for read in (run.load_checkpoint, run.best_step):
        with pytest.raises(GraphkitError) as caught:
            read()
        assert str(caught.value) == (
            f"the run {run.folder} has no checkpoint yet; let graphkit train resume={run.folder} make one"
        )


def test_newest_is_the_best_where_nothing_was_validated(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    run.save_checkpoint(4, state(4), keep=newest)
    assert run.best_step() == 4


def test_metrics_replace_those_before(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", CONFIG)
    run.write_metrics({"test": {"mrr": 0.1}})
    run.write_metrics({"test": {"mrr": 0.2}})
    assert json.loads((run.folder / "metrics.json").read_text()) == {"test": {"mrr": 0.2}}


def test_the_word_that_resumes_quotes_a_folder_with_a_space() -> None:
    assert resume_word(Path("my runs/a")) == "resume='my runs/a'"
    assert resume_word("runs/a") == "resume=runs/a"
