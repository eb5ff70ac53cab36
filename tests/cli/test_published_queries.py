"""``graphkit evaluate RUN queries=NAME``: a published set of multi-hop queries, made up on a small ring."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphkit.cli.main import main
from graphkit.data import load_queries
from graphkit.evaluation import evaluate_queries
from graphkit.graph import SPLITS, KnowledgeGraph
from graphkit.queries import STRUCTURES, easy_and_hard
from graphkit.samplers import held_out
from graphkit.training import Run, load_trained

SIZE, NAMES = 12, ("next", "opposite")
TRIPLES = np.array([(i, k, (i + jump) % SIZE) for k, jump in enumerate((1, 6)) for i in range(SIZE)])
ASKED = ("1p", "2p", "2i", "2u", "2in")
KEYS = {"mrr", "mr", "hits@1", "hits@3", "hits@10"}
COUNTS = {"queries", "hard_answers", "without_hard_answers"}

Line = Callable[..., tuple[int, str, str]]


@pytest.fixture
def line(capsys: pytest.CaptureFixture[str], data: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """Runs a line where the published sets lie in `data`; returns exit code, output and errors."""
    monkeypatch.setenv("GRAPHKIT_DATA", str(data))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of betae_nell995 with a graph of 12 entities and 25 queries of five structures."""
    root = tmp_path_factory.mktemp("data")
    for folder in ("queries/betae-NELL", "queries/query2box-NELL"):
        (root / folder).mkdir(parents=True)
    order = np.random.default_rng(0).permutation(TRIPLES)
    parts = dict(zip(SPLITS, (order[:-8], order[-8:-4], order[-4:]), strict=True))
    both = {
        split: np.concatenate([rows * [1, 2, 1], rows[:, ::-1] * [1, 2, 1] + [0, 1, 0]])
        for split, rows in parts.items()
    }
    np.savez(root / "queries/query2box-NELL/graph.npz", **both)  # type: ignore[arg-type]
    for kind, labels in (
        ("entities", [f"n{i}" for i in range(SIZE)]),
        ("relations", [label for name in NAMES for label in (name, f"{name}_reverse")]),
    ):
        with gzip.open(root / f"queries/query2box-NELL/{kind}.txt.gz", "wt") as file:
            file.write("".join(f"{label}\n" for label in labels))
    graph = KnowledgeGraph.from_triples(*parts.values(), num_entities=SIZE, num_relations=2)
    arrays: dict[str, Any] = {}
    for name in ASKED:
        structure = STRUCTURES[name]
        limits = [{"anchor": SIZE, "relation": 4}[argument] for argument in structure.arguments]
        rows = np.random.default_rng(1).integers(0, limits, (1000, structure.width))
        rows = rows[easy_and_hard(structure, rows, graph).hard.sizes > 0][:5]
        answers = easy_and_hard(structure, rows, graph)
        arrays |= {f"{name}/query": rows}
        for part, found in (("easy", answers.easy), ("hard", answers.hard)):
            arrays |= {f"{name}/{part}": found.values, f"{name}/{part}_ptr": found.offsets}
    np.savez(root / "queries/betae-NELL/test.npz", **arrays)
    return root


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the set's graph, ``kg``, and runs on it, one a model."""
    folder = tmp_path_factory.mktemp("runs")
    load_queries("betae_nell995", root=data).graph.save(folder / "kg")
    for model in ("transe", "gqe"):
        words = [f"graph={folder / 'kg'}", f"model={model}", "model.dim=8", "trainer.max_steps=2"]
        with pytest.raises(SystemExit) as ended:
            main(["train", *words, f"run_dir={folder / model}"])
        assert ended.value.code == 0
    return folder


def test_json_holds_structures_means_and_protocol(line: Line, runs: Path, data: Path) -> None:
    code, out, err = line("evaluate", runs / "gqe", "queries=betae_nell995", "--json")
    assert (code, err) == (0, "")
    queries = json.loads(out)["queries"]
    assert set(json.loads(out)) == {"queries"} and set(queries) == {"test", "protocol"}
    embedded = ["1p", "2p", "2i", "2u"]
    assert list(queries["test"]) == [*embedded, "mean_epfo"]
    for name in embedded:
        assert set(queries["test"][name]) == KEYS | COUNTS | {"optimistic", "pessimistic"}
        assert queries["test"][name]["queries"] == 5
    skipped = queries["protocol"].pop("skipped")
    assert list(skipped) == ["2in"] and skipped["2in"].startswith(
        "GQE has no negations, which queries of the structure"
    )
    assert (queries["protocol"]["queries"], queries["protocol"]["entities"]) == ("betae_nell995", SIZE)
    # The library gives the same numbers.
    trained, published = load_trained(Run.open(runs / "gqe")), load_queries("betae_nell995", root=data)
    asked = {name: table for name, table in published.tables("test").items() if name in embedded}
    assert evaluate_queries(trained.model, trained.table, asked).to_json() == queries["test"]


def test_table_shows_structures_means_and_what_is_left_out(line: Line, runs: Path) -> None:
    code, out, _ = line("evaluate", runs / "transe", "queries=betae_nell995")
    assert code == 0
    assert "test: 15 queries, filtered ranks of their hard answers" in out
    rows = {words[1]: words for words in (row.split() for row in out.splitlines()) if len(words) > 2}
    assert {"1p", "2p", "2u", "mean"} <= set(rows) and not {"2i", "2in"} & set(rows)
    assert "mean EPFO" in out and "mean negation" not in out
    notes = out.splitlines()[-3:]
    assert notes[0] == (
        f"ranked against all {SIZE} entities but the answers; averaged over the hard answers of a query, then the "
        "queries of a structure, then the structures; ties: mean rank"
    )
    assert notes[1].startswith("2i is left out: TransE has no intersections, which queries of the structure 2i need")
    assert notes[2].startswith("2in is left out: TransE has no intersections and no negations, which queries of")


def test_other_settings_stand_beside(line: Line, runs: Path) -> None:
    code, out, _ = line("evaluate", runs / "gqe", f"graph.path={runs / 'kg'}", "queries=betae_nell995", "--json")
    assert code == 0 and set(json.loads(out)) == {"queries"}
    code, out, _ = line("evaluate", runs / "gqe", "--json")
    assert code == 0 and set(json.loads(out)) == {"test", "protocol"}


@pytest.fixture(scope="module")
def query_run(runs: Path) -> Path:
    """A run that was trained and measured on queries drawn from its own graph."""
    words = ["task=queries", "model=gqe", "model.dim=8", "trainer.max_steps=2", "sampler.structures=1p"]
    with pytest.raises(SystemExit) as ended:
        main(["train", f"graph={runs / 'kg'}", *words, f"run_dir={runs / 'drawn'}"])
    assert ended.value.code == 0
    return runs / "drawn"


def test_a_run_on_queries_is_ranked_on_queries(line: Line, query_run: Path) -> None:
    code, out, err = line("evaluate", query_run, "--json")
    assert (code, err) == (0, "")
    queries = json.loads(out)["queries"]
    assert queries == json.loads((query_run / "metrics.json").read_text())["queries"]
    assert set(queries) == {"test", "protocol"}
    assert (queries["protocol"]["queries"], queries["protocol"]["answers_at_most"]) == (
        "drawn from the test triples",
        10_000,
    )
    assert "pni" in queries["protocol"]["skipped"]
    code, out, _ = line("evaluate", query_run, "--split", "valid")
    assert code == 0 and "valid: " in out and "queries, filtered ranks of their hard answers" in out
    assert "queries: drawn from the valid triples, with at most 10,000 answers each" in out
    assert "pni is left out: GQE has no negations" in out
    # A name on the line wins.
    assert (
        json.loads(line("evaluate", query_run, "queries=betae_nell995", "--json")[1])["queries"]["protocol"]["queries"]
        == "betae_nell995"
    )
    assert line("evaluate", query_run, "--split", "train") == (
        2,
        "",
        "graphkit: the train triples make no answer hard, so that no queries rank them; name valid or test\n",
    )


def test_a_run_on_published_queries_is_ranked_on_them(line: Line, runs: Path, tmp_path: Path) -> None:
    words = ["task=queries", "task.queries=betae_nell995", "model=gqe", "model.dim=8", "trainer.max_steps=1"]
    run = ["train", f"graph={runs / 'kg'}", *words, "sampler.structures=1p", f"run_dir={tmp_path / 'run'}"]
    code, out, _ = line(*run)
    assert code == 0 and "queries: betae_nell995" in out.splitlines()
    queries = json.loads(line("evaluate", tmp_path / "run", "--json")[1])["queries"]
    assert queries == json.loads((tmp_path / "run" / "metrics.json").read_text())["queries"]
    assert queries["protocol"]["queries"] == "betae_nell995" and list(queries["protocol"]["skipped"]) == ["2in"]
    # The set has no valid queries: these are drawn, as in training.
    queries = json.loads(line("evaluate", tmp_path / "run", "--split", "valid", "--json")[1])["queries"]
    assert queries["protocol"]["queries"] == "drawn from the valid triples"


def test_a_run_without_queries_to_rank_shows_why(
    line: Line, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "MOST_ANSWERS", 0)
    words = ["task=queries", "model=transe", "model.dim=8", "trainer.max_steps=1", "sampler.structures=1p"]
    code, out, _ = line("train", f"graph={runs / 'kg'}", *words, f"run_dir={tmp_path / 'run'}")
    assert code == 0
    assert re.search(
        r"1p is left out: none of ([\d,]+) queries that were drawn has a hard answer; \1 have more than 0", out
    )
    assert set(json.loads((tmp_path / "run" / "metrics.json").read_text())["queries"]) == {"protocol"}
    code, out, err = line("evaluate", tmp_path / "run")
    assert (code, out) == (2, "")
    assert err.startswith("graphkit: there are no test queries to rank: 1p: none of ")


def test_mistakes_end_with_a_sentence(line: Line, runs: Path, tmp_path: Path) -> None:
    assert line("evaluate", runs / "gqe", "queries=betae_nell99") == (
        2,
        "",
        "graphkit: there is no query set named 'betae_nell99'; nearest: betae_nell995; query sets: query2box_fb15k237, "
        "query2box_nell995, betae_nell995\n",
    )
    assert line("evaluate", runs / "gqe", "queries=betae_nell995", "--split", "valid") == (
        2,
        "",
        "graphkit: betae_nell995 has no valid queries; it has those of test\n",
    )
    assert line("evaluate", runs / "gqe", "querys=betae_nell995")[2].startswith(
        "graphkit: 'querys' cannot be set here; nearest: queries; settings: graph.path, "
    )
    assert line("answer", runs / "gqe", "?x : next(n1, ?x)", "queries=betae_nell995")[2].startswith(
        "graphkit: 'queries' cannot be set here; settings: graph.path, "
    )


def test_queries_of_another_graph_are_refused(line: Line, runs: Path, tmp_path: Path) -> None:
    KnowledgeGraph.from_triples(TRIPLES, num_entities=SIZE, num_relations=2).save(tmp_path / "kg")
    words = ["model=gqe", "model.dim=8", "trainer.max_steps=1", f"run_dir={tmp_path / 'run'}"]
    assert line("train", f"graph={tmp_path / 'kg'}", *words)[0] == 0
    code, out, err = line("evaluate", tmp_path / "run", "queries=betae_nell995")
    assert (code, out) == (2, "")
    ours, theirs = (KnowledgeGraph.open(folder / "kg").fingerprint for folder in (tmp_path, runs))
    assert err.startswith(
        f"graphkit: the query set betae_nell995 was made on the graph {theirs} and this graph is {ours};"
    )
