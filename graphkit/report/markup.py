"""Elements of HTML and SVG; their texts and attributes are escaped here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

#: Elements of HTML that have no end tag.
_VOID = frozenset({"br", "meta"})
#: Elements whose text browsers read as it is: nothing that comes from a user may stand in one.
_RAW = frozenset({"style"})


@dataclass(frozen=True)
class Element:
    """One element; ``str(element)`` is its markup."""

    tag: str
    attributes: tuple[tuple[str, str], ...]
    children: tuple[Element | str, ...]

    def __str__(self) -> str:
        attributes = "".join(f' {name}="{escape(value)}"' for name, value in self.attributes)
        if self.tag in _VOID:
            return f"<{self.tag}{attributes}>"
        within = "".join(
            child if self.tag in _RAW and isinstance(child, str) else _markup(child) for child in self.children
        )
        return f"<{self.tag}{attributes}>{within}</{self.tag}>"


def element(tag: str, *children: Element | str, **attributes: str | float) -> Element:
    """Makes an element.

    Args:
        tag: its name.
        children: what stands in it, in order; texts are escaped.
        attributes: ``class_`` is written ``class``, and ``stroke_width`` ``stroke-width``; numbers are rounded to
            hundredths, which on a picture nobody sees.
    """
    named = tuple(
        (name.rstrip("_").replace("_", "-"), value if isinstance(value, str) else number(value))
        for name, value in attributes.items()
    )
    return Element(tag, named, children)


def number(value: float) -> str:
    """Returns a coordinate, as short as hundredths can be."""
    return f"{round(value, 2) + 0.0:g}"  # adding 0 takes the sign of a zero away


def _markup(child: Element | str) -> str:
    return str(child) if isinstance(child, Element) else escape(child, quote=False)
