"""Pictures draw the values that they are given, within their edges."""

from __future__ import annotations

import re

import numpy as np
import pytest

from graphkit.report.axes import Axis
from graphkit.report.charts import COLOURS, MOST_CLASSES, Bar, Series, bar_chart, class_styles, line_chart, scatter
from graphkit.report.markup import Element
from graphkit.report.projection import Projection
from graphkit.report.runs import Accuracy


def parts(drawn: Element, tag: str, class_: str = "") -> list[dict[str, str]]:
    """Returns the attributes of all elements with a tag and a class, in order."""
    found = [dict(drawn.attributes)] if drawn.tag == tag else []
    found = [attributes for attributes in found if class_ in attributes.get("class", "").split() or not class_]
    return found + [one for child in drawn.children if isinstance(child, Element) for one in parts(child, tag, class_)]


def texts(drawn: Element) -> list[str]:
    own = [child for child in drawn.children if isinstance(child, str)]
    return own + [text for child in drawn.children if isinstance(child, Element) for text in texts(child)]


def places(path: str) -> list[tuple[float, float]]:
    """Returns where a path is taken up or led to, by absolute coordinates."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


def test_bars_are_as_long_as_their_values() -> None:
    drawn = bar_chart([Bar("X", Accuracy(0.2)), Bar("trained", Accuracy(0.8, 0.1), 1)], "accuracy", "")
    short, long = parts(drawn, "rect")
    assert float(long["width"]) == pytest.approx(4 * float(short["width"]), abs=0.05)
    assert [short["class"], long["class"]] == ["fill plain", "fill c1"]
    (whisker,) = parts(drawn, "path", "whisker")
    low, high = map(float, re.fullmatch(r"M([\d.]+) .*H([\d.]+)m.*", whisker["d"]).groups())  # type: ignore[union-attr]
    end = float(long["x"]) + float(long["width"])
    assert (low + high) / 2 == pytest.approx(end, abs=0.01)
    assert high - low == pytest.approx(float(short["width"]), abs=0.01)  # two deviations of 0.1
    assert {"0.2000", "0.8000", "X", "trained"} < set(texts(drawn))


def test_bars_and_their_values_stay_within_the_picture() -> None:
    label = "a label that is far too long to stand beside a bar of any length"
    drawn = bar_chart([Bar(label, Accuracy(0.99, 0.2)), Bar("none", Accuracy(0.0, 0.1))], "accuracy", "")
    width = float(dict(drawn.attributes)["viewBox"].split()[2])
    assert all(float(value["x"]) + 6 * 6.2 <= width for value in parts(drawn, "text", "value"))
    assert any(text.endswith("…") and label.startswith(text[:-1]) for text in texts(drawn))
    assert all(float(bar["width"]) >= 0 for bar in parts(drawn, "rect"))


def test_lines_pass_through_their_points_and_levels_cross_the_picture() -> None:
    x, y = Axis("x", 0.0, 10.0), Axis("y", 0.0, 100.0)
    drawn = line_chart([Series(3, [(0, 0), (5, 50), (10, 100)], [25.0])], x, y, "")
    (line,) = parts(drawn, "path", "line")
    first, middle, last = places(line["d"])
    assert middle == pytest.approx(((first[0] + last[0]) / 2, (first[1] + last[1]) / 2), abs=0.02)
    assert first[1] > last[1]  # up is less
    assert places(parts(drawn, "path", "fill")[0]["d"]) == [first, middle, last]
    (level,) = parts(drawn, "line", "level")
    assert float(level["y1"]) == float(level["y2"]) == pytest.approx((3 * first[1] + last[1]) / 4, abs=0.02)
    assert (float(level["x1"]), float(level["x2"])) == pytest.approx((first[0], last[0]), abs=0.02)


def test_a_single_point_is_marked() -> None:
    axis = Axis("", 0.0, 2.0)
    drawn = line_chart([Series(0, [(1, 1)], marked=False)], axis, axis, "")
    assert parts(drawn, "path", "line") == []
    assert len(parts(drawn, "path", "fill")) == 1


@pytest.mark.parametrize("count", [1, 250, 1001])
def test_each_node_is_drawn_once_in_the_style_of_its_class(count: int) -> None:
    rng = np.random.default_rng(0)
    labels = [str(label) for label in rng.integers(0, 40, size=count)]
    projection = Projection(rng.standard_normal((count, 2)), labels, (0.5, 0.2), count)
    drawn = scatter(projection, "")
    styles = class_styles(projection)
    by_class = {
        class_: sum(len(places(path["d"])) for path in parts(drawn, "path", class_))
        for class_ in ("plain", *(f"c{i}" for i in range(COLOURS)))
    }
    expected = dict.fromkeys(by_class, 0)
    for label in labels:
        style = styles[label]
        expected["plain" if style is None else f"c{style % COLOURS}"] += 1
    assert by_class == expected
    width, height = (float(size) for size in dict(drawn.attributes)["viewBox"].split()[2:])
    for path in parts(drawn, "path", "dot"):
        assert all(0 < x < width and 0 < y < height for x, y in places(path["d"]))
    assert {"component 1 (50% of variance)", "component 2 (20% of variance)"} < set(texts(drawn))


def test_classes_are_styled_in_the_order_of_the_numbers_in_them() -> None:
    points = np.zeros((4, 2))
    projection = Projection(points, ["class 10", "", "class 9", "a"], (0.0, 0.0), 4)
    assert class_styles(projection) == {"": None, "a": 0, "class 9": 1, "class 10": 2}
    assert class_styles(Projection(points, None, (0.0, 0.0), 4)) == {"": 0}


def test_too_many_classes_share_a_grey() -> None:
    labels = [str(i) for i in range(MOST_CLASSES + 2)]
    styles = class_styles(Projection(np.zeros((len(labels), 2)), labels, (0.0, 0.0), len(labels)))
    assert styles[str(MOST_CLASSES - 1)] == MOST_CLASSES - 1
    assert styles[str(MOST_CLASSES)] is None
