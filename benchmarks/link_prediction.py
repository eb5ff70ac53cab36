"""Records finished link prediction runs: a table of test metrics and the curves of validation MRR.

    graphkit train experiment=fb15k237_complex run_dir=runs/fb15k237_complex
    python benchmarks/link_prediction.py runs/fb15k237_complex --out benchmarks/results/NAME

writes NAME.md and NAME.svg; ``--json`` prints the figures as one JSON object instead.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from finished_runs import costs, head, record

_METRICS = ("mrr", "hits@1", "hits@3", "hits@10")


def table(runs: list[dict[str, Any]]) -> str:
    """Returns the Markdown table of the runs' test metrics and costs."""
    lines = [
        "| run | test MRR | hits@1 | hits@3 | hits@10 | steps | wall s | CPU s | peak anonymous MiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        cells = [f"{run['test'][metric]:.4f}" for metric in _METRICS]
        lines.append(f"| {run['name']} | {' | '.join(cells + costs(run))} |")
    return "\n".join(lines)


def page(runs: list[dict[str, Any]], picture: str) -> str:
    """Returns the Markdown page of the runs."""
    protocol = runs[0]["protocol"]
    said = (
        f"Filtered ranks of {protocol['sides']} sides against {protocol['candidates']}, filtered by\n"
        f"{', '.join(protocol['filtered_by'])}; ties at the {protocol['ties']}."
    )
    return f"""{head("Link prediction", runs, said)}
{table(runs)}

![validation MRR]({picture})
"""


def draw(runs: list[dict[str, Any]], out: Path) -> None:
    """Draws validation MRR against positives trained, a panel a run; the dot is the checkpoint that was measured."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "graphkit"  # equal figures give equal files
    from matplotlib import pyplot

    figure, row = pyplot.subplots(1, len(runs), figsize=(3.2 * len(runs), 3), layout="constrained", squeeze=False)
    for axes, run in zip(row[0], runs, strict=True):
        curve = run["curve"]
        axes.plot([point["samples"] / 1e6 for point in curve], [point["mrr"] for point in curve])
        best = max(curve, key=lambda point: float(point["mrr"]))
        axes.plot(best["samples"] / 1e6, best["mrr"], "o", color="black", markersize=4)
        axes.set(title=run["name"], xlabel="positives trained (millions)", ylim=(0, 1))
        axes.grid(alpha=0.3)
    row[0][0].set_ylabel("validation MRR, filtered")
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(record(__doc__ or "", measured="test", table=table, page=page, draw=draw))
