"""Answers of a trained run: labels, logits, and what the graph knows already."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import graphkit
from graphkit.cli.tables import Answer, print_answers
from graphkit.cli.trained import run_answer
from graphkit.engine import EmbeddingTable
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.models import GQE, ComplEx, Model
from graphkit.queries import parse
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


def best_first(answers: list[Answer]) -> bool:
    scores = [answer.score for answer in answers]
    return None not in scores and scores == sorted(scores, reverse=True)  # type: ignore[type-var]


def test_known_answers_come_first_then_predictions_each_best_first(run: Path) -> None:
    answers = graphkit.answer(run, "?x : road to(town 3, ?x)", top=4)
    assert [answer.known for answer in answers] == [True] * 3 + [False] * 4  # top counts predictions alone
    assert all(isinstance(answer, Answer) and answer.label in NAMES for answer in answers)
    assert best_first(answers[:3]) and best_first(answers[3:])
    everything = graphkit.answer(run, "?x : road to(town 3, ?x)", top=99)
    assert everything[:7] == answers and best_first(everything[3:]) and len(everything) == 10


def test_both_directions_are_asked(run: Path) -> None:
    for question, label in (("?x : road to(?x, town 5)", "town 4"), ("?x : road to(town 5, ?x)", "town 6")):
        answers = graphkit.answer(run, question)
        assert answers[0].label == label and best_first(answers)  # the model has learned it


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


@dataclass(frozen=True)
class Asked:
    """A model on a graph, as a task in the middle of its training is."""

    graph: KnowledgeGraph
    model: Model
    table: EmbeddingTable


@pytest.fixture
def asked(run: Path) -> Asked:
    """The run's graph under an untrained model of paths, intersections and unions."""
    graph = load_trained(Run.open(run)).graph
    model, generator = GQE(graph.num_relations, dim=6), torch.Generator().manual_seed(0)
    model.initialize(generator)
    return Asked(graph, model.eval(), EmbeddingTable(model.initial_rows(10, generator)))


@pytest.mark.parametrize(
    ("question", "known"),
    [
        ("?x : road to(town 3, ?y), road to(?y, ?x)", {5, 8, 9}),  # by town 4, 7, and 8 of the test split
        ("?x : road to(town 3, ?x), road to(?x, town 9)", {8}),
        ("?x : road to(town 3, ?x) or road to(town 5, ?x)", {4, 6, 7, 8}),
        ("?x : road to(town 3, ?x), road to(town 5, ?x)", set()),
    ],
)
def test_multi_hop_questions_get_known_answers_first_then_predictions(
    asked: Asked, question: str, known: set[int]
) -> None:
    answers = graphkit.answer(asked, question, top=4)
    assert {answer.label for answer in answers if answer.known} == {town(i) for i in known}
    assert [answer.known for answer in answers] == [True] * len(known) + [False] * 4
    query = parse(question, asked.graph)
    columns = [list(query.structure.columns(kind)) for kind in ("anchor", "relation")]
    anchors, relations = (torch.tensor(query.row)[None, of_kind] for of_kind in columns)
    with torch.inference_mode():
        embedded = asked.model.embed(query.structure, asked.table.weight[anchors], relations)
        logits = asked.model.logits(embedded, asked.table.weight)[0].tolist()
    order = sorted(range(10), key=lambda i: -logits[i])
    expected = [i for i in order if i in known] + [i for i in order if i not in known][:4]
    assert [answer.label for answer in answers] == [town(i) for i in expected]
    assert [answer.score for answer in answers] == pytest.approx([logits[i] for i in expected], rel=1e-5)


def test_entities_are_scored_part_by_part(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    question = "?x : road to(town 3, ?y), road to(?y, ?x)"
    whole = graphkit.answer(asked, question)
    monkeypatch.setattr("graphkit.answering._ENTITIES_AT_ONCE", 3)
    parts = graphkit.answer(asked, question)
    assert [answer.label for answer in parts] == [answer.label for answer in whole]


def test_a_question_that_everything_answers_leaves_nothing_to_predict() -> None:
    graph = KnowledgeGraph.from_triples([(i, 0, j) for i in range(3) for j in range(3)])
    model, generator = GQE(1, dim=4), torch.Generator().manual_seed(0)
    model.initialize(generator)
    asked = Asked(graph, model, EmbeddingTable(model.initial_rows(3, generator)))
    for question in ("?x : 0(1, ?x)", "?x : 0(1, ?y), 0(?y, ?x)"):
        answers = graphkit.answer(asked, question)
        assert {answer.label for answer in answers} == set("012")
        assert all(answer.known for answer in answers) and best_first(answers)


def test_a_score_that_is_not_a_number_is_refused(asked: Asked) -> None:
    asked.table.weight[4] = torch.nan
    with pytest.raises(GraphkitError) as error:
        graphkit.answer(asked, "?x : road to(town 3, ?x)")
    assert str(error.value) == (
        "the score of this question is not a number; the model has diverged: train again with a lower lr"
    )


def known_only(found: int, structure: str, missing: str) -> str:
    return (
        f"of this question, only the answers that the graph's triples give are shown ({found}), without scores: "
        f"ComplEx has {missing}, which queries of the structure {structure} need; "
    )


def test_a_question_beyond_the_model_is_answered_from_the_graph_and_said_to_be(run: Path) -> None:
    with pytest.warns(UserWarning) as said:
        answers = graphkit.answer(run, "?x : road to(town 3, ?y), road to(?y, ?x), not road to(town 4, ?x)", top=1)
    assert answers == [Answer(label, None, True) for label in ("town 8", "town 9")]  # all of them, by label
    (one,) = said
    assert str(one.message).startswith(known_only(2, "pin", "no intersections and no negations"))
    with pytest.warns(UserWarning) as said:
        assert graphkit.answer(run, "?x : road to(town 3, ?x), road to(town 5, ?x)") == []
    (one,) = said
    assert str(one.message).startswith(known_only(0, "2i", "no intersections"))


def test_the_command_says_it_on_standard_error(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = "?x : road to(town 3, ?x), not road to(town 7, ?x)"
    assert run_answer(str(run), question, top=10, overrides=[], as_json=True) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == [
        {"label": "town 4", "score": None, "known": True},
        {"label": "town 7", "score": None, "known": True},
    ]
    assert printed.err.startswith(f"graphkit: {known_only(2, '2in', 'no intersections and no negations')}")
    assert printed.err.count("\n") == 1
    assert run_answer(str(run), question, top=10, overrides=[], as_json=False) == 0
    shown = capsys.readouterr().out
    assert "town 7" in shown and "known" in shown and "None" not in shown
