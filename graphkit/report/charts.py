"""The pictures of a report: bars, lines, and points on a plane."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from graphkit.report.axes import CHARACTER, Axis, Frame, picture, tick_label
from graphkit.report.markup import Element, element, number
from graphkit.report.projection import Projection
from graphkit.report.runs import Accuracy

#: Units of a picture's width: about a phone's pixels, so that type is as large there as the style sheet says.
WIDTH = 360.0
#: Colours of the style sheet, which the colour-blind tell apart; then they come again, with other marks.
COLOURS = 7
#: Marks by their corners, in radii about a point; the first is a dot.
_CORNERS = (
    (),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    ((0, -1.25), (1.25, 1), (-1.25, 1)),
)
#: Points are drawn in turns of so many, so that no class lies above all others.
_TURN = 250
#: Classes that have a colour and a mark of their own; the rest share a grey.
MOST_CLASSES = COLOURS * len(_CORNERS)
_NUMBER = re.compile(r"([0-9]+)")


@dataclass(frozen=True)
class Bar:
    """A bar: what it says, and in which colour; None for what a run is compared with."""

    label: str
    value: Accuracy
    style: int | None = None


@dataclass(frozen=True)
class Series:
    """A line through points, and levels that run across the whole picture."""

    style: int | None
    points: Sequence[tuple[float, float]] = ()
    levels: Sequence[float] = ()
    marked: bool = True


def bar_chart(bars: Sequence[Bar], title: str, described: str) -> Element:
    """Draws horizontal bars from zero, with whiskers of one deviation, and the value beside each."""
    left = min(180.0, max(len(bar.label) for bar in bars) * CHARACTER + 10)
    pitch, top = 26.0, 4.0
    height = pitch * len(bars)
    most = max(bar.value.mean + _deviation(bar.value) for bar in bars)
    axis = Axis(title, 0.0, max(most, 0.01))
    width, bottom = WIDTH - left - 52, top + height
    ticks = axis.ticks(5)
    drawn = []
    for tick in ticks:
        place = left + width * axis.share(tick)
        drawn += [
            element("line", class_="grid", x1=place, x2=place, y1=top, y2=bottom),
            element("text", tick_label(tick, ticks), class_="tick middle", x=place, y=bottom + 16),
        ]
    for i, bar in enumerate(bars):
        drawn += _bar(bar, axis, left, width, top + pitch * (i + 0.5))
    drawn.append(element("text", title, class_="tick middle", x=left + width / 2, y=bottom + 34))
    return picture(WIDTH, bottom + 40, described, *drawn)


def line_chart(series: Sequence[Series], x: Axis, y: Axis, described: str, *, height: float = 230.0) -> Element:
    """Draws lines, with a mark on each point where that is asked for, and levels across as dashes."""
    frame = Frame.within(x, y, WIDTH, height)
    drawn = frame.ground()
    for one in series:
        colour = _colour(one.style)
        for level in one.levels:
            _, place = frame.place(x.low, level)
            across = {"x1": frame.left, "x2": frame.left + frame.width}
            drawn.append(element("line", class_=f"level {colour}", **across, y1=place, y2=place))
        places = [frame.place(*point) for point in one.points]
        if len(places) > 1:
            path = "M" + "L".join(f"{number(a)} {number(b)}" for a, b in places)
            drawn.append(element("path", class_=f"line {colour}", d=path))
        if one.marked or len(places) == 1:
            drawn.append(element("path", class_=f"fill {colour}", d=_marks(one.style, places, 3.4)))
    return picture(WIDTH, height, described, *drawn)


def scatter(projection: Projection, described: str) -> Element:
    """Draws nodes on the plane, each class in its colour and mark."""
    points = projection.points
    x, y = (
        Axis.even(f"component {i + 1} ({share:.0%} of variance)", points[:, i])
        for i, share in enumerate(projection.explained)
    )
    frame = Frame.within(x, y, WIDTH, 340.0)
    drawn = frame.ground()
    styles = class_styles(projection)
    labels = projection.labels or [""] * len(points)
    order = np.random.default_rng(0).permutation(len(points))
    radius = 2.6 if len(points) < 1000 else 2.0
    for start in range(0, len(order), _TURN):
        turn = order[start : start + _TURN]
        for label, style in styles.items():
            places = [frame.place(*points[i]) for i in turn if labels[i] == label]
            if places:
                drawn.append(element("path", class_=f"fill dot {_colour(style)}", d=_marks(style, places, radius)))
    return picture(WIDTH, 340.0, described, *drawn)


def class_styles(projection: Projection) -> dict[str, int | None]:
    """Returns the style of each class that was drawn, ascending; None for those without a label, and for the rest."""
    labels = {label for label in projection.labels or [] if label}
    if projection.labels is None:
        return {"": 0}
    # By the numbers in them, so that class 10 comes after class 9.
    named = sorted(labels, key=lambda label: [int(part) if part.isdecimal() else part for part in _NUMBER.split(label)])
    styles: dict[str, int | None] = {"": None}
    return styles | {label: i if i < MOST_CLASSES else None for i, label in enumerate(named)}


def key(style: int | None, *, dashed: bool = False) -> Element:
    """Returns the small picture of a legend: the mark of a style, or a dash for levels."""
    colour = _colour(style)
    drawn = (
        element("line", class_=f"level {colour}", x1=0, x2=16, y1=7, y2=7)
        if dashed
        else element("path", class_=f"fill {colour}", d=_marks(style, [(8, 7)], 4.4))
    )
    return element("svg", drawn, viewBox="0 0 16 14", class_="key", aria_hidden="true")


def _bar(bar: Bar, axis: Axis, left: float, width: float, middle: float) -> list[Element]:
    deviation = _deviation(bar.value)
    low, mean, high = (left + width * axis.share(max(0.0, bar.value.mean + sign * deviation)) for sign in (-1, 0, 1))
    most = int((left - 8) / CHARACTER)
    label = bar.label if len(bar.label) <= most else f"{bar.label[: most - 1]}…"
    drawn = [
        element("text", label, class_="tick end", x=left - 6, y=middle + 4),
        element("rect", class_=f"fill {_colour(bar.style)}", x=left, y=middle - 9, width=mean - left, height=18),
        element("text", f"{bar.value.mean:.4f}", class_="value", x=high + 5, y=middle + 4),
    ]
    if deviation > 0:
        whisker = f"M{number(low)} {number(middle - 4)}v8m0-4H{number(high)}m0-4v8"
        drawn.append(element("path", class_="whisker", d=whisker))
    return drawn


def _deviation(value: Accuracy) -> float:
    return 0.0 if math.isnan(value.std) else value.std


def _colour(style: int | None) -> str:
    return "plain" if style is None else f"c{style % COLOURS}"


def _marks(style: int | None, places: Sequence[tuple[float, float]], radius: float) -> str:
    """Returns a path with the mark of a style at each place."""
    corners = _CORNERS[(style or 0) % len(_CORNERS)]
    if corners:
        steps = [corners[0], *((b[0] - a[0], b[1] - a[1]) for a, b in pairwise(corners))]
        first, *rest = [f"{number(radius * x)} {number(radius * y)}" for x, y in steps]
        mark = f"m{first}l{' '.join(rest)}z"
    else:
        r, diameter = number(radius), number(2 * radius)
        mark = f"m-{r} 0a{r} {r} 0 1 0 {diameter} 0a{r} {r} 0 1 0-{diameter} 0z"
    return "".join(f"M{number(x)} {number(y)}{mark}" for x, y in places)
