"""The command line from end to end on a tiny graph: import, train, evaluate, answer, resume, sweep, own models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from graphkit.cli.main import main
from graphkit.engine.cuda.launcher import BackEnd
from graphkit.engine.cuda.registration import implementations
from graphkit.training import Run

SIZE = 24
#: A ring of 24 nodes with three regular relations: a few hundred steps learn it.
TRIPLES = sorted(
    {(f"n{i}", name, f"n{(i + jump) % SIZE}") for i in range(SIZE) for name, jump in (("next", 1), ("skip", 2))}
    | {(f"n{i}", "parity", f"n{i % 2}") for i in range(SIZE)}
    | {(f"n{i}", "opposite", f"n{(i + SIZE // 2) % SIZE}") for i in range(SIZE)}
)


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a line in this process."""

    def run(*words: object) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(ended.value.code or 0, captured.out, captured.err)  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "ring.tsv").write_text("".join("\t".join(triple) + "\n" for triple in TRIPLES))
    return folder


@pytest.fixture(scope="module")
def kg(files: Path) -> Path:
    with pytest.raises(SystemExit) as ended:
        main(["data", "import", str(files / "ring.tsv"), "--out", str(files / "kg")])
    assert ended.value.code == 0
    return files / "kg"


@pytest.fixture(scope="module")
def run_dir(kg: Path) -> Path:
    """A run that every test may read, and none may change."""
    folder = kg.parent / "run"
    with pytest.raises(SystemExit) as ended:
        main(["train", f"graph={kg}", "model=complex", f"run_dir={folder}", "model.dim=16", "trainer.max_steps=120"])
    assert ended.value.code == 0
    return folder


def quick(kg: Path, folder: Path, *words: str) -> list[str]:
    return ["train", f"graph={kg}", f"run_dir={folder}", "model.dim=8", "trainer.max_steps=4", *words]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    run = Run.open(folder)
    return load_file(folder / "checkpoints" / f"step-{run.checkpoint_steps()[-1]:08d}" / "weights.safetensors")


def same_weights(left: Path, right: Path) -> bool:
    first, second = weights(left), weights(right)
    assert first.keys() == second.keys() and first
    return all(torch.equal(first[name], second[name]) for name in first)


# ---- train


def test_metrics_have_the_fixed_names(run_dir: Path) -> None:
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert set(metrics) == {"test", "train", "protocol"}
    for name in ("mrr", "hits@1", "hits@3", "hits@10"):
        assert 0 < metrics["test"][name] <= 1
    assert metrics["test"]["mrr"] > 0.4  # chance is 0.16
    assert metrics["train"]["seconds"] > 0
    assert metrics["train"]["samples_per_second"] > 0
    assert metrics["train"]["peak_anon_mib"] > 1
    protocol = metrics["protocol"]
    assert (protocol["split"], protocol["sides"], protocol["ties"]) == ("test", "both", "mean rank")
    assert (protocol["filtered_by"], protocol["entities"]) == (["train", "valid", "test"], SIZE)


def test_run_folder_holds_the_whole_truth(run_dir: Path, kg: Path) -> None:
    names = {"config.yaml", "environment.json", "metrics.jsonl", "metrics.json", "vocabulary", "checkpoints"}
    assert {path.name for path in run_dir.iterdir()} == names
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert config["graph"]["path"] == str(kg.absolute())
    assert config["run_dir"] == str(run_dir)
    open_ended = {"max_answers"}  # null is a value of it
    decided = [value for name, value in config["sampler"].items() if name not in open_ended]
    assert None not in decided  # what the size of the graph decided is written down
    assert config["trainer"]["max_steps"] == 120


def test_progress_goes_to_stderr_and_results_to_stdout(cli: Cli, kg: Path, tmp_path: Path) -> None:
    result = cli(*quick(kg, tmp_path / "run"))
    assert result.code == 0
    assert "training into" in result.err and "step 4/4" in result.err
    assert "both sides" in result.out and "trained 4 steps" in result.out
    assert "training into" not in result.out


def test_same_seed_gives_bit_equal_weights(cli: Cli, kg: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert cli(*quick(kg, tmp_path / name, f"seed={seed}")).code == 0
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert not same_weights(tmp_path / "a", tmp_path / "c")


def test_threads_give_bit_equal_weights(cli: Cli, kg: Path, tmp_path: Path) -> None:
    for threads in (1, 4):
        assert cli(*quick(kg, tmp_path / f"{threads}", "sampler=own", f"sampler.threads={threads}")).code == 0
    assert same_weights(tmp_path / "1", tmp_path / "4")


def test_default_folders_are_numbered(cli: Cli, kg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["train", f"graph={kg}", "model=transe", "model.dim=8", "trainer.max_steps=2"]
    for _ in range(2):
        assert cli(*words).code == 0
    assert cli(*words, "experiment=demo").code == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["demo", "kg-transe", "kg-transe-2"]
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]  # Hydra leaves nothing of its own
    assert Run.open("runs/kg-transe").config["run_dir"] == "runs/kg-transe"


def test_existing_run_is_replaced_only_on_demand(cli: Cli, kg: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert cli(*quick(kg, folder)).code == 0
    before = weights(folder)
    refused = cli(*quick(kg, folder, "seed=9"))
    assert refused.code == 2
    assert refused.err == (
        f"graphkit: the run folder {folder} exists already; resume it with graphkit train resume={folder}, choose "
        "another run_dir, or replace it with overwrite=true\n"
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(folder).items())
    assert cli(*quick(kg, folder, "seed=9", "overwrite=true")).code == 0
    assert not torch.equal(before["/entities"], weights(folder)["/entities"])


def test_sweep_makes_a_run_for_each_value(cli: Cli, kg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("train", "-m", "seed=0,1", f"graph={kg}", "model.dim=8", "trainer.max_steps=2")
    assert result.code == 0
    runs = [path.parent for path in (tmp_path / "runs").glob("*/config.yaml")]
    assert sorted(path.name for path in runs) == ["kg-complex", "kg-complex-2"]
    assert sorted(Run.open(path).config["seed"] for path in runs) == [0, 1]


def test_sweep_stops_at_the_first_mistake(cli: Cli, kg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("train", "-m", "model.dim=7,8", f"graph={kg}", "trainer.max_steps=2")
    assert result.code == 2 and result.err.startswith("graphkit: model.dim is 7, and a complex row needs")
    assert list(tmp_path.glob("runs/*/config.yaml")) == []


def test_cfg_prints_the_settings_and_trains_nothing(cli: Cli, kg: Path, tmp_path: Path) -> None:
    result = cli(*quick(kg, tmp_path / "run"), "--cfg", "job")
    assert result.code == 0
    config = yaml.safe_load(result.out)
    assert (config["model"]["dim"], config["trainer"]["max_steps"]) == (8, 4)
    assert config["graph"]["path"] == str(kg.absolute())
    assert not (tmp_path / "run").exists()


def test_folder_with_odd_characters_is_taken(cli: Cli, files: Path, tmp_path: Path) -> None:
    odd = tmp_path / "it's a, {graph}: =ü"
    assert cli("data", "import", files / "ring.tsv", "--out", odd).code == 0
    line = ["train", f"graph={odd}", f"run_dir={tmp_path / 'run'}", "model.dim=8", "trainer.max_steps=1"]
    assert cli(*line).code == 0
    assert Run.open(tmp_path / "run").config["graph"]["path"] == str(odd)


def test_graph_without_held_out_triples_trains(cli: Cli, files: Path, tmp_path: Path) -> None:
    graph, folder = tmp_path / "kg", tmp_path / "run"
    assert cli("data", "import", files / "ring.tsv", "--split", 1, 0, 0, "--out", graph).code == 0
    result = cli(*quick(graph, folder))
    assert result.code == 0 and "trained 4 steps" in result.out
    assert "0 valid, 0 test triples" in result.err
    assert set(json.loads((folder / "metrics.json").read_text())) == {"train"}
    refused = cli("evaluate", folder)
    assert (refused.code, refused.err) == (
        2,
        "graphkit: the graph has no test triples to rank; import it with a test file or a split\n",
    )
    assert cli("answer", folder, "?x : next(n1, ?x)", "--json").code == 0


# ---- own models


MODEL = '''
"""A model outside of the package."""

import torch

from graphkit.engine.kernels import pair_scores
from graphkit.models import Model


class Hadamard(Model):
    matrix_product = True

    def __init__(self, num_relations: int, *, dim: int = 8, scale: float = 0.5) -> None:
        super().__init__(num_relations, dim=dim, reciprocal=False)
        self.scale = scale
        self.relations = torch.nn.Parameter(torch.empty(num_relations, dim))

    def initialize(self, generator):
        torch.nn.init.normal_(self.relations, 0, self.scale, generator=generator)

    def initial_rows(self, count, generator):
        return torch.empty(count, self.dim).normal_(0, self.scale, generator=generator)

    def project(self, x, relations):
        return x * self.relation_parameters(relations)

    def score(self, queries, candidates, places=None):
        return pair_scores("dot", queries, candidates, places)
'''


@pytest.fixture
def own_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the two files of a model."""
    folder = tmp_path / "mine"
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "hadamard_of_mine.py").write_text(MODEL)
    (folder / "conf" / "model" / "hadamard.yaml").write_text(
        "_target_: hadamard_of_mine.Hadamard\ndim: 8\nscale: 0.5\n"
    )
    monkeypatch.syspath_prepend(folder)
    return folder


def test_model_of_two_files_trains_resumes_and_answers(cli: Cli, kg: Path, own_model: Path, tmp_path: Path) -> None:
    line = ["train", "--config-dir", str(own_model / "conf"), "model=hadamard", f"graph={kg}", "trainer.max_steps=3"]
    refused = cli(*line, f"run_dir={tmp_path / 'run'}")
    assert (refused.code, refused.err) == (
        2,
        "graphkit: the target hadamard_of_mine.Hadamard is outside of graphkit.; a configuration can "
        "run any code it names, so say allow_targets=[hadamard_of_mine.] if you trust it\n",
    )
    assert "hadamard_of_mine" not in sys.modules  # refused before a line of it ran
    assert not (tmp_path / "run").exists()
    trained = cli(*line, f"run_dir={tmp_path / 'run'}", "allow_targets=[hadamard_of_mine.]", "model.scale=0.25")
    assert trained.code == 0
    assert Run.open(tmp_path / "run").config["model"]["scale"] == 0.25
    # A run does not allow itself: its folder may come from somebody else.
    assert cli("answer", tmp_path / "run", "?x : next(n1, ?x)").err == refused.err
    allowed = "allow_targets=[hadamard_of_mine.]"
    assert cli("train", f"resume={tmp_path / 'run'}", "trainer.max_steps=5", allowed).code == 0
    assert len(json.loads(cli("answer", tmp_path / "run", "?x : next(n1, ?x)", allowed, "--json").out)) == 11


def test_own_model_is_among_the_spellings(cli: Cli, kg: Path, own_model: Path, tmp_path: Path) -> None:
    line = ["train", "--config-dir", str(own_model / "conf"), f"graph={kg}", f"run_dir={tmp_path / 'run'}"]
    assert cli(*line, "model=hadamar").err.startswith("graphkit: there is no model 'hadamar'; nearest: hadamard;")
    wrong = cli(*line, "model=hadamard", "model.scal=1")
    assert wrong.err == "graphkit: there is no setting 'model.scal'; nearest: model.scale, model.dim\n"


def test_graph_of_an_own_configuration_is_taken(cli: Cli, kg: Path, tmp_path: Path) -> None:
    (tmp_path / "conf" / "graph").mkdir(parents=True)
    (tmp_path / "conf" / "graph" / "ring.yaml").write_text(
        f"_target_: graphkit.graph.KnowledgeGraph.open\npath: {kg}\n"
    )
    line = ["train", f"--config-dir={tmp_path / 'conf'}", "graph=ring", "model.dim=8", "trainer.max_steps=1"]
    assert cli(*line, f"run_dir={tmp_path / 'run'}").code == 0


# ---- resume


def test_resumed_run_equals_an_uninterrupted_one(cli: Cli, kg: Path, tmp_path: Path) -> None:
    assert cli(*quick(kg, tmp_path / "whole", "trainer.max_steps=9", "trainer.validate_every=3")).code == 0
    assert cli(*quick(kg, tmp_path / "parts", "trainer.max_steps=6", "trainer.validate_every=3")).code == 0
    resumed = cli("train", f"resume={tmp_path / 'parts'}", "trainer.max_steps=9")
    assert resumed.code == 0 and "step 6 of 9" in resumed.err
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
    assert Run.open(tmp_path / "parts").config["trainer"]["max_steps"] == 9
    first, second = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "parts"))
    assert first["test"] == second["test"]


def test_finished_run_is_measured_again(cli: Cli, kg: Path, tmp_path: Path) -> None:
    assert cli(*quick(kg, tmp_path / "run")).code == 0
    before, history = weights(tmp_path / "run"), Run.open(tmp_path / "run").history()
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    (tmp_path / "run" / "metrics.json").unlink()
    resumed = cli("train", f"resume={tmp_path / 'run'}")
    steps = Run.open(tmp_path / "run").config["trainer"]["max_steps"]
    assert (resumed.code, resumed.err.splitlines()[0]) == (
        0,
        f"the training of {tmp_path / 'run'} is finished: it has had all {steps} steps, and is measured again",
    )
    again = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (again["test"], again["protocol"]) == (metrics["test"], metrics["protocol"])
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(tmp_path / "run").items())
    assert Run.open(tmp_path / "run").history() == history


def test_more_epochs_continue_a_run(cli: Cli, kg: Path, tmp_path: Path) -> None:
    words = ["trainer.max_steps=null", "trainer.max_epochs=1", "sampler.batch_size=16", "trainer.patience=0"]
    assert cli(*quick(kg, tmp_path / "run", *words)).code == 0
    first = Run.open(tmp_path / "run").checkpoint_steps()[-1]
    assert cli("train", f"resume={tmp_path / 'run'}", "trainer.max_epochs=3", "trainer.patience=0").code == 0
    assert 3 * first - 2 <= Run.open(tmp_path / "run").checkpoint_steps()[-1] <= 3 * first


# ---- evaluate, answer, data, doctor


def test_evaluate_gives_the_numbers_of_the_run(cli: Cli, run_dir: Path) -> None:
    measured = json.loads(cli("evaluate", run_dir, "--json").out)
    written = json.loads((run_dir / "metrics.json").read_text())
    assert measured == {"test": written["test"], "protocol": written["protocol"]}


def test_evaluate_does_not_look_for_the_class_of_the_task(cli: Cli, run_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run_dir, tmp_path / "run")
    config = (folder / "config.yaml").read_text()
    assert "graphkit.training.LinkTask" in config
    (folder / "config.yaml").write_text(config.replace("graphkit.training.LinkTask", "mine.Task"))
    assert cli("evaluate", folder, "--json").out == cli("evaluate", run_dir, "--json").out


def test_evaluate_ranks_another_split(cli: Cli, run_dir: Path) -> None:
    measured = json.loads(cli("evaluate", run_dir, "--split", "train", "--json").out)
    assert set(measured) == {"train", "protocol"}
    assert measured["train"]["mrr"] > 0.8
    table = cli("evaluate", run_dir, "--split", "valid").out
    assert "valid: " in table and "both sides" in table


def test_evaluate_takes_a_graph_that_was_moved(cli: Cli, kg: Path, tmp_path: Path) -> None:
    assert cli(*quick(kg, tmp_path / "run")).code == 0
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in kg.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    assert cli("evaluate", tmp_path / "run", f"graph.path={moved}", "--json").code == 0


def test_answers_are_a_list_of_labels_scores_and_marks(cli: Cli, run_dir: Path) -> None:
    answers: list[dict[str, Any]] = json.loads(cli("answer", run_dir, "?x : next(?x, n5)", "--json").out)
    assert len(answers) == 1 + 10
    assert all(set(answer) == {"label", "score", "known"} for answer in answers)
    assert [answer["known"] for answer in answers] == [True] + [False] * 10 and answers[0]["label"] == "n4"
    predicted = [answer["score"] for answer in answers[1:]]
    assert sorted(predicted, reverse=True) == predicted


@pytest.mark.parametrize(("top", "found"), [(1, 2), (3, 4), (1000, SIZE)])
def test_top_says_how_many_predictions_follow_the_known_answer(cli: Cli, run_dir: Path, top: int, found: int) -> None:
    assert len(json.loads(cli("answer", run_dir, "?x : skip(n3, ?x)", "--top", top, "--json").out)) == found


def test_answer_table_marks_what_is_known(cli: Cli, run_dir: Path) -> None:
    out = cli("answer", run_dir, "?x : next(?x, n5)", "--top", SIZE).out
    lines = [line for line in out.splitlines() if "known" in line or "predicted" in line]
    assert len(lines) == SIZE
    assert [line for line in lines if "known" in line] == [line for line in lines if " n4 " in line]
    assert "?x : next(?x, n5)" in out


def test_synth_makes_a_graph_that_train_takes(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    sizes = ["--entities", 300, "--relations", 5, "--edges", 2_000, "--seed", 7]
    result = cli("data", "synth", *sizes, "--out", folder)
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "300 entities, 5 relations, 2,000 distinct triples, all in train\n"
        f"saved in {folder}\n"
        "all of its triples are for training: nothing is held out to validate or test with\n"
    )
    words = ["model.dim=8", "trainer.max_steps=2", "trainer.patience=0"]
    assert cli("train", f"graph={folder}", f"run_dir={tmp_path / 'run'}", *words).code == 0
    assert cli("data", "synth", *sizes, "--out", folder).code == 2
    assert cli("data", "synth", *sizes, "--out", folder, "--overwrite").code == 0


def test_import_reports_and_names_the_next_step(cli: Cli, files: Path, tmp_path: Path) -> None:
    result = cli("data", "import", files / "ring.tsv", "--out", tmp_path / "a b", "--seed", 3, "--split", 0.6, 0.2, 0.2)
    assert result.code == 0
    assert f"{SIZE} entities, 4 relations" in result.out and "(split with seed 3)" in result.out
    assert result.out.endswith(f"next: graphkit train graph='{tmp_path / 'a b'}' run_dir=RUN\n")


def test_list_says_which_sets_are_here(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHKIT_DATA", raising=False)
    without = cli("data", "list").out
    assert "fb15k237" in without and "built in" in without and "Set GRAPHKIT_DATA" in without
    assert "yes" not in without
    (tmp_path / "kg" / "umls").mkdir(parents=True)
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    lines = cli("data", "list").out.splitlines()
    assert ["umls" in line for line in lines if "yes" in line] == [True]


def test_doctor_reports_as_json(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphkit.doctor.back_end", lambda: BackEnd(None, "torch finds no GPU"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = json.loads(cli("doctor", "--json").out)
    assert set(found) == {"system", "packages", "extras", "devices", "operations", "data", "configuration"}
    assert found["packages"]["torch"] == torch.__version__
    assert Path(found["configuration"]["folder"], "train.yaml").is_file()
    assert Path(found["system"]["native core"]).is_file()
    assert len(found["operations"]) == len(implementations())
    for used in found["operations"].values():
        assert used.startswith("CPU: native (") and used.endswith("; GPU: none, since torch finds no GPU")


def test_doctor_table_shows_how_to_install_an_extra(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("graphkit.doctor.find_spec", lambda name: None)
    assert "absent: pip install 'graphkit[cuda]'" in cli("doctor").out


# ---- help


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_lists_the_verbs(cli: Cli, word: str) -> None:
    result = cli(word)
    assert result.code == 0
    for verb in ("train", "evaluate", "answer", "data", "doctor"):
        assert f"\n    {verb} " in result.out
    assert 'graphkit answer my-run "?x : borders(?x, France)"' in result.out


def test_help_of_train_lists_groups_and_settings(cli: Cli) -> None:
    result = cli("train", "--help")
    assert result.code == 0
    assert (
        "model: betae, complex, distmult, gcn_encoder, gqe, query2box, rotate, sgc_encoder, transe" in result.out
        and "max_steps: null" in result.out
    )
    assert "== Configuration groups ==" not in result.out  # ours, not Hydra's


def test_package_runs_as_a_module() -> None:
    line = [sys.executable, "-m", "graphkit", "--version"]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("graphkit 0.")
