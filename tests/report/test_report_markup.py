"""Markup says what it was given, whatever that is."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphkit.report.markup import element, number

#: A parser of HTML reads a carriage return as a new line, and no zero at all.
TEXTS = st.text(st.characters(blacklist_characters="\r\0", blacklist_categories=("Cs",)), min_size=1)


class Reader(HTMLParser):
    """Collects what a page holds."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(TEXTS, TEXTS)
def test_texts_and_attributes_are_read_back_as_they_were(text: str, attribute: str) -> None:
    read = Reader(str(element("p", text, title=attribute)))
    assert read.tags == [("p", {"title": attribute})]
    assert read.text == text


def test_elements_nest_in_order() -> None:
    made = element("p", "a <b>", element("em", "&"), element("br"), "c", class_="x", stroke_width=2.0)
    assert str(made) == '<p class="x" stroke-width="2">a &lt;b&gt;<em>&amp;</em><br>c</p>'


def test_a_style_sheet_is_written_as_it_is() -> None:
    assert str(element("style", "a > b { content: '&' }")) == "<style>a > b { content: '&' }</style>"


@pytest.mark.parametrize(
    ("value", "written"), [(0.0, "0"), (-0.001, "0"), (12.0, "12"), (-3.456, "-3.46"), (1234.5, "1234.5")]
)
def test_coordinates_have_hundredths_at_most(value: float, written: str) -> None:
    assert number(value) == written
