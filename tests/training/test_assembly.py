"""Configurations of tasks that assemble themselves, on graphs of a kind that graphkit knows nothing of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from strategies import random_graph

from graphkit.cli.complaints import RunConfig
from graphkit.cli.compose import to_plain
from graphkit.cli.settings import conf_folder
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.training import Run, load_graph, load_trained, resume, run_config, start


class Points:
    """What `PointsTask` is trained on."""

    def __init__(self, *, count: int = 3) -> None:
        self.count = count

    @property
    def fingerprint(self) -> str:
        return f"points-{self.count}"

    def save_vocabulary(self, folder: Path) -> None:
        (folder / "points.txt").write_text(str(self.count))


class PointsTask:
    """Counts its steps."""

    graph_kind: ClassVar[type] = Points

    def __init__(self, graph: Points) -> None:
        self.graph, self.trained = graph, 0

    @classmethod
    def assemble(cls, config: dict[str, Any], graph: Points) -> tuple[dict[str, Any], PointsTask]:
        trainer = {**config["trainer"], "max_steps": config["trainer"]["rounds"] * graph.count}
        return {**config, "trainer": trainer}, cls(graph)

    def batches(self) -> Any:
        return iter(range(self.trained, 10**6))

    def step(self, batch: int) -> dict[str, float]:
        self.trained = batch + 1
        return {"loss": 0.0, "samples": 1}

    def validate(self) -> dict[str, float]:
        return {}

    def measure(self) -> dict[str, Any]:
        return {"points": {"trained": self.trained}}

    def state_dict(self) -> dict[str, Any]:
        return {"weights": {"trained": self.trained}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trained = state["weights"]["trained"]

    def close(self) -> None:
        pass


def configured(**graph: Any) -> dict[str, Any]:
    return {
        "seed": 0,
        "allow_targets": [f"{__name__}."],
        "task": {"_target_": f"{__name__}.PointsTask"},
        "graph": {"_target_": f"{__name__}.Points", **graph},
        "model": None,
        "trainer": {"rounds": 2, "keep": 1},
    }


def test_a_task_that_assembles_itself_trains_on_a_graph_of_its_own_kind(tmp_path: Path) -> None:
    config = configured(count=4)
    trainer = start(config, load_graph(config), tmp_path / "run")
    assert trainer.schedule.max_steps == 8
    trainer.fit()
    assert trainer.finish()["points"] == {"trained": 8}
    run = Run.open(tmp_path / "run")
    assert run.config["trainer"] == {"rounds": 2, "keep": 1, "max_steps": 8}
    assert run.environment["graph"] == "points-4"
    assert (run.folder / "vocabulary" / "points.txt").read_text() == "4"


def test_its_run_is_resumed_on_the_graph_of_the_run_alone(tmp_path: Path) -> None:
    config = configured()
    start(config, load_graph(config), tmp_path / "run").fit()
    run = Run.open(tmp_path / "run")
    longer = {**config, "trainer": {"rounds": 5}}
    trainer = resume(run, longer)
    assert (trainer.progress.step, trainer.schedule.max_steps) == (6, 15)
    with pytest.raises(GraphkitError) as error:
        resume(run, {**longer, "graph": configured(count=5)["graph"]})
    assert str(error.value) == (
        f"the run {run.folder} was trained on the graph points-3 and this graph is points-5; its ids would be mixed "
        "up, so give the graph of the run or train again"
    )


def test_its_run_answers_no_questions(tmp_path: Path) -> None:
    config = configured()
    start(config, load_graph(config), tmp_path / "run").fit()
    with pytest.raises(GraphkitError) as error:
        load_trained(Run.open(tmp_path / "run"), config=config)
    assert str(error.value) == (
        f"the run {tmp_path / 'run'} is one of the task {__name__}.PointsTask on a Points, and answers and ranks come "
        f"from runs on a KnowledgeGraph; graphkit report {tmp_path / 'run'} shows what it measured"
    )


def test_a_run_on_a_knowledge_graph_is_loaded_whatever_its_task(tmp_path: Path) -> None:
    """Answering needs nothing of the task's class, which may be out of reach where the run is now."""
    random_graph(10, 2, 20).save(tmp_path / "kg")
    ConfigStore.instance().store(name="run_config", node=RunConfig)
    with initialize_config_dir(version_base="1.3", config_dir=str(conf_folder())):
        config = to_plain(compose("train", overrides=["trainer.max_steps=1", "model.dim=4"]))
    config["graph"] = {"_target_": "graphkit.graph.KnowledgeGraph.open", "path": str(tmp_path / "kg")}
    start(config, load_graph(config), tmp_path / "run").fit()
    run = Run.open(tmp_path / "run")
    elsewhere = {**run_config(run), "task": {"_target_": "elsewhere.Task"}}
    assert load_trained(run, config=elsewhere).graph.num_entities == 10
    assert load_trained(run, config=elsewhere, graph=KnowledgeGraph.open(tmp_path / "kg")).step == 1


def test_a_knowledge_graph_is_refused_where_the_task_wants_another_kind(tmp_path: Path) -> None:
    random_graph(10, 2, 20).save(tmp_path / "kg")
    config = configured()
    config["graph"] = {"_target_": "graphkit.graph.KnowledgeGraph.open", "path": str(tmp_path / "kg")}
    with pytest.raises(GraphkitError) as error:
        load_graph(config)
    assert str(error.value) == (
        f"graph._target_ is graphkit.graph.KnowledgeGraph.open, which makes a KnowledgeGraph, and the task "
        f"{__name__}.PointsTask is trained on a Points; task=links and task=queries train on it, so choose one of "
        "them, or a graph that is a Points"
    )


def test_a_graph_of_a_kind_that_nothing_is_known_of_is_refused() -> None:
    config = configured()
    config["task"] = {"_target_": "graphkit.training.LinkTask"}
    with pytest.raises(GraphkitError) as error:
        load_graph(config)
    assert str(error.value) == f"graph._target_ is {__name__}.Points, which makes no KnowledgeGraph; choose graph=NAME"
