"""The ``graphkit`` command: verbs, their options, and how mistakes end.

A mistake in the input ends with one sentence on standard error and exit code 2; a signal with 128 plus its number.
Verbs import what they need when they run, so that ``graphkit --help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence

from graphkit import __version__
from graphkit.errors import GraphkitError

_DESCRIPTION = "Learning from graphs that are too large, too slow or too noisy for the usual tools."
_EPILOG = """\
examples:
  graphkit data import my.tsv --out my-graph      make a graph of your own triples
  graphkit train graph=my-graph run_dir=my-run    train with settings chosen for its size
  graphkit train experiment=demo                  the built-in graph
  graphkit train experiment=structcomp_cora_sce   an encoder of nodes, trained without labels
  graphkit train resume=my-run                    continue after an interruption
  graphkit answer my-run "?x : borders(?x, France)"
  graphkit evaluate my-run --json
  graphkit evaluate my-run queries=query2box_fb15k237
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits the process with its code."""
    # Threads of torch that wait by spinning take the cores from the sampler's threads, and from any other program:
    # on two busy cores a small step took 60 ms instead of 7. Read by OpenMP when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["train"]:
        # Hydra reads the rest of the line itself: its flags and overrides are not argparse's.
        sys.exit(_guard(lambda: _train(words[1:])))
    options = _parser().parse_args(words)
    sys.exit(_guard(lambda: options.run(options)))


def _guard(verb: Callable[[], int]) -> int:
    """Runs a verb and turns the user's mistakes and signals into sentences and exit codes."""
    terminated = []

    def stop(number: int, frame: object) -> None:
        terminated.append(number)
        raise KeyboardInterrupt  # as after Ctrl-C, nothing half-written stays

    before = signal.signal(signal.SIGTERM, stop)  # the trainer puts its own in its place
    try:
        return verb()
    except GraphkitError as error:
        if os.environ.get("GRAPHKIT_TRACEBACK"):
            raise
        print(f"graphkit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("graphkit: interrupted", file=sys.stderr)
        return 128 + (terminated or [signal.SIGINT])[0]
    except MemoryError as error:
        print(
            f"graphkit: there is not enough memory ({error}); give smaller numbers, or close programs", file=sys.stderr
        )
        return 2
    except BrokenPipeError:
        # The reader of a pipe (head, less) has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        signal.signal(signal.SIGTERM, before)


def _train(words: list[str]) -> int:
    from graphkit.cli.train import run_train

    return run_train(words)


def _evaluate(options: argparse.Namespace) -> int:
    from graphkit.cli.trained import run_evaluate

    return run_evaluate(options.run_dir, split=options.split, overrides=options.overrides, as_json=options.json)


def _answer(options: argparse.Namespace) -> int:
    from graphkit.cli.trained import run_answer

    return run_answer(
        options.run_dir, options.pattern, top=options.top, overrides=options.overrides, as_json=options.json
    )


def _report(options: argparse.Namespace) -> int:
    from graphkit.cli.report import run_report

    return run_report(options.runs, out=options.out, overwrite=options.overwrite)


def _import(options: argparse.Namespace) -> int:
    from graphkit.cli.data import run_import

    return run_import(options)


def _import_nodes(options: argparse.Namespace) -> int:
    from graphkit.cli.data import run_import_nodes

    return run_import_nodes(options)


def _synth(options: argparse.Namespace) -> int:
    from graphkit.cli.data import run_synth

    return run_synth(options)


def _list(options: argparse.Namespace) -> int:
    from graphkit.cli.data import run_list

    return run_list()


def _doctor(options: argparse.Namespace) -> int:
    from graphkit.cli.doctor import run_doctor

    return run_doctor(as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="graphkit",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"graphkit {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser("train", help="train a model; settings as key=value (graphkit train --help)", add_help=False)

    evaluate = verbs.add_parser(
        "evaluate", help="rank the held-out triples or queries that a run is judged by, or published queries"
    )
    evaluate.add_argument("run_dir", metavar="RUN", help="the folder of a run")
    evaluate.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="queries=NAME: rank the answers of a published set of multi-hop queries; graph.path=FOLDER: if the graph "
        "has moved",
    )
    evaluate.add_argument("--split", default="test", choices=("train", "valid", "test"), help="default: test")
    evaluate.add_argument("--json", action="store_true", help="print JSON alone")
    evaluate.set_defaults(run=_evaluate)

    answer = verbs.add_parser("answer", help='answer a question, e.g. "?x : borders(?x, France)"')
    answer.add_argument("run_dir", metavar="RUN", help="the folder of a run")
    answer.add_argument(
        "pattern",
        metavar="PATTERN",
        help="?x : relation(?x, Label), or several conditions; a label with , ( ) or : goes in double quotes",
    )
    answer.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="e.g. graph.path=FOLDER, if it has moved")
    answer.add_argument(
        "--top", type=int, default=10, metavar="N", help="predictions after the known answers (default: 10)"
    )
    answer.add_argument("--json", action="store_true", help="print JSON alone")
    answer.set_defaults(run=_answer)

    report = verbs.add_parser("report", help="write what node runs measured as one HTML page, with pictures")
    report.add_argument("runs", nargs="+", metavar="RUN", help="folders of finished runs; several are compared")
    report.add_argument("--out", metavar="FILE", help="the page (default, of one run: RUN/report.html)")
    report.add_argument("--overwrite", action="store_true", help="replace an existing page")
    report.set_defaults(run=_report)

    data = verbs.add_parser("data", help="import graphs, make synthetic ones, list the named data sets")
    data_verbs = data.add_subparsers(dest="data_verb", required=True, metavar="VERB")
    _add_import(data_verbs.add_parser("import", help="make a graph of TSV or CSV files"))
    _add_import_nodes(data_verbs.add_parser("import-nodes", help="make a graph whose nodes have features and classes"))
    _add_synth(data_verbs.add_parser("synth", help="make a synthetic graph in the shape of Freebase, of any size"))
    data_verbs.add_parser("list", help="list the named data sets and whether they are here").set_defaults(run=_list)

    doctor = verbs.add_parser("doctor", help="show versions, devices and what is missing")
    doctor.add_argument("--json", action="store_true", help="print JSON alone")
    doctor.set_defaults(run=_doctor)
    return parser


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="TSV or CSV, UTF-8, plain or gzipped: training triples, or all to be split",
    )
    parser.add_argument("--valid", action="append", metavar="FILE", help="validation triples")
    parser.add_argument("--test", action="append", metavar="FILE", help="test triples")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to make")
    parser.add_argument("--columns", metavar="ORDER", help="order of the columns, e.g. htr or h-rt (- skips one)")
    parser.add_argument("--delimiter", metavar="CHAR", help="what separates columns (default: sniffed)")
    header = parser.add_mutually_exclusive_group()
    header.add_argument("--header", action="store_true", default=None, help="the first line names the columns")
    header.add_argument("--no-header", action="store_false", dest="header", help="the first line is a triple")
    parser.add_argument(
        "--split",
        type=float,
        nargs=3,
        default=(0.8, 0.1, 0.1),
        metavar="X",
        help="shares of train, valid, test (default: 0.8 0.1 0.1)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the split (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")
    parser.set_defaults(run=_import)


_NODES_EPILOG = """\
files: .npy, .npz, .parquet, .csv, .tsv (the last two also gzipped)

  edges     two columns of ids; or an array [edges, 2] or [2, edges] (of an npz: edges or edge_index). A header
            names two columns source and target (or src, dst, from, to). Edges become undirected; self-loops and
            repeated ones are left out.
  features  numbers, one row a node, beside a column named id, node, index or ..._id (or a first column of texts);
            without ids, nodes are numbered 0, 1, 2 ... as their rows. Parquet may have one column of lists.
  labels    id and label, or one label a node in the order of the features: texts, or whole numbers from 0; empty, NA or
            -1 where a class is not known
  masks     which nodes train and test: columns train, val and test of true and false, or one column split that says
            train, val or test; or an npz of train_mask, val_mask, test_mask (bool[nodes] or bool[nodes, splits]); they
            need labels

example:
  graphkit data import-nodes --edges cites.tsv --features words.parquet --labels topics.csv --out papers
  graphkit train experiment=structcomp graph=papers run_dir=my-run
"""


def _add_import_nodes(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Makes a graph of your own files; embeddings come back under your own ids."
    parser.epilog = _NODES_EPILOG
    parser.add_argument("--edges", required=True, metavar="FILE", help="which nodes are joined")
    parser.add_argument("--features", required=True, metavar="FILE", help="numbers that describe each node")
    parser.add_argument("--labels", metavar="FILE", help="the class of each node, or of some")
    parser.add_argument("--masks", metavar="FILE", help="splits of your own")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to make")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing graph of this kind")
    parser.set_defaults(run=_import_nodes)


def _add_synth(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Makes a graph with hubs, typed relations and integer ids; all of its triples are for training. Freebase has "
        "86,054,151 entities, 14,824 relations and 338,586,276 triples."
    )
    parser.add_argument("--entities", type=int, required=True, metavar="N")
    parser.add_argument("--relations", type=int, required=True, metavar="N")
    parser.add_argument("--edges", type=int, required=True, metavar="N", help="distinct triples")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the same gives the same graph (default: 0)")
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder to make")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing graph store")
    parser.set_defaults(run=_synth)
