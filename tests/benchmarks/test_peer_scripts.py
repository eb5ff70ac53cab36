"""The scripts that run beside peers print what was promised, name what is missing, and compare equal things."""

from __future__ import annotations

import importlib.metadata
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from strategies import random_graph

from graphkit.errors import GraphkitError
from graphkit.evaluation import evaluate_links
from graphkit.graph import KnowledgeGraph
from graphkit.models import TransE
from graphkit.samplers import QuerySampler, SamplerOptions

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
MACHINE = {"measured": {}, "stored": {}, "comparable": False, "reason": "a test", "cores_used_by_others": 0.0}

#: Small settings of each script; TransE and GQE stand for all models.
TRAIN_LINKS = "--model transe --dim 16 --batch-size 32 --negatives 8 --steps 2 --peer-steps 2"
EVALUATE_LINKS = "--models transe --dim 16 --repeats 1 --peer-triples 20 --many-entities 0"
TRAIN_QUERIES = "--models gqe --graph geography --dim 16 --batch-size 64 --negatives 8 --steps 2"

#: PyKEEN calls what torch and pandas have deprecated.
beside_pykeen = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes the scripts importable; the machine is not measured, and keeps its threads."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))  # for the processes that they start
    import calibration

    monkeypatch.setattr(calibration, "calibrate", lambda: MACHINE)
    monkeypatch.setattr(calibration, "lines", lambda _: [])
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for path in SCRIPTS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def graph() -> KnowledgeGraph:
    """60 entities, with triples held out."""
    triples = random_graph(60, 3, 400).triples()
    return KnowledgeGraph.from_triples(
        triples[:300], valid=triples[300:340], test=triples[340:], num_entities=60, num_relations=3
    )


@pytest.fixture
def store(graph: KnowledgeGraph, tmp_path: Path) -> Path:
    """The folder of that graph."""
    graph.save(tmp_path / "store")
    return tmp_path / "store"


def run(script: str, arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs a script in this process."""
    monkeypatch.setattr(sys, "argv", [script, *arguments.split()])
    code: int = __import__(script).main()
    return code


def printed(script: str, arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a script; its standard output is one JSON object, and its table stands on standard error."""
    assert run(script, f"{arguments} --json", monkeypatch) == 0
    streams = capsys.readouterr()
    assert streams.err
    return json.loads(streams.out)


def without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the installed peers."""

    def version(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.parametrize(("script", "arguments"), [("train_links", TRAIN_LINKS), ("evaluate_links", EVALUATE_LINKS)])
def test_a_missing_peer_is_named_with_the_command_that_adds_it(
    script: str, arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_peers(monkeypatch)
    assert run(script, arguments, monkeypatch) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err == (
        f"{script}: this benchmark runs beside PyKEEN 1.11.1, and none is installed; run make bench-env, or say "
        "--no-peer to measure graphkit alone\n"
    )


def test_a_peer_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import reporting

    monkeypatch.setattr(importlib.metadata, "version", lambda _: "1.12.0")
    with pytest.raises(GraphkitError) as error:
        reporting.require_peer("pykeen")
    assert str(error.value) == (
        "this benchmark runs beside PyKEEN 1.11.1, and 1.12.0 is installed; run make bench-env, or say --no-peer to "
        "measure graphkit alone"
    )


@pytest.mark.parametrize("peer", [False, True])
@beside_pykeen
def test_the_training_benchmark_prints_its_promised_object(
    peer: bool, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if peer:
        pytest.importorskip("pykeen", reason="PyKEEN is not installed (make bench-env), so its side is not tested")
    written = f"--graph {store} --out {tmp_path / 'result.json'} --picture {tmp_path / 'bars.svg'}"
    shared = "--shared-lr 0.5 --shared-negatives 2"
    result = printed(
        "train_links", f"{TRAIN_LINKS} {written} {shared}" + ("" if peer else " --no-peer"), monkeypatch, capsys
    )
    for side in ("graphkit_own", "graphkit_shared", "pyg", *(["pykeen"] if peer else [])):
        row = result[side]
        assert row["mrr"] is None
        assert row["triples_per_s"] * row["wall_s_per_step"] == pytest.approx(32)
        assert row["cpu_s_per_step"] > 0
    if peer:
        own = result["graphkit_own"]["triples_per_s"] / result["pykeen"]["triples_per_s"]
        assert result["ratio_own"] == own
    else:
        assert (result["pykeen"], result["ratio_own"], result["ratio_shared"]) == (None, None, None)
    assert (result["settings"]["shared_lr"], result["settings"]["shared_negatives"]) == (0.5, 2)
    assert result["calibration"] == MACHINE
    assert result["cores_used_by_others"] >= 0
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert (tmp_path / "bars.svg").read_text().startswith("<?xml")


@beside_pykeen
def test_the_training_benchmark_compares_quality_at_equal_epochs(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pykeen", reason="PyKEEN is not installed (make bench-env), so its side is not tested")
    graphs = f"--graph {store} --quality-graph {store} --picture {tmp_path / 'curves.svg'}"
    result = printed("train_links", f"{TRAIN_LINKS} --quality --epochs 3 {graphs}", monkeypatch, capsys)
    for side in ("graphkit_own", "graphkit_shared", "pykeen"):
        curve = result[side]["curve"]
        assert [point["epoch"] for point in curve] == [1, 2, 3]
        assert all(before["seconds"] < after["seconds"] for before, after in pairwise(curve))
        assert 0 < result[side]["mrr"] <= 1
        assert result[side]["ranked_by"] == "graphkit"
    assert (tmp_path / "curves.svg").exists()


def test_graphkit_never_trains_on_more_positives_than_the_epochs_have(
    graph: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    import link_models
    import train_links

    trained = []
    step = train_links.LinkTask.step
    monkeypatch.setattr(train_links.LinkTask, "step", lambda task, batch: trained.append(batch) or step(task, batch))
    settings = link_models.Settings("transe", 8, 32, 4, 0.01, 1.0, 9.0, 0)
    found = train_links.graphkit_quality(graph, settings, "own", epochs=3)
    assert len(trained) == 3 * 300 // 32
    assert len(found["curve"]) == 3


def test_shared_negatives_may_have_a_learning_rate_and_a_number_of_their_own(graph: KnowledgeGraph) -> None:
    import link_models

    def made(mode: str, **other: Any) -> tuple[float, int]:
        settings = link_models.Settings("transe", 8, 32, 4, 0.01, 1.0, 9.0, 0, **other)
        task = link_models.graphkit_task(graph, settings, mode)
        assert {group["lr"] for group in task.dense.param_groups} == {task.table.optimizer.lr}
        return task.table.optimizer.lr, task.sampler.options.negatives

    others = {"shared_lr": 0.5, "shared_negatives": 2, "chunks": 2}
    assert [made("own"), made("shared"), made("own", **others)] == [(0.01, 4)] * 3
    assert made("shared", **others) == (0.5, 2)


@beside_pykeen
@pytest.mark.parametrize("name", ["transe", "complex"])
def test_equal_models_rank_equally_in_graphkit_and_in_pykeen(name: str, graph: KnowledgeGraph) -> None:
    """Data, scores, filters and ties are the same on both sides."""
    pytest.importorskip("pykeen", reason="PyKEEN is not installed (make bench-env), so its side is not tested")
    import link_models

    settings = link_models.Settings(name, 16, 32, 4, 0.05, 1.0, 9.0, 0)
    trained = link_models.train_pykeen(graph, settings, graph.triples(), epochs=2)
    same = link_models.as_graphkit(name, trained, graph)
    assert same is not None
    triples = link_models.held_out(graph, "test", None, 0)
    expected = link_models.PykeenEvaluation(graph, triples).mrr(trained, 16)
    assert evaluate_links(graph, *same).mean["mrr"] == pytest.approx(expected, rel=1e-5)


@beside_pykeen
@pytest.mark.parametrize("name", ["transe", "complex"])
def test_the_loss_of_both_sides_is_the_same_from_the_same_fresh_values(name: str, graph: KnowledgeGraph) -> None:
    pytest.importorskip("pykeen", reason="PyKEEN is not installed (make bench-env), so its side is not tested")
    import link_models

    from graphkit.losses import LogSigmoid

    settings = link_models.Settings(name, 16, 32, 4, 0.05, 0.5, 2.0, seed=3, same_init=True)
    theirs = link_models.pykeen_model(graph, settings)
    theirs.reset_parameters_()
    ours, table = link_models.fresh(name, graph, 16, 2.0, seed=3)
    if name == "transe":  # whose rows PyKEEN normalises
        table.weight = torch.nn.functional.normalize(table.weight)
    heads, relations, tails = torch.from_numpy(graph.triples()[:32]).unbind(dim=1)
    negatives = torch.from_numpy(np.random.default_rng(0).integers(60, size=(32, 4)))

    def their_scores(candidates: torch.Tensor) -> torch.Tensor:
        count = candidates.shape[1]
        rows = torch.stack(
            [heads.repeat_interleave(count), relations.repeat_interleave(count), candidates.flatten()], 1
        )
        found: torch.Tensor = theirs.score_hrt(rows).view(-1, count)
        return found

    queries = ours.project(table.gather(heads), 2 * relations)

    def our_scores(candidates: torch.Tensor) -> torch.Tensor:
        return ours.score(queries, table.weight, candidates)

    expected = theirs.loss.process_slcwa_scores(their_scores(tails.unsqueeze(1)), their_scores(negatives))
    mask = torch.ones_like(negatives, dtype=torch.bool)
    positive = our_scores(tails.unsqueeze(1)).squeeze(1)
    loss = LogSigmoid(adversarial_temperature=0.5).sampled(
        positive, our_scores(negatives), mask, torch.full((32,), 60.0)
    )
    assert loss.mean().item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("peer", [False, True])
@beside_pykeen
def test_the_evaluation_benchmark_prints_its_promised_object(
    peer: bool, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if peer:
        pytest.importorskip("pykeen", reason="PyKEEN is not installed (make bench-env), so its side is not tested")
    arguments = EVALUATE_LINKS.replace("transe", "complex")
    written = f"--graph {store} --picture {tmp_path / 'bars.svg'}"
    result = printed("evaluate_links", f"{arguments} {written}" + ("" if peer else " --no-peer"), monkeypatch, capsys)
    rate = result["graphkit"]["complex"]["triples_per_s"]
    assert rate > 0
    assert result["ratio_transe"] is None
    if peer:
        assert result["pykeen"]["complex"]["triples"] == 20
        assert result["pykeen"]["complex"]["tried"] == [32, 256]
        assert result["ratio_complex"] == rate / result["pykeen"]["complex"]["triples_per_s"]
    else:
        assert (result["pykeen"], result["ratio_complex"]) == (None, None)
    # 60 tails and heads against 60 entities, and the same product in one block.
    triples = result["graphkit"]["complex"]["triples"]
    share = 4e-9 * triples * 60 * 16 / result["graphkit"]["complex"]["seconds"] / result["gemm"]["gflop_per_s"]
    assert result["complex_share_of_gemm"] == pytest.approx(share)
    assert result["gemm"]["shape"][1:] == [16, 60]
    assert "libkge_stored_triples_per_s" not in result
    assert (tmp_path / "bars.svg").exists()


def test_the_evaluation_benchmark_measures_memory_in_another_process(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    large = "--many-entities 2000 --many-dim 4 --many-triples 5"
    arguments = f"{EVALUATE_LINKS.replace('--many-entities 0', large)} --graph {store} --no-peer"
    memory = printed("evaluate_links", arguments, monkeypatch, capsys)["memory"]
    assert (memory["entities"], memory["dim"], memory["triples"]) == (2000, 4, 5)
    assert 0 <= memory["anon_mib_beyond_table"]["transe"] < 300


def test_pykeen_is_not_tried_where_one_of_its_matrices_would_be_too_large(
    graph: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pykeen", reason="PyKEEN is not installed (make bench-env), so its side is not tested")
    import argparse

    import evaluate_links

    monkeypatch.setattr(evaluate_links, "PEER_BYTES", 32 * 60 * 16 * 4 - 1)
    monkeypatch.setattr(evaluate_links, "pykeen_model", lambda *_: None)
    with pytest.raises(GraphkitError) as error:
        evaluate_links.time_pykeen("transe", graph, argparse.Namespace(dim=16, seed=0, peer_triples=5))
    assert str(error.value) == (
        "PyKEEN would hold a matrix of 0 GB, and 0 are allowed; choose a smaller --graph or --dim"
    )


def test_the_multi_hop_benchmark_prints_its_promised_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = printed("train_queries", f"{TRAIN_QUERIES} --picture {tmp_path / 'bars.svg'}", monkeypatch, capsys)
    for mode in ("own", "shared"):
        row = result["steps"]["gqe"][mode]
        assert result["queries_per_s"]["gqe"][mode] == row["queries_per_s"]
        assert row["queries_per_s"] * row["wall_s_per_step"] == pytest.approx(64)
    # The stored figures are of other settings.
    assert (result["kgreasoning_stored"], result["ratio_own"]) == ({}, {})
    assert (tmp_path / "bars.svg").exists()


def test_the_mix_of_structures_is_that_of_two_path_batches_and_one_of_intersections() -> None:
    import train_queries

    shares = train_queries.shares()
    assert math.fsum(shares.values()) == pytest.approx(1)
    assert shares["1p"] == pytest.approx(2 / 3 * 103_509 / 105_509)
    assert shares["2p"] == shares["3p"] == pytest.approx(2 / 3 * 1_000 / 105_509)
    assert shares["2i"] == shares["3i"] == pytest.approx(1 / 6)
    named = Counter(train_queries.mix().split())
    assert {name: count / named.total() for name, count in named.items()} == pytest.approx(shares, abs=5e-3)


def test_the_sampler_draws_the_mix(graph: KnowledgeGraph) -> None:
    import train_queries

    options = SamplerOptions(structures=train_queries.mix(), batch_size=158, mode="none", negatives=0)
    batch = next(QuerySampler(graph, options))
    drawn = {segment.structure.name: len(segment.rows) for segment in batch.segments}
    assert drawn == {"1p": 104, "2p": 1, "3p": 1, "2i": 26, "3i": 26}


@pytest.mark.parametrize("script", ["evaluate_links", "train_queries"])
def test_an_unknown_model_is_named(
    script: str, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peer = " --no-peer" if script == "evaluate_links" else ""
    assert run(script, f"--models nonsense --graph {store}{peer}", monkeypatch) == 2
    known = {"evaluate_links": "transe, complex, rotate", "train_queries": "gqe, query2box, betae"}[script]
    assert capsys.readouterr().err == f"{script}: --models names nonsense, and some of {known} are needed\n"


def test_bars_of_several_results_share_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import bars

    for group in ("one", "two"):
        heights = {group: {"graphkit": 200.0, "peer": 3.0}}
        (tmp_path / f"{group}.json").write_text(json.dumps({"bars": {"label": "a second", "heights": heights}}))
    both = f"{tmp_path / 'one.json'} {tmp_path / 'two.json'}"
    for picture in ("a.svg", "b.svg"):
        assert run("bars", f"{both} --picture {tmp_path / picture}", monkeypatch) == 0
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert bars.join([json.loads((tmp_path / f"{group}.json").read_text()) for group in ("one", "two")]) == (
        "a second",
        {"one": {"graphkit": 200.0, "peer": 3.0}, "two": {"graphkit": 200.0, "peer": 3.0}},
    )


def test_results_that_cannot_share_a_picture_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = {
        "none": {},
        "one": {"bars": {"label": "x", "heights": {}}},
        "two": {"bars": {"label": "y", "heights": {}}},
    }
    for name, result in results.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    picture = f"--picture {tmp_path / 'p.svg'}"
    assert run("bars", f"{tmp_path / 'one.json'} {tmp_path / 'none.json'} {picture}", monkeypatch) == 2
    assert capsys.readouterr().err == "bars: a result has no bars; give files that a benchmark wrote by --out\n"
    assert run("bars", f"{tmp_path / 'one.json'} {tmp_path / 'two.json'} {picture}", monkeypatch) == 2
    assert capsys.readouterr().err == "bars: the results measure different things, x and y; draw one at a time\n"


def test_transe_is_compared_by_the_norm_that_pykeen_has_by_default(graph: KnowledgeGraph) -> None:
    import link_models

    model = link_models.graphkit_model("transe", graph, 8, 9.0)
    assert isinstance(model, TransE)
    assert (model.norm, model.reciprocal, model.margin) == (1, False, 9.0)


class SteadyTask:
    """Batches that take 2 s to wait for, and steps of 3 s, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import reporting

        self.now = 0.0
        monkeypatch.setattr(reporting.time, "perf_counter", lambda: self.now)

    def batches(self) -> Iterator[None]:
        """Goes on for ever."""
        while True:
            self.now += 2
            yield None

    def step(self, _: None) -> None:
        """Takes its time."""
        self.now += 3

    def close(self) -> None:
        """Holds nothing."""


def test_every_timed_step_counts_with_the_wait_for_its_batch(
    graph: KnowledgeGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    import argparse

    import train_links
    import train_queries

    task = SteadyTask(monkeypatch)
    monkeypatch.setattr(train_links, "graphkit_task", lambda *_: task)
    monkeypatch.setattr(train_queries, "QueryTask", lambda *_, **__: task)
    assert train_links.time_graphkit(graph, None, "own", 4).wall == 4 * 5
    options = argparse.Namespace(dim=8, batch_size=64, negatives=8, seed=0, steps=4, layer_precision="fp32")
    assert train_queries.time_steps("gqe", graph, "own", options).wall == 4 * 5
