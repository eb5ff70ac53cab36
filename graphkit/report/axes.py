"""Axes of a picture: from values to places, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from graphkit.report.markup import Element, element

#: What a character of the type of ticks takes, in units of a picture.
CHARACTER = 6.2
#: A logarithmic axis shows values better that are so many times apart.
_FAR = 8.0


@dataclass(frozen=True)
class Axis:
    """What an axis shows: its title, the values at its ends, and whether it runs by their logarithms."""

    title: str
    low: float
    high: float
    logarithmic: bool = False
    whole: bool = False  #: ticks at whole numbers alone

    @classmethod
    def even(cls, title: str, values: Iterable[float], *, whole: bool = False) -> Axis:
        """Returns an even axis that shows all values, with some air."""
        shown = _finite(values)
        low, high = min(shown), max(shown)
        air = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
        return cls(title, low - air, high + air, whole=whole)

    @classmethod
    def fitting(cls, title: str, values: Iterable[float]) -> Axis:
        """Returns a logarithmic axis where values are positive and far apart, and an even one else."""
        shown = _finite(values)
        low, high = min(shown), max(shown)
        if low <= 0 or high / low <= _FAR:
            return cls.even(title, shown)
        air = max((high / low) ** 0.06, 1.1)
        return cls(title, low / air, high * air, logarithmic=True)

    def share(self, value: float) -> float:
        """Returns where a value lies: 0 at the low end, 1 at the high one."""
        measure = math.log if self.logarithmic else float
        return (measure(value) - measure(self.low)) / (measure(self.high) - measure(self.low))

    def ticks(self, most: int) -> list[float]:
        """Returns round values within the axis, some `most` of them or fewer."""
        found = _powers(self.low, self.high, most) if self.logarithmic else _multiples(self.low, self.high, most)
        return [value for value in found if not self.whole or value == round(value)]


@dataclass(frozen=True)
class Frame:
    """The ground of a picture: two axes on an area of it, whose upper left corner is (left, top)."""

    x: Axis
    y: Axis
    left: float
    top: float
    width: float
    height: float

    @classmethod
    def within(cls, x: Axis, y: Axis, width: float, height: float) -> Frame:
        """Returns the frame that leaves room for ticks and titles on a picture of that size."""
        ticks = y.ticks(5)
        left = max((len(tick_label(tick, ticks)) for tick in ticks), default=0) * CHARACTER + 12
        return cls(x, y, left, 26, width - left - 12, height - 68)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Returns where a pair of values lies."""
        return self.left + self.width * self.x.share(x), self.top + self.height * (1 - self.y.share(y))

    def ground(self) -> list[Element]:
        """Returns grid, ticks and titles; what is drawn comes on top."""
        right, bottom = self.left + self.width, self.top + self.height
        drawn = [element("text", self.y.title, class_="tick", x=2, y=self.top - 11)]
        ticks = self.y.ticks(5)
        for value in ticks:
            _, place = self.place(self.x.low, value)
            drawn += [
                element("line", class_="grid", x1=self.left, x2=right, y1=place, y2=place),
                element("text", tick_label(value, ticks), class_="tick end", x=self.left - 6, y=place + 4),
            ]
        drawn.append(element("line", class_="axis", x1=self.left, x2=right, y1=bottom, y2=bottom))
        ticks = self.x.ticks(6)
        for value in ticks:
            place, _ = self.place(value, self.y.low)
            drawn += [
                element("line", class_="axis", x1=place, x2=place, y1=bottom, y2=bottom + 4),
                element("text", tick_label(value, ticks), class_="tick middle", x=place, y=bottom + 17),
            ]
        middle = self.left + self.width / 2
        drawn.append(element("text", self.x.title, class_="tick middle", x=middle, y=bottom + 35))
        return drawn


def picture(width: float, height: float, described: str, *drawn: Element) -> Element:
    """Returns an SVG that scales with the page; `described` is read out to those who do not see it."""
    size = f"0 0 {width:g} {height:g}"
    return element("svg", element("title", described), *drawn, viewBox=size, role="img", aria_label=described)


def tick_label(value: float, ticks: Sequence[float]) -> str:
    """Returns a tick as text: with as many decimals as the others where steps are even, and as short as can be else."""
    steps = [after - before for before, after in pairwise(ticks)]
    if steps and max(steps) < 1.001 * min(steps) and min(steps) > 1e-4 and abs(value) < 1e6:
        written = f"{value:,.{max(0, math.ceil(-math.log10(min(steps)) - 1e-9))}f}"
    else:
        written = f"{value:,.6g}"
    return written.replace("-", "−")


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)] or [0.0, 1.0]


def _multiples(low: float, high: float, most: int) -> list[float]:
    """Returns the multiples of 1, 2 or 5 times a power of ten between two values."""
    least = (high - low) / (1.2 * most)  # one tick more rather than half as many
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _powers(low: float, high: float, most: int) -> list[float]:
    """Returns 1, 2 and 5 times the powers of ten between two values, or fewer of them where these are too many."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [10.0**power * factor for power in exponents for factor in factors]
        found = [value for value in found if low <= value <= high]
        if len(found) <= most:
            break
    return found[:: math.ceil(len(found) / most)] if len(found) > 1 else _multiples(low, high, most)
