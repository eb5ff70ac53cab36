"""Draws bar charts of results that the benchmarks wrote.

    python benchmarks/bars.py transe.json complex.json rotate.json --picture training.svg

A result that can be drawn says how under ``bars``: the title of the axis, and the heights by group and name of the bar.
Several results of one kind share a picture, their groups side by side.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from graphkit.errors import GraphkitError

#: Heights by group, then by the name of the bar.
Heights = dict[str, dict[str, float]]


def pyplot() -> Any:
    """Returns pyplot, set so that equal figures give equal files, without a display."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "graphkit"
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, path: Path) -> None:
    """Writes a figure in the format of the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, **({"metadata": {"Date": None}} if path.suffix == ".svg" else {"dpi": 200}))


def logarithmic(axes: Any, side: str) -> None:
    """Makes the axis ``x`` or ``y`` logarithmic, with plain numbers at 1, 2, 5, 10 …"""
    from matplotlib import ticker

    axes.set(**{f"{side}scale": "log"})
    axis = getattr(axes, f"{side}axis")
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
    axis.set_minor_locator(ticker.NullLocator())


def draw(label: str, heights: Heights, path: Path) -> None:
    """Draws groups of bars on a logarithmic axis, with the figure on top of each bar."""
    plot = pyplot()
    names = list(dict.fromkeys(name for group in heights.values() for name in group))
    figure, axes = plot.subplots(figsize=(1.6 + 0.75 * len(names) * len(heights), 3.2), layout="constrained")
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        places = [place for place, group in enumerate(heights.values()) if name in group]
        bars = axes.bar(
            [place + (i - (len(names) - 1) / 2) * width for place in places],
            [group[name] for group in heights.values() if name in group],
            width,
            label=name,
        )
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7, padding=2)
    logarithmic(axes, "y")
    lowest, highest = (pick(h for group in heights.values() for h in group.values()) for pick in (min, max))
    axes.set(ylabel=label, xticks=range(len(heights)), xticklabels=list(heights), ylim=(lowest / 2, 2 * highest))
    axes.legend(frameon=False, fontsize=8, ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    axes.grid(alpha=0.3, axis="y")
    save(figure, path)
    plot.close(figure)


def join(results: list[dict[str, Any]]) -> tuple[str, Heights]:
    """Returns the label and the bars of results of one kind.

    Raises:
        GraphkitError: a result has no bars, or they are of different kinds.
    """
    if any("bars" not in result for result in results):
        raise GraphkitError("a result has no bars; give files that a benchmark wrote by --out")
    labels = {result["bars"]["label"] for result in results}
    if len(labels) > 1:
        raise GraphkitError(f"the results measure different things, {' and '.join(sorted(labels))}; draw one at a time")
    return labels.pop(), {group: bars for result in results for group, bars in result["bars"]["heights"].items()}


def main() -> int:
    """Reads and draws."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULT", help="JSON files of one benchmark")
    parser.add_argument("--picture", type=Path, required=True, metavar="PATH", help="the picture, .svg or .png")
    options = parser.parse_args()
    try:
        draw(*join([json.loads(path.read_text()) for path in options.results]), options.picture)
    except (GraphkitError, OSError) as error:
        print(f"bars: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
