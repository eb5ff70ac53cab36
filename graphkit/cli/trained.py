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
from graphkit.cli.tables import print_answers, print_ranks
from graphkit.evaluation import evaluate_links
from graphkit.graph import Split
from graphkit.training import Run, Trained, load_trained, run_config


def run_evaluate(folder: str, *, split: str, overrides: Sequence[str], as_json: bool) -> int:
    """Ranks the triples of a split and prints the metrics."""
    trained = _load(folder, overrides)
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


def _load(folder: str, overrides: Sequence[str]) -> Trained:
    """Loads a run; its graph may have moved, and what its configuration may name is said on the line."""
    run = Run.open(folder)
    config = run_config(run)
    settings = [f"graph.{key}" for key in config["graph"] if key != "_target_"]
    return load_trained(run, config=override(config, overrides, allowed=[*settings, "allow_targets"]))
