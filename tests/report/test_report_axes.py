"""Axes show all values, and their ticks are round, few and told apart."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graphkit.report.axes import Axis, Frame, tick_label

VALUES = st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 6)), min_size=1, max_size=8)
POSITIVE = st.lists(st.floats(1e-4, 1e7), min_size=1, max_size=8)


@given(VALUES)
def test_an_axis_shows_all_values_with_air(values: list[float]) -> None:
    axis = Axis.even("", values)
    assert all(0 < axis.share(value) < 1 for value in values)


@given(POSITIVE)
def test_values_far_apart_are_shown_by_their_logarithms(values: list[float]) -> None:
    axis = Axis.fitting("", values)
    assert axis.logarithmic == (max(values) / min(values) > 8)
    assert all(0 < axis.share(value) < 1 for value in values)


@given(st.one_of(POSITIVE, VALUES))
def test_ticks_lie_within_and_have_labels_of_their_own(values: list[float]) -> None:
    axis = Axis.fitting("", values)
    assume(max(values) - min(values) > 1e-5 * max(abs(value) for value in values))
    ticks = axis.ticks(6)
    assert 1 < len(ticks) <= 8
    assert ticks == sorted(ticks)
    assert all(-1e-6 <= axis.share(tick) <= 1 + 1e-6 for tick in ticks)
    assert len({tick_label(tick, ticks) for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("axis", "labels"),
    [
        (Axis("", 0.0, 0.82), ["0.0", "0.2", "0.4", "0.6", "0.8"]),
        (Axis("", -23.0, 24.0), ["−20", "−10", "0", "10", "20"]),
        (Axis("", 940.0, 2050.0), ["1,000", "1,200", "1,400", "1,600", "1,800", "2,000"]),
        (Axis("", 0.008, 0.6, logarithmic=True), ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5"]),
        (Axis("", 0.5, 90.0, logarithmic=True), ["1", "3", "10", "30"]),
        (Axis("", 3.1, 4.6, logarithmic=True), ["3.5", "4.0", "4.5"]),
        (Axis("", 0.9, 3.1, whole=True), ["1", "2", "3"]),
    ],
)
def test_ticks_are_round(axis: Axis, labels: list[str]) -> None:
    ticks = axis.ticks(6)
    assert [tick_label(tick, ticks) for tick in ticks] == labels


def test_equal_values_lie_in_the_middle() -> None:
    assert Axis.even("", [600.0, 600.0]).share(600.0) == pytest.approx(0.5)
    assert Axis.even("", [0.0]).share(0.0) == pytest.approx(0.5)


def test_values_that_are_not_finite_do_not_stretch_an_axis() -> None:
    assert Axis.even("", [1.0, math.nan, 2.0, math.inf]) == Axis.even("", [1.0, 2.0])


def test_a_frame_places_values_between_its_corners() -> None:
    frame = Frame(Axis("", 0.0, 10.0), Axis("", 1.0, 100.0, logarithmic=True), left=30, top=20, width=200, height=100)
    assert frame.place(0.0, 1.0) == (30, 120)
    assert frame.place(10.0, 100.0) == (230, 20)
    assert frame.place(5.0, 10.0) == pytest.approx((130, 70))
