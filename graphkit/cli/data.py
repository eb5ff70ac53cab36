"""``graphkit data``: import triples, list the named sets, make synthetic graphs."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from graphkit.data import DATASETS, import_triples, synthesize

#: What libraries are called among people.
_SHORT = {"torch_geometric": "PyG", "ogb": "OGB"}


def run_import(options: argparse.Namespace) -> int:
    """Makes a graph of files and prints what was understood."""
    report = import_triples(
        options.files,
        Path(options.out),
        valid=options.valid,
        test=options.test,
        delimiter=options.delimiter,
        header=options.header,
        columns=options.columns,
        split=tuple(options.split),
        seed=options.seed,
        overwrite=options.overwrite,
    )
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for line in report.lines():
        console.print(line)
    console.print(f"next: graphkit train graph={shlex.quote(options.out)} run_dir=RUN")
    return 0


def run_import_nodes(options: argparse.Namespace) -> int:
    """Makes an attributed graph of files and prints what was understood."""
    from graphkit.nodes import import_nodes  # imports PyG, which takes seconds

    report = import_nodes(
        options.edges,
        options.features,
        Path(options.out),
        labels=options.labels,
        masks=options.masks,
        overwrite=options.overwrite,
    )
    console = Console(markup=False, highlight=False, soft_wrap=True)
    for line in report.lines():
        console.print(line)
    console.print(f"next: graphkit train experiment=structcomp graph={shlex.quote(options.out)} run_dir=RUN")
    return 0


def run_synth(options: argparse.Namespace) -> int:
    """Makes a synthetic graph and prints what it is."""
    console = Console(file=sys.stderr)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        bars = {step: bar.add_task(f"triples {step}", total=None) for step in ("drawn", "sorted")}
        report = synthesize(
            options.out,
            num_entities=options.entities,
            num_relations=options.relations,
            num_edges=options.edges,
            seed=options.seed,
            overwrite=options.overwrite,
            progress=lambda step, done, total: bar.update(bars[step], completed=done, total=total),
        )
    for line in report.lines():
        print(line)
    print("all of its triples are for training: nothing is held out to validate or test with")
    return 0


def _attributed(root: Path | None) -> Table:
    """Returns the table of graphs whose nodes have features."""
    from graphkit.nodes import FETCHED, NODE_DATASETS

    table = Table("name", "nodes", "edges", "features", "classes", "available", title="attributed graphs")
    for name, dataset in NODE_DATASETS.items():
        here = root is not None and (dataset.present(root) or (name in FETCHED and FETCHED[name].folder(root).is_dir()))
        table.add_row(name, *(f"{count:,}" for count in dataset.counts), "yes" if here else "no")
    for name, fetched in FETCHED.items():
        if name not in NODE_DATASETS:
            here = root is not None and fetched.folder(root).is_dir()
            table.add_row(name, "", "", "", "", "yes" if here else f"from {_SHORT[fetched.library]}")
    table.add_row("planted", "", "", "", "", "built in")
    return table


def run_list() -> int:
    """Prints the named sets with their sizes, and whether their files are here: triples, then attributed graphs."""
    root = os.environ.get("GRAPHKIT_DATA")
    table = Table("name", "entities", "relations", "train", "valid", "test", "available")
    for name, dataset in DATASETS.items():
        here = root is not None and (Path(root) / dataset.folder).is_dir()
        table.add_row(name, *(f"{count:,}" for count in dataset.counts), "yes" if here else "no")
    table.add_row("geography", "", "", "", "", "", "built in")
    console = Console()
    console.print(table)
    console.print(_attributed(Path(root) if root is not None else None))
    if root is None:
        print("Set GRAPHKIT_DATA to the folder that holds the data sets; geography and planted need none.")
    return 0
