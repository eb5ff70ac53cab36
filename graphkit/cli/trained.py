"""``graphkit evaluate`` and ``graphkit answer``: the verbs on a trained run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

from graphkit.answer import answer
from graphkit.cli.compose import override
from graphkit.cli.tables import print_answers, print_ranks
from graphkit.evaluation import evaluate_links
from graphkit.graph import Split
from graphkit.training import Run, load_graph, load_trained


def run_evaluate(folder: str, *, split: str, overrides: Sequence[str], as_json: bool) -> int:
    """Ranks the triples of a split and prints the metrics."""
    run = Run.open(folder)
    config = run.config
    settings = [f"graph.{key}" for key in config.get("graph", {}) if key != "_target_"]
    graph = load_graph(override(config, overrides, allowed=settings))
    trained = load_trained(run, graph=graph)
    measured = evaluate_links(trained.graph, trained.model, trained.table, split=cast(Split, split))
    if as_json:
        print(json.dumps({split: measured.to_json(), "protocol": measured.protocol}))
    else:
        print_ranks(measured.to_json(), measured.protocol)
    return 0


def run_answer(folder: str, pattern: str, *, top: int, as_json: bool) -> int:
    """Answers a question and prints the ranked answers."""
    answers = answer(folder, pattern, top=top)
    if as_json:
        print(json.dumps([asdict(one) for one in answers], ensure_ascii=False))
    else:
        print_answers(pattern, answers)
    return 0
