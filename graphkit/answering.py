"""Answers to questions: a pattern goes in, labelled answers come out, the known ones marked."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from graphkit.engine import EmbeddingTable
from graphkit.errors import GraphkitError
from graphkit.evaluation import query_scorer
from graphkit.graph import SPLITS, KnowledgeGraph
from graphkit.models import Model
from graphkit.queries import ONE_HOP, Query, answers, parse
from graphkit.training import Run, load_trained


class KnownAnswersOnly(UserWarning):
    """The answers of a question leave out what only a model could predict."""


@dataclass(frozen=True)
class Answer:
    """One answer of a question."""

    label: str
    #: the model's logit: larger is better, comparable within one question only; None if no model has scored it
    score: float | None
    #: whether the graph says so, in any of its splits; otherwise it is a prediction
    known: bool


class Answering(Protocol):
    """What answers questions: a loaded run (`load_trained`), or a task in the middle of its training."""

    @property
    def graph(self) -> KnowledgeGraph:
        """The graph that patterns speak of."""

    @property
    def model(self) -> Model:
        """The model that scores."""

    @property
    def table(self) -> EmbeddingTable:
        """Its entity rows."""


def answer(run: Answering | str | Path, pattern: str, *, top: int = 10) -> list[Answer]:
    """Answers a question with a trained run.

    Args:
        run: a run's folder, or a loaded run, which saves loading it for each question.
        pattern: e.g. ``?x : borders(?x, France)``; see `graphkit.queries.parse`.
        top: number of answers.

    Returns:
        For a pattern of one condition, the `top` entities with the highest scores, best first. For any other, up to
        `top` of the answers that the graph's triples of all splits give, without scores, by label; the warning
        `KnownAnswersOnly` says so, since a model of one-hop queries cannot predict more.

    Raises:
        GraphkitError: no such run, a mistake in the pattern (its position is marked), or an unknown label.
    """
    if top < 1:
        raise GraphkitError(f"top is {top}, and at least 1 is needed")
    trained: Answering = load_trained(Run.open(run)) if isinstance(run, str | Path) else run
    query = parse(pattern, trained.graph)
    if query.structure == ONE_HOP:
        return _scored(trained, query, top)
    known = answers(query, trained.graph, SPLITS).tolist()
    shown = sorted(trained.graph.entity_label(entity) for entity in known)[:top]
    warnings.warn(
        f"of this question, only answers that the graph's triples give are shown ({len(shown)} of {len(known)}), "
        "without scores: predictions need a model of multi-hop queries, and the run's model is one of single hops",
        KnownAnswersOnly,
        stacklevel=2,
    )
    return [Answer(label, None, True) for label in shown]


def _scored(trained: Answering, query: Query, top: int) -> list[Answer]:
    graph = trained.graph
    anchor, relation = query.row
    known = set(graph.answers(anchor, relation)[0].tolist())
    row = torch.tensor([query.row]).numpy()
    scorer = query_scorer(trained.model, trained.table, ONE_HOP, row)
    scores = scorer(torch.zeros(1, dtype=torch.int64), 0, graph.num_entities).squeeze(0)
    best = torch.topk(scores, min(top, graph.num_entities))
    return [
        Answer(graph.entity_label(entity), score, entity in known)
        for score, entity in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
