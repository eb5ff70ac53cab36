"""``graphkit evaluate`` and ``graphkit answer``: the verbs on a trained run."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

from graphkit.answering import KnownAnswersOnly, answer
from graphkit.cli.settings import override
from graphkit.cli.tables import print_answers, print_queries, print_ranks
from graphkit.evaluation import evaluate_links
from graphkit.graph import Split
from graphkit.training import Run, Trained, load_trained, run_config
from graphkit.training.queries import HeldOut, Questions, load_published, questions


def run_evaluate(folder: str, *, split: str, overrides: Sequence[str], as_json: bool) -> int:
    """Ranks what the run's task ranks, or the published queries that ``queries=NAME`` names; prints the metrics."""
    trained = _load(folder, overrides, also=("queries",))
    asked = _questions(trained, split)
    if asked is not None:
        answered = asked.measure(trained.model, trained.table)
        print(json.dumps({"queries": answered})) if as_json else print_queries(answered)
        return 0
    measured = evaluate_links(trained.graph, trained.model, trained.table, split=cast(Split, split))
    if as_json:
        print(json.dumps({split: measured.to_json(), "protocol": measured.protocol}))
    else:
        print_ranks(measured.to_json(), measured.protocol)
    return 0


def run_answer(folder: str, pattern: str, *, top: int, overrides: Sequence[str], as_json: bool) -> int:
    """Answers a question and prints the ranked answers; what is missing from them is said on standard error."""
    trained = _load(folder, overrides)
    with warnings.catch_warnings():
        warnings.simplefilter("always", KnownAnswersOnly)
        warnings.showwarning = lambda message, *_, **__: print(f"graphkit: {message}", file=sys.stderr)
        answers = answer(trained, pattern, top=top)
    if as_json:
        print(json.dumps([asdict(one) for one in answers], ensure_ascii=False))
    else:
        print_answers(pattern, answers)
    return 0


def _questions(trained: Trained, split: str) -> Questions | None:
    """Returns the queries to rank: of the set that the line names, or of the run's task; None where it ranks links."""
    config, graph = trained.config, trained.graph
    if "queries" in config:
        return Questions.published(load_published(str(config["queries"]), graph), cast(HeldOut, split))
    # Tasks that rank queries say which, as conf/task/queries.yaml does; to find the class would run code for nothing.
    if "queries" not in config["task"]:
        return None
    name = config["task"]["queries"]
    return questions(graph, trained.model, cast(Split, split), None if name is None else load_published(name, graph))


def _load(folder: str, overrides: Sequence[str], also: Sequence[str] = ()) -> Trained:
    """Loads a run; its graph may have moved, what its configuration may name and what `also` lists is on the line."""
    run = Run.open(folder)
    config = run_config(run)
    settings = [f"graph.{key}" for key in config["graph"] if key != "_target_"]
    return load_trained(run, config=override(config, overrides, allowed=[*settings, "allow_targets", *also]))
