"""Answers of a trained run: labels, logits, and what the graph knows already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import graphkit
from graphkit.cli.tables import Answer, print_answers
from graphkit.cli.trained import run_answer
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.models import ComplEx
from graphkit.training import LinkTask, Run, Schedule, Trained, Trainer, load_trained, start

NAMES = [f"town {i}" for i in range(10)]


def town(i: int) -> str:
    return NAMES[i % 10]


CONFIG = {
    "seed": 0,
    "task": {"_target_": "graphkit.training.LinkTask", "n3": 0.0},
    "sampler": {"structures": "1p", "mode": None, "batch_size": 32, "negatives": None, "threads": 1, "ahead": 2},
    "model": {"_target_": "graphkit.models.ComplEx", "dim": 16},
    "loss": {"_target_": "graphkit.losses.Softmax"},
    "optimizer": {"_target_": "graphkit.engine.Adagrad", "lr": 0.3},
    "trainer": {
        **dict.fromkeys(("max_epochs", "validate_every", "checkpoint_every", "log_every", "threads")),
        "max_steps": 80,
        "patience": 0,
        "keep": 1,
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten towns on a ring; one of its roads is known from the test split only."""
    folder = tmp_path_factory.mktemp("answers")
    roads = [(town(i), "road to", town(i + 1)) for i in range(10)] + [(town(3), "road to", town(7))]
    graph = KnowledgeGraph.from_triples(roads, test=[(town(3), "road to", town(8))], entities=NAMES)
    graph.save(folder / "kg")
    store = {"_target_": "graphkit.graph.KnowledgeGraph.open", "path": str(folder / "kg")}
    trainer = start({**CONFIG, "graph": store}, KnowledgeGraph.open(folder / "kg"), folder / "run")
    trainer.fit()
    return folder / "run"


def test_answers_come_best_first_with_labels(run: Path) -> None:
    answers = graphkit.answer(run, "?x : road to(town 5, ?x)", top=4)
    assert len(answers) == 4 and answers[0].label == "town 6"
    assert all(isinstance(answer, Answer) and answer.label in NAMES for answer in answers)
    assert [answer.score for answer in answers] == sorted((answer.score for answer in answers), reverse=True)


def test_both_directions_are_asked(run: Path) -> None:
    assert graphkit.answer(run, "?x : road to(?x, town 5)", top=1)[0].label == "town 4"
    assert graphkit.answer(run, "?x : road to(town 5, ?x)", top=1)[0].label == "town 6"


def test_known_answers_of_all_splits_are_marked(run: Path) -> None:
    answers = graphkit.answer(run, "?x : road to(town 3, ?x)", top=10)
    assert len(answers) == 10
    assert {answer.label for answer in answers if answer.known} == {"town 4", "town 7", "town 8"}  # 8: of test
    backwards = graphkit.answer(run, "?x : road to(?x, town 8)", top=10)
    assert {answer.label for answer in backwards if answer.known} == {"town 7", "town 3"}


def test_scores_are_the_logits_of_the_model(run: Path) -> None:
    trained = load_trained(Run.open(run))
    model, rows = trained.model, trained.table.weight
    with torch.inference_mode():
        query = model.project(rows[[2]], torch.tensor([0]))
        logits = model.score(query, rows).squeeze(0)
    for answer in graphkit.answer(trained, "?x : road to(town 2, ?x)", top=10):
        assert answer.score == pytest.approx(float(logits[NAMES.index(answer.label)]), rel=1e-5)


def test_loaded_run_serves_many_questions(run: Path) -> None:
    trained = load_trained(Run.open(run))
    assert isinstance(trained, Trained)
    for i in range(3):
        question = f"?x : road to(town {i}, ?x)"
        assert graphkit.answer(trained, question) == graphkit.answer(run, question)


def test_more_than_there_are_gives_all(run: Path) -> None:
    assert len(graphkit.answer(run, "?x : road to(town 1, ?x)", top=99)) == 10


def test_fewer_than_one_is_refused(run: Path) -> None:
    with pytest.raises(GraphkitError, match="top is 0, and at least 1 is needed"):
        graphkit.answer(run, "?x : road to(town 1, ?x)", top=0)


def test_graph_without_labels_is_asked_by_numbers(tmp_path: Path) -> None:
    graph = KnowledgeGraph.from_triples([(i, 0, (i + 1) % 6) for i in range(6)])
    task = LinkTask(graph, ComplEx(graph.num_relations, dim=8))
    trainer = Trainer(task, Run.create(tmp_path / "run", None, graph), Schedule(max_steps=30))
    trainer.fit()
    trained = Trained(trainer.run, {}, graph, task.model, task.table, 30)
    answers = graphkit.answer(trained, "?x : 0(2, ?x)", top=6)
    assert {answer.label for answer in answers} == set("012345")
    assert [answer.label for answer in answers if answer.known] == ["3"]
    with pytest.raises(GraphkitError, match="the graph has no entity '6'; it has no labels, so give an id from 0 to 5"):
        graphkit.answer(trained, "?x : 0(6, ?x)")


def test_labels_are_data_and_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["[red]alarm[/red]", "[/]", "a [b", "[link=x]y", ":smile:", "\\[z]"]
    print_answers("?x : r([bold]a[/bold], ?x)", [Answer(label, 1.0, i == 0) for i, label in enumerate(labels)])
    out = capsys.readouterr().out
    for label in [*labels, "?x : r([bold]a[/bold], ?x)"]:
        assert label in out
    assert out.count("predicted") == 5 and out.count("known") == 1


def test_a_multi_hop_question_is_answered_from_the_graph_and_said_to_be(run: Path) -> None:
    sentence = (
        "of this question, only answers that the graph's triples give are shown ({} of {}), without scores: "
        "predictions need a model of multi-hop queries, and the run's model is one of single hops"
    )
    two_hops = "?x : road to(town 3, ?y), road to(?y, ?x)"  # by town 4, 7, and 8 of the test split
    with pytest.warns(UserWarning) as said:
        answers = graphkit.answer(run, two_hops)
    assert answers == [Answer(label, None, True) for label in ("town 5", "town 8", "town 9")]
    assert [str(one.message) for one in said] == [sentence.format(3, 3)]
    with pytest.warns(UserWarning) as said:
        assert graphkit.answer(run, two_hops, top=2) == answers[:2]
    assert [str(one.message) for one in said] == [sentence.format(2, 3)]
    with pytest.warns(UserWarning) as said:
        assert graphkit.answer(run, "?x : road to(town 3, ?x), road to(town 5, ?x)") == []
    assert [str(one.message) for one in said] == [sentence.format(0, 0)]


def test_the_command_says_it_on_standard_error(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = "?x : road to(town 3, ?x), not road to(town 7, ?x)"
    assert run_answer(str(run), question, top=10, overrides=[], as_json=True) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == [
        {"label": "town 4", "score": None, "known": True},
        {"label": "town 7", "score": None, "known": True},
    ]
    assert printed.err.startswith("graphkit: of this question, only answers that the graph's triples give are shown (2")
    assert printed.err.count("\n") == 1
    assert run_answer(str(run), question, top=10, overrides=[], as_json=False) == 0
    shown = capsys.readouterr().out
    assert "town 7" in shown and "known" in shown and "None" not in shown
