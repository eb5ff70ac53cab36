"""Answers to questions: a pattern goes in, labelled answers come out, the known ones first and marked."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from graphkit.engine import EmbeddingTable
from graphkit.errors import GraphkitError
from graphkit.evaluation import Candidates, query_scorer
from graphkit.evaluation.ranking import not_a_number
from graphkit.graph import SPLITS, KnowledgeGraph
from graphkit.models import Model
from graphkit.queries import ONE_HOP, Query, answers, parse
from graphkit.training import Run, load_trained

#: Entities that are encoded and scored together.
_ENTITIES_AT_ONCE = 65_536


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
    """Answers a question with a trained run: what the graph says first, then what the model predicts.

    Args:
        run: a run's folder, or a loaded run, which saves loading it for each question.
        pattern: e.g. ``?x : borders(?x, France)``; see `graphkit.queries.parse`.
        top: number of predictions.

    Returns:
        Every answer that the graph's triples of all splits give, marked as known, then the `top` other entities with
        the highest scores; each part best first. A prediction may be an entity that the question names. If the model
        cannot embed the question there are no predictions and no scores: the known answers come by label, and the
        warning `KnownAnswersOnly` says so.

    Raises:
        GraphkitError: no such run, a mistake in the pattern (its position is marked), an unknown label, or a score
            that is NaN.
    """
    if top < 1:
        raise GraphkitError(f"top is {top}, and at least 1 is needed")
    trained: Answering = load_trained(Run.open(run)) if isinstance(run, str | Path) else run
    graph, query = trained.graph, parse(pattern, trained.graph)
    known = _known(graph, query)
    if reason := trained.model.missing(query.structure):
        warnings.warn(
            f"of this question, only the answers that the graph's triples give are shown ({len(known)}), without "
            f"scores: {reason}",
            KnownAnswersOnly,
            stacklevel=2,
        )
        return [Answer(label, None, True) for label in sorted(map(graph.entity_label, known.tolist()))]
    scores = _scores(trained, query)
    unknown = torch.ones(len(scores), dtype=torch.bool)
    unknown[known] = False
    others = unknown.nonzero().squeeze(1)
    best_known = scores[known].sort(descending=True, stable=True)
    best_others = scores[others].topk(min(top, len(others)))
    return [
        Answer(graph.entity_label(entity), score, is_known)
        for entities, best, is_known in ((known, best_known, True), (others, best_others, False))
        for entity, score in zip(entities[best.indices].tolist(), best.values.tolist(), strict=True)
    ]


def _known(graph: KnowledgeGraph, query: Query) -> Tensor:
    """Returns int64[A]: the answers that the triples of all splits give."""
    if query.structure == ONE_HOP:
        # Looked up split by split; execution would make one index of all splits first.
        anchor, relation = query.row
        return torch.from_numpy(graph.answers(anchor, relation)[0])
    return torch.from_numpy(answers(query, graph, SPLITS))


def _scores(trained: Answering, query: Query) -> Tensor:
    """Returns float[N]: the logits of all entities."""
    rows = np.array([query.row], dtype=np.int64)
    # For one query, encoded entities need not be kept.
    candidates = Candidates(trained.model, trained.table, kept_bytes=0)
    scorer = query_scorer(trained.model, trained.table, query.structure, rows, candidates=candidates)
    parts = []
    for first in range(0, trained.graph.num_entities, _ENTITIES_AT_ONCE):
        last = min(first + _ENTITIES_AT_ONCE, trained.graph.num_entities)
        scores = scorer(torch.zeros(1, dtype=torch.int64), first, last)[0]
        if scores.isnan().any():
            raise not_a_number("this question")
        parts.append(scores.to(torch.promote_types(scores.dtype, torch.float32)))
    return torch.cat(parts)
