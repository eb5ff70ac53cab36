"""Tables on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from graphkit.answering import Answer

_COLUMNS = ("mrr", "hits@1", "hits@3", "hits@10", "mr")


def print_metrics(metrics: dict[str, Any]) -> None:
    """Prints the metrics of a run with the protocol that made them."""
    console = Console()
    if "test" in metrics:
        print_ranks(metrics["test"], metrics["protocol"])
    if "queries" in metrics:
        print_queries(metrics["queries"])
    if "probe" in metrics:
        print_probe(metrics["probe"])
    if "partition" in metrics:
        print_partition(metrics["partition"], metrics["train"])
    train = metrics["train"]
    samples = "rows" if "partition" in metrics else "positives"
    console.print(
        f"trained {train['steps']:,} steps (best: {train['best_step']:,}) in {train['seconds']:.1f} s wall, "
        f"{train['cpu_seconds']:.1f} s CPU; {train['samples_per_second']:,.0f} {samples}/s; "
        f"peak {train['peak_anon_mib']:,.0f} MiB anonymous memory",
        highlight=False,
        soft_wrap=True,
    )


def print_ranks(measured: dict[str, Any], protocol: dict[str, Any]) -> None:
    """Prints link prediction metrics: both sides, each side, and the other readings of ties."""
    console = Console()
    table = _metrics_table(f"{protocol['split']}: {protocol['triples']:,} triples, filtered ranks")
    rows = {"both sides": measured, "tails": measured["tail"], "heads": measured["head"]}
    if measured["optimistic"] != measured["pessimistic"]:
        rows |= {"ties optimistic": measured["optimistic"], "ties pessimistic": measured["pessimistic"]}
    for name, row in rows.items():
        table.add_row(name, *_cells(row))
    console.print(table)
    console.print(
        f"ranked against all {protocol['entities']:,} entities, filtered by {', '.join(protocol['filtered_by'])}; "
        f"ties: {protocol['ties']}",
        highlight=False,
        soft_wrap=True,
    )


def print_queries(queries: dict[str, Any]) -> None:
    """Prints metrics of multi-hop queries, ``{split: metrics, "protocol": ...}``: each structure, then the means."""
    console = Console()
    protocol = queries["protocol"]
    for split, measured in queries.items():
        if split == "protocol":
            continue
        means = {"mean_epfo": "mean EPFO", "mean_negation": "mean negation"}
        structures = {name: row for name, row in measured.items() if name not in means}
        asked = sum(row["queries"] for row in structures.values())
        table = _metrics_table(f"{split}: {asked:,} queries, filtered ranks of their hard answers")
        for column in ("queries", "hard answers"):
            table.add_column(column, justify="right")
        for name, row in structures.items():
            table.add_row(name, *_cells(row), f"{row['queries']:,}", f"{row['hard_answers']:,}")
        table.add_section()
        for mean, title in means.items():
            if mean in measured:
                table.add_row(title, *_cells(measured[mean]))
        console.print(table)
    at_most = f", with at most {protocol['answers_at_most']:,} answers each" if "answers_at_most" in protocol else ""
    notes = [f"queries: {protocol['queries']}{at_most}"]
    if "entities" in protocol:  # of a run without queries to rank, there is only why
        notes.append(
            f"ranked against all {protocol['entities']:,} entities but the answers; averaged over the "
            f"{', then the '.join(protocol['averaged_over'])}; ties: {protocol['ties']}"
        )
    notes += [f"{name} is left out: {reason}" for name, reason in protocol["skipped"].items()]
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True, markup=False)


def print_probe(probe: dict[str, Any]) -> None:
    """Prints how well a linear probe reads labels off embeddings, and off features without training."""
    table = Table(title=f"linear probe: accuracy over {probe['splits']} splits")
    for column in ("", "accuracy", "±"):
        table.add_column(column, justify="right" if column else "left")
    for name, accuracy in probe["no_training"].items():
        table.add_row(f"no training, {name}", f"{accuracy:.4f}", "")
    table.add_section()
    encoders = "1 encoder" if probe["encoders"] == 1 else f"{probe['encoders']} encoders"
    table.add_row(f"embeddings, {encoders}", f"{probe['accuracy_mean']:.4f}", f"{probe['accuracy_std']:.4f}")
    Console().print(table)


def print_partition(partition: dict[str, Any], train: dict[str, Any]) -> None:
    """Prints what a graph was compressed to, or that it was not."""
    if partition["method"] == "none":
        text = f"full graph: {partition['nodes']:,} nodes in every step"
    else:
        asked = "" if partition["asked"] == partition["clusters"] else f" ({partition['asked']:,} were asked for)"
        cut = "" if partition["cut"] is None else f", {partition['cut']:.1%} of the edges cut"
        text = (
            f"partition: {partition['nodes']:,} nodes in {partition['clusters']:,} clusters{asked} of "
            f"{partition['smallest']:,} to {partition['largest']:,} by {partition['method']}{cut}, "
            f"in {train['partition_seconds']:.2f} s"
        )
    Console().print(text, highlight=False, soft_wrap=True)


def print_answers(pattern: str, answers: list[Answer]) -> None:
    """Prints answers in their order, known ones marked."""
    table = Table()
    table.add_column("#", justify="right")
    table.add_column("answer")
    table.add_column("score", justify="right")
    table.add_column("from")
    for place, answer in enumerate(answers, start=1):
        score = "" if answer.score is None else f"{answer.score:.3f}"
        table.add_row(str(place), answer.label, score, "known" if answer.known else "predicted")
    # Labels are data: square brackets in them are not markup, and words between colons no emoji.
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    console.print(pattern)
    console.print(table)


def _metrics_table(title: str) -> Table:
    table = Table(title=title)
    table.add_column("")
    for column in _COLUMNS:
        table.add_column(column.upper() if column.startswith("m") else column, justify="right")
    return table


def _cells(row: dict[str, Any]) -> list[str]:
    return [f"{row[column]:.1f}" if column == "mr" else f"{row[column]:.4f}" for column in _COLUMNS]
