"""Measures training on one-hop queries: graphkit with own and with shared negatives, PyKEEN, and PyG's models.

    python benchmarks/train_links.py --model complex --quality

All train one kind of model of one width on one graph, in turn, by the loss, optimiser and settings of link_models.py;
sampling is part of a step. PyKEEN counts triples, each with negatives of its head and of its tail; graphkit draws
queries of both directions, and a query counts as one triple here: it, too, is a positive with as many negatives.
``--quality`` trains beside that on a small graph, for as many positives on each side, and compares filtered test MRR.
``--json`` prints one JSON object alone on standard output.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import bars
import numpy as np
from link_models import (
    MODELS,
    PykeenEvaluation,
    Settings,
    as_graphkit,
    graphkit_task,
    held_out,
    time_pyg,
    train_pykeen,
)
from query_sampler import load
from reporting import Result, Stopwatch, draw_bars, parser, rates, ratio, report, require_peer, shown

from graphkit.evaluation import evaluate_links
from graphkit.graph import KnowledgeGraph, Split
from graphkit.training import LinkTask

#: Steps before the clock starts.
WARM_UP = 3
PEER_WARM_UP = 1
#: Triples that PyKEEN ranks at once in ``--quality``.
RANKED_AT_ONCE = 32

TITLES = {"graphkit_own": "graphkit, own", "graphkit_shared": "graphkit, shared", "pykeen": "PyKEEN", "pyg": "PyG"}


def time_graphkit(graph: KnowledgeGraph, settings: Settings, mode: str, steps: int) -> Stopwatch:
    """Times training steps of graphkit, from the end of one to the end of another: with drawing and gathering."""
    task = graphkit_task(graph, settings, mode)
    watch = Stopwatch()
    for done, batch in enumerate(task.batches(), start=1):
        task.step(batch)
        if done == WARM_UP:
            watch.start()
        elif done == WARM_UP + steps:
            watch.stop()
            break
    task.close()
    return watch


def time_pykeen(graph: KnowledgeGraph, settings: Settings, steps: int) -> Stopwatch:
    """Times training steps of PyKEEN: from the end of one batch to the end of another, so with its negatives."""
    watch, done = Stopwatch(), 0

    def after_batch() -> None:
        nonlocal done
        done += 1
        if done == PEER_WARM_UP:
            watch.start()
        elif done == PEER_WARM_UP + steps:
            watch.stop()

    # As many triples as the steps need, since the loop stops at the end of an epoch alone.
    triples = graph.triples()
    needed = (PEER_WARM_UP + steps) * settings.batch_size
    some = np.random.default_rng(settings.seed).permutation(len(triples))[:needed]
    batches = math.ceil(len(some) / settings.batch_size)
    train_pykeen(
        graph, settings, triples[some], epochs=math.ceil((PEER_WARM_UP + steps) / batches), after_batch=after_batch
    )
    return watch


def speed(graph: KnowledgeGraph, settings: Settings, options: argparse.Namespace) -> Result:
    """Returns the figures of every side, in turn."""
    watches = {
        f"graphkit_{mode}": (time_graphkit(graph, settings, mode, options.steps), options.steps)
        for mode in ("own", "shared")
    }
    if options.peer:
        watches["pykeen"] = time_pykeen(graph, settings, options.peer_steps), options.peer_steps
    watches["pyg"] = time_pyg(graph, settings, warm_up=WARM_UP, steps=options.steps), options.steps
    figures: Result = {
        side: {**rates(watch, steps, settings.batch_size, "triples"), "steps": steps, "mrr": None}
        for side, (watch, steps) in watches.items()
    }
    figures["pyg"]["negatives"] = 1
    return figures


def mrr(graph: KnowledgeGraph, task: LinkTask, split: Split) -> float:
    """Returns the filtered MRR of a task's model on a split, both sides."""
    with task.evaluating():
        return evaluate_links(graph, task.model, task.table, split=split).mean["mrr"]


def graphkit_quality(graph: KnowledgeGraph, settings: Settings, mode: str, epochs: int) -> Result:
    """Trains for as many positives as `epochs` passes over the triples have, at most; returns curve and test MRR."""
    task = graphkit_task(graph, settings, mode)
    watch, curve = Stopwatch(), []
    watch.start()
    batches = task.batches()
    done = 0
    for epoch in range(1, epochs + 1):
        steps = epoch * graph.num_edges // settings.batch_size
        for _ in range(steps - done):
            task.step(next(batches))
        done = steps
        watch.stop()
        curve.append({"epoch": epoch, "seconds": watch.wall, "mrr": mrr(graph, task, "valid")})
        watch.start()
    task.close()
    return {"mrr": mrr(graph, task, "test"), "curve": curve, "ranked_by": "graphkit"}


def pykeen_quality(graph: KnowledgeGraph, settings: Settings, epochs: int) -> Result:
    """Trains PyKEEN's model for `epochs`; ranks by graphkit where its models agree, by PyKEEN's evaluator elsewhere."""
    evaluations = {split: PykeenEvaluation(graph, held_out(graph, split, None, 0)) for split in ("valid", "test")}
    ranked_by = ""

    def measure(model: Any, split: Split) -> float:
        nonlocal ranked_by
        same = as_graphkit(settings.model, model, graph)
        ranked_by = "graphkit" if same else "PyKEEN"
        if same is None:
            return evaluations[split].mrr(model, RANKED_AT_ONCE)
        return evaluate_links(graph, *same, split=split).mean["mrr"]

    watch, curve = Stopwatch(), []

    def after_epoch(model: Any) -> None:
        watch.stop()
        curve.append({"epoch": len(curve) + 1, "seconds": watch.wall, "mrr": measure(model, "valid")})
        model.train()
        watch.start()

    watch.start()
    model = train_pykeen(graph, settings, graph.triples(), epochs=epochs, after_epoch=after_epoch)
    return {"mrr": measure(model, "test"), "curve": curve, "ranked_by": ranked_by}


def quality(graph: KnowledgeGraph, settings: Settings, options: argparse.Namespace) -> Result:
    """Returns test MRR and validation curve of graphkit and PyKEEN, in turn."""
    found = {f"graphkit_{mode}": graphkit_quality(graph, settings, mode, options.epochs) for mode in ("own", "shared")}
    if options.peer:
        found["pykeen"] = pykeen_quality(graph, settings, options.epochs)
    return found


def measure(options: argparse.Namespace) -> Result:
    """Returns all figures."""
    if options.peer:
        require_peer("pykeen")
    settings = Settings(
        model=options.model,
        dim=options.dim,
        batch_size=options.batch_size,
        negatives=options.negatives,
        lr=options.lr,
        temperature=options.temperature,
        margin=options.margin,
        seed=options.seed,
        chunks=options.chunks,
        same_init=options.same_init,
        shared_lr=options.shared_lr,
        shared_negatives=options.shared_negatives,
    )
    start = time.perf_counter()
    figures = speed(load(options.graph, Path()), settings, options)
    if options.quality:
        for side, found in quality(load(options.quality_graph, Path()), settings, options).items():
            figures[side] |= found
    figures.setdefault("pykeen", None)
    rate = {side: row["triples_per_s"] for side, row in figures.items() if row is not None}
    return {
        **figures,
        **{f"ratio_{mode}": ratio(rate[f"graphkit_{mode}"], rate.get("pykeen")) for mode in ("own", "shared")},
        "settings": vars(settings),
        "graph": options.graph,
        "quality_graph": options.quality_graph if options.quality else None,
        "seconds": time.perf_counter() - start,
        "bars": {
            "label": "positive triples trained a second",
            "heights": {MODELS[settings.model]: {TITLES[side]: rate[side] for side in TITLES if side in rate}},
        },
    }


def show(result: Result, out: TextIO) -> None:
    """Prints the table."""
    settings = Settings(**result["settings"])
    (lr, negatives), (shared_lr, shared_negatives) = settings.of("own"), settings.of("shared")
    print(
        f"{MODELS[settings.model]} on {result['graph']}: {settings.dim} reals a row, batches of {settings.batch_size}, "
        f"{negatives} negatives by Adam with lr {lr} (PyG: 1); shared: {shared_negatives} for each of "
        f"{settings.chunks} chunks of a batch, lr {shared_lr}; {result['threads']} threads",
        file=out,
    )
    print(f"{'':18}{'triples/s':>12}{'wall s/step':>14}{'CPU s/step':>12}{'test MRR':>10}", file=out)
    for side, title in TITLES.items():
        row = result[side]
        if row is None:
            print(f"{title:18}{'not measured, as --no-peer says':>48}", file=out)
            continue
        cells = f"{row['triples_per_s']:12,.0f}{row['wall_s_per_step']:14.4f}{row['cpu_s_per_step']:12.4f}"
        print(f"{title:18}{cells}{shown(row['mrr'], 4):>10}", file=out)
    print(
        f"graphkit : PyKEEN, by the clock: own {shown(result['ratio_own'])}, shared {shown(result['ratio_shared'])}",
        file=out,
    )


def draw(result: Result, path: Path) -> None:
    """Draws validation MRR against training seconds where there is a curve, and bars of the speeds elsewhere."""
    if result["quality_graph"] is None:
        draw_bars(result, path)
        return
    plot = bars.pyplot()
    figure, axes = plot.subplots(figsize=(4.8, 3.2), layout="constrained")
    for side, title in TITLES.items():
        if result[side] and "curve" in result[side]:
            curve = result[side]["curve"]
            axes.plot([point["seconds"] for point in curve], [point["mrr"] for point in curve], "o-", label=title)
    axes.set(
        title=f"{MODELS[result['settings']['model']]} on {result['quality_graph']}",
        xlabel="seconds of training",
        ylabel="validation MRR, filtered",
        ylim=(0, None),
    )
    bars.logarithmic(axes, "x")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    bars.save(figure, path)
    plot.close(figure)


def main() -> int:
    """Measures and prints."""
    made = parser(__doc__)
    made.add_argument("--model", choices=MODELS, required=True)
    made.add_argument("--quality", action="store_true", help="compare test MRR, too")
    made.add_argument("--graph", default="wn18rr", help="of the speeds: a name, or the folder of a store")
    made.add_argument("--quality-graph", default="codex_s", help="of --quality")
    made.add_argument("--dim", type=int, default=400, help="reals of a row (default: 400)")
    made.add_argument("--batch-size", type=int, default=1024)
    made.add_argument("--negatives", type=int, default=256, help="of a triple (own), or of a chunk (shared)")
    made.add_argument("--shared-negatives", type=int, help="of a chunk (default: --negatives)")
    made.add_argument("--chunks", type=int, default=1, help="of a batch, whose queries share negatives (default: 1)")
    made.add_argument("--steps", type=int, default=20, help="that are timed (default: 20)")
    made.add_argument("--peer-steps", type=int, default=5, help="of PyKEEN that are timed (default: 5)")
    made.add_argument("--epochs", type=int, default=5, help="of --quality (default: 5)")
    made.add_argument("--lr", type=float, default=1e-3, help="of Adam (default: 0.001)")
    made.add_argument("--shared-lr", type=float, help="of Adam with shared negatives (default: --lr)")
    made.add_argument("--temperature", type=float, default=1.0, help="of the self-adversarial weights (default: 1)")
    made.add_argument("--margin", type=float, default=9.0, help="of TransE and RotatE (default: 9)")
    made.add_argument("--same-init", action="store_true", help="let PyKEEN begin with graphkit's fresh values")
    made.add_argument("--no-peer", dest="peer", action="store_false", help="leave PyKEEN out")
    options = made.parse_args()
    return report("train_links", options, lambda: measure(options), show, draw)


if __name__ == "__main__":
    sys.exit(main())
