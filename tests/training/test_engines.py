"""Engines by name: runs of the command line end with the same weights wherever they are computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from strategies import random_graph

from graphkit.cli.main import main
from graphkit.engine.device import cuda
from graphkit.errors import GraphkitError
from graphkit.training import LinkTask, Run
from graphkit.training.assembly import assemble

EXPERIMENTS = {"demo": ["model.dim=32"], "demo_queries": ["model.dim=32", "sampler.negatives=100"]}


@pytest.fixture(autouse=True)
def _threads():  # type: ignore[no-untyped-def]
    """Runs of this process set torch's threads; other tests get theirs back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def train(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["train", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def run(experiment: str, folder: Path, *words: str) -> Path:
    budget = ["trainer.max_steps=12", "trainer.validate_every=6", "trainer.threads=1", "trainer.patience=0"]
    assert train(f"experiment={experiment}", f"run_dir={folder}", *EXPERIMENTS[experiment], *budget, *words) == 0
    return folder


def files(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = max((folder / "checkpoints").glob("step-*"))  # the last
    names = ("weights", "optimizer")
    return {
        f"{name}/{key}": value for name in names for key, value in load_file(checkpoint / f"{name}.safetensors").items()
    }


def assert_same(left: Path, right: Path) -> None:
    one, other = files(left), files(right)
    assert one.keys() == other.keys() and len(one) >= 4
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_a_run_on_geography_ends_with_the_same_weights_for_any_delays(experiment: str, tmp_path: Path) -> None:
    here = run(experiment, tmp_path / "cpu")
    for seed in range(3):
        words = ["engine=simulated", f"engine.delay_seed={seed}", "engine.delay=0.0005"]
        there = run(experiment, tmp_path / f"simulated-{seed}", *words)
        assert_same(here, there)
    cached = run(experiment, tmp_path / "lru", "engine=simulated", "engine.cache_rows=300", "engine.cache=lru")
    assert_same(here, cached)


def test_the_whole_demo_ends_with_the_same_weights(tmp_path: Path) -> None:
    folders = [tmp_path / "cpu", tmp_path / "simulated"]
    for folder, words in zip(folders, [[], ["engine=simulated", "engine.delay=0.0002"]], strict=True):
        assert train("experiment=demo", f"run_dir={folder}", "trainer.threads=1", *words) == 0
    assert_same(*folders)


def test_a_resumed_run_may_change_its_engine(tmp_path: Path) -> None:
    whole = run("demo_queries", tmp_path / "whole")
    parts = run("demo_queries", tmp_path / "parts", "engine=simulated", "trainer.max_steps=3", "engine.delay=0.0005")
    assert train(f"resume={parts}", "engine=cpu", "trainer.max_steps=6") == 0
    assert Run.open(parts).config["engine"] == {"_target_": "graphkit.engine.CPU"}
    assert train(f"resume={parts}", "engine=simulated", "engine.cache_rows=50", "trainer.max_steps=12") == 0
    assert Run.open(parts).config["engine"]["cache_rows"] == 50
    assert_same(whole, parts)


def test_a_run_from_before_there_were_engines_goes_on(tmp_path: Path) -> None:
    whole = run("demo", tmp_path / "whole")
    parts = run("demo", tmp_path / "parts", "trainer.max_steps=5")
    config = yaml.safe_load((parts / "config.yaml").read_text())
    del config["engine"]
    (parts / "config.yaml").write_text(yaml.safe_dump(config))
    assert train(f"resume={parts}", "trainer.max_steps=12") == 0
    assert_same(whole, parts)


# ---- bad input


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["engine=tpu"], "there is no engine 'tpu'; nearest: gpu, cpu; allowed: cpu, gpu, simulated"),
        (["engine=simulated", "engine.cache=hot"], "engine.cache is 'hot', and degree or lru is needed"),
        (["engine=simulated", "engine.cache_rows=many"], "engine.cache_rows is 'many', and a whole number is needed"),
        (["engine.cache_rows=3"], "there is no setting 'engine.cache_rows'; "),
        (
            ["engine._target_=graphkit.models.ComplEx"],
            "engine._target_ is graphkit.models.ComplEx, which makes no Engine",
        ),
    ],
)
def test_a_wrong_engine_is_refused(
    words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("experiment=demo", f"run_dir={tmp_path / 'run'}", *words) == 2
    assert capsys.readouterr().err.strip().startswith(f"graphkit: {sentence}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("built_for", "cards", "words", "missing"),
    [
        (None, 0, [], f"torch {torch.__version__} is built without CUDA; install a torch that is built with it"),
        ("13.0", 0, [], f"torch {torch.__version__} finds no GPU with a driver for CUDA 13.0; look at nvidia-smi"),
        ("13.0", 2, ["engine.index=2"], "engine.index is 2 and torch finds 2, counted from 0; name one of them"),
    ],
)
def test_a_gpu_that_is_not_there_is_one_sentence(
    built_for: str | None,
    cards: int,
    words: list[str],
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.version, "cuda", built_for)
    monkeypatch.setattr(cuda.torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(cuda.torch.cuda, "device_count", lambda: cards)
    assert train("experiment=demo", "engine=gpu", f"run_dir={tmp_path / 'run'}", *words) == 2
    assert capsys.readouterr().err.strip() == (
        f"graphkit: engine=gpu has no GPU to compute on: {missing}, or choose engine=cpu"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("engine=tpu", "there is no engine 'tpu'; nearest: gpu, cpu; allowed: cpu, gpu, simulated"),
        ("engine.cache_rows=3", "'engine.cache_rows' cannot be set here; "),
        ("engine._target_=os.system", "'engine._target_' cannot be set here; "),
    ],
)
def test_a_resumed_run_takes_engines_by_name_alone(
    word: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run("demo", tmp_path / "run", "trainer.max_steps=2")
    capsys.readouterr()
    assert train(f"resume={folder}", word) == 2
    assert capsys.readouterr().err.strip().startswith(f"graphkit: {sentence}")


class Engineless(LinkTask):
    """A task that was written before there were engines."""

    def __init__(self, graph, model, *, sampler, loss, optimizer, seed):  # type: ignore[no-untyped-def]
        super().__init__(graph, model, sampler=sampler, loss=loss, optimizer=optimizer, seed=seed)


def test_a_task_without_engines_computes_on_the_cpu_alone(tmp_path: Path) -> None:
    folder = run("demo", tmp_path / "run", "trainer.max_steps=2")
    graph = random_graph(30, 3, 150)
    config = Run.open(folder).config
    name = f"{Engineless.__module__}.Engineless"
    config |= {"task": {"_target_": name}, "allow_targets": [f"{Engineless.__module__}."]}
    config["sampler"] |= {"mode": "none"}
    _, task, _ = assemble(config, graph)
    task.close()
    with pytest.raises(GraphkitError) as error:
        assemble({**config, "engine": {"_target_": "graphkit.engine.Simulated"}}, graph)
    assert str(error.value) == f"the task {name} takes no engine, and computes on the CPU; choose engine=cpu"
