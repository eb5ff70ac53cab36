"""Records finished runs of the task `queries`: test metrics of each structure, validation curves, and their bars.

    graphkit train experiment=q2b_fb15k237_gqe run_dir=runs/q2b_fb15k237_gqe
    python benchmarks/query_embedding.py runs/q2b_fb15k237_gqe --out benchmarks/results/NAME

writes NAME.md and NAME.svg; ``--json`` prints the figures as one JSON object instead.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from finished_runs import costs, head, record

_MEANS = {"mean_epfo": "mean", "mean_negation": "mean, negation"}


def _structures(run: dict[str, Any]) -> list[str]:
    return [name for name in run["queries"]["test"] if name not in _MEANS]


def table(runs: list[dict[str, Any]], metric: str) -> str:
    """Returns the Markdown table of one metric: a row a run, a column a structure."""
    columns = [*_structures(runs[0]), *(mean for mean in _MEANS if mean in runs[0]["queries"]["test"])]
    lines = [
        f"| {metric} | {' | '.join(_MEANS.get(column, column) for column in columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for run in runs:
        cells = [f"{run['queries']['test'][column][metric]:.4f}" for column in columns]
        lines.append(f"| {run['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cost_table(runs: list[dict[str, Any]]) -> str:
    """Returns the Markdown table of what the runs cost."""
    lines = ["| run | steps | wall s | CPU s | peak anonymous MiB |", "|---|---|---|---|---|"]
    lines += [f"| {run['name']} | {' | '.join(costs(run))} |" for run in runs]
    return "\n".join(lines)


def page(runs: list[dict[str, Any]], picture: str) -> str:
    """Returns the Markdown page of the runs."""
    protocol = runs[0]["queries"]["protocol"]
    said = (
        f"Test queries: {protocol['queries']}. Each hard answer is\nranked against all {protocol['entities']:,} "
        "entities but the answers, averaged over the hard answers of a query, then\nthe queries of a structure, then "
        "the structures; ties at the mean rank."
    )
    tables = "\n\n".join(table(runs, metric) for metric in ("mrr", "hits@1", "hits@3", "hits@10"))
    return f"""{head("Multi-hop queries", runs, said)}
{tables}

{cost_table(runs)}

![validation curves and test hits@3]({picture})
"""


def draw(runs: list[dict[str, Any]], out: Path) -> None:
    """Draws the validation curves of hits@3, and the test hits@3 of each structure as bars."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "graphkit"  # equal figures give equal files
    from matplotlib import pyplot

    figure, (curves, bars) = pyplot.subplots(1, 2, figsize=(9.6, 3.2), layout="constrained", width_ratios=[1, 1.6])
    names = _structures(runs[0])
    width = 0.8 / len(runs)
    for i, run in enumerate(runs):
        samples = [point["samples"] / 1e6 for point in run["curve"]]
        curves.plot(samples, [point["hits@3"] for point in run["curve"]], label=run["name"])
        places = [place + (i - (len(runs) - 1) / 2) * width for place in range(len(names))]
        bars.bar(places, [run["queries"]["test"][name]["hits@3"] for name in names], width, label=run["name"])
    curves.set(xlabel="queries trained (millions)", ylabel="validation hits@3, mean", ylim=(0, None))
    bars.set(xticks=range(len(names)), xticklabels=names, ylabel="test hits@3")
    bars.legend(frameon=False)
    curves.grid(alpha=0.3)
    bars.grid(alpha=0.3, axis="y")
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(record(__doc__ or "", measured="queries", table=lambda runs: table(runs, "hits@3"), page=page, draw=draw))
