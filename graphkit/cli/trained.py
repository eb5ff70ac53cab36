"""``graphkit evaluate`` and ``graphkit answer``: the verbs on a trained run."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, cast

from graphkit.answering import KnownAnswersOnly, answer
from graphkit.cli.settings import override
from graphkit.cli.tables import print_answers, print_queries, print_ranks
from graphkit.data import load_queries
from graphkit.evaluation import evaluate_links, evaluate_queries
from graphkit.graph import Split
from graphkit.training import Run, Trained, load_trained, run_config

#: The splits that published queries may have.
HeldOut = Literal["valid", "test"]


def run_evaluate(folder: str, *, split: str, overrides: Sequence[str], as_json: bool) -> int:
    """Ranks the triples of a split, or the published queries that ``queries=NAME`` names, and prints the metrics."""
    trained = _load(folder, overrides, also=("queries",))
    if "queries" in trained.config:
        asked = {"queries": _measure_queries(trained, str(trained.config["queries"]), cast(HeldOut, split))}
        print(json.dumps(asked)) if as_json else print_queries(asked["queries"])
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


def _measure_queries(trained: Trained, name: str, split: HeldOut) -> dict[str, Any]:
    """Returns the metrics of a published query set as `metrics.json` holds them: by split, with the protocol."""
    published = load_queries(name)
    published.require_graph(trained.graph)
    tables = published.tables(split)
    measured = evaluate_queries(trained.model, trained.table, tables, skip_unsupported=True)
    return {split: measured.to_json(), "protocol": {"queries": name, **measured.protocol}}


def _load(folder: str, overrides: Sequence[str], also: Sequence[str] = ()) -> Trained:
    """Loads a run; its graph may have moved, what its configuration may name and what `also` lists is on the line."""
    run = Run.open(folder)
    config = run_config(run)
    settings = [f"graph.{key}" for key in config["graph"] if key != "_target_"]
    return load_trained(run, config=override(config, overrides, allowed=[*settings, "allow_targets", *also]))
