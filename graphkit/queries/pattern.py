"""Patterns as people write them, e.g. ``?x : borders(?x, France)``, turned into queries of ids."""

from __future__ import annotations

import re
from dataclasses import dataclass

from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph, Vocabulary
from graphkit.queries.structures import ONE_HOP, Structure

_EXAMPLE = "?x : borders(?x, France)"
_VARIABLE = re.compile(r"\?\w+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class Query:
    """One query of ids.

    Relations are directed: 2k is relation k forward, 2k+1 its inverse.
    """

    structure: Structure
    #: ids in the structure's layout
    row: tuple[int, ...]


@dataclass(frozen=True)
class _Term:
    text: str
    variable: bool
    position: int


class _Reader:
    """Walks a pattern from left to right; every complaint marks the position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, what: str, position: int | None = None) -> GraphkitError:
        at = self.at if position is None else position
        marked = f"{self.text[:at]} >>> {self.text[at:]}".strip()
        return GraphkitError(f"the pattern has {what} at position {at + 1} ({marked}); write e.g. {_EXAMPLE}")

    def skip(self) -> None:
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches the empty string too

    def expect(self, symbol: str) -> None:
        self.skip()
        if not self.text.startswith(symbol, self.at):
            raise self.fail(f"no {symbol!r} where one is needed")
        self.at += len(symbol)

    def variable(self) -> _Term | None:
        self.skip()
        found = _VARIABLE.match(self.text, self.at)
        if found is None:
            return None
        term = _Term(found[0], True, self.at)
        self.at = found.end()
        return term

    def label(self, stops: str) -> _Term:
        """Reads a quoted label, or a bare one that ends before any of `stops`."""
        self.skip()
        start = self.at
        quoted = _QUOTED.match(self.text, self.at)
        if quoted is not None:
            self.at = quoted.end()
            return _Term(re.sub(r"\\(.)", r"\1", quoted[1]), False, start)
        while self.at < len(self.text) and self.text[self.at] not in stops:
            self.at += 1
        bare = self.text[start : self.at].strip()
        if not bare:
            raise self.fail("no label where one is needed", start)
        return _Term(bare, False, start)

    def end(self) -> None:
        self.skip()
        if self.text.startswith(",", self.at) or re.match(r"or\b", self.text[self.at :]):
            raise self.fail("a second condition, and only patterns of one condition are answered so far,")
        if self.at < len(self.text):
            raise self.fail("more text than a pattern needs")


def parse(text: str, graph: KnowledgeGraph) -> Query:
    """Reads a pattern of one condition: ``?x : relation(?x, Label)`` or ``?x : relation(Label, ?x)``.

    A label that holds a comma, a parenthesis or leading blanks is written in double quotes. In a graph without
    vocabularies the ids stand for the labels.

    Raises:
        GraphkitError: a syntax error (its position is marked), an unknown label (the nearest are named), or a pattern
            with no or two variables.
    """
    reader = _Reader(text)
    target = reader.variable()
    if target is None:
        raise reader.fail("no answer variable")
    reader.expect(":")
    relation = reader.label("(")
    reader.expect("(")
    first = reader.variable() or reader.label(",)")
    reader.expect(",")
    second = reader.variable() or reader.label(",)")
    reader.expect(")")
    reader.end()
    for term in (first, second):
        if term.variable and term.text != target.text:
            raise reader.fail(
                f"the variable {term.text} where the answer variable {target.text} is needed", term.position
            )
    if first.variable == second.variable:
        found = "two variables" if first.variable else "no variable"
        raise reader.fail(f"{found} in a condition that needs one variable and one label", first.position)
    kind = _identify(relation.text, graph.relations, graph.num_relations, "relation")
    anchor = _identify((second if first.variable else first).text, graph.entities, graph.num_entities, "entity")
    return Query(ONE_HOP, (anchor, 2 * kind + int(first.variable)))


def _identify(label: str, vocabulary: Vocabulary | None, size: int, kind: str) -> int:
    if vocabulary is not None:
        return vocabulary.id(label)
    if not label.isdecimal() or len(label) > len(str(size)) or int(label) >= size:
        raise GraphkitError(f"the graph has no {kind} {label!r}; it has no labels, so give an id from 0 to {size - 1}")
    return int(label)
