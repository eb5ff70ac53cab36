"""The grammar of patterns, read by recursive descent.

::

    pattern   = variable ":" any
    any       = all { "or" all }
    all       = literal { "," literal }
    literal   = "not" literal | "(" any ")" | variable "=" label | label "(" term "," term ")"
    term      = variable | label
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from graphkit.errors import GraphkitError
from graphkit.queries.formula import All, Any, Condition, Equality, Formula, Not, Term
from graphkit.queries.tree import MAX_DEPTH, too_deep

_EXAMPLE = "?x : borders(?x, France)"
_VARIABLE = re.compile(r"\?\w+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SPACE = re.compile(r"\s*")
_NOT = re.compile(r"not(?=[\s(])")
_OR = re.compile(r"or\b")
_OR_AFTER_LABEL = re.compile(r"\s+or\b")
#: Characters shown on either side of a marked position; beyond these a pattern is cut.
_SHOWN = 60


@dataclass(frozen=True)
class Pattern:
    """A pattern as written: the answer variable and what is said of it."""

    target: Term
    formula: Formula
    text: str

    def fail(self, what: str, position: int) -> GraphkitError:
        """Returns the error that marks a position of the pattern."""
        return mistake(self.text, what, position)


def mistake(text: str, what: str, position: int) -> GraphkitError:
    """Returns the error that a pattern has `what` at a position, which it marks."""
    before, after = text[:position], text[position:]
    if len(before) > _SHOWN:
        before = f"…{before[-_SHOWN:]}"
    if len(after) > _SHOWN:
        after = f"{after[:_SHOWN]}…"
    marked = f"{before} >>> {after}".strip()
    return GraphkitError(f"the pattern has {what} at position {position + 1} ({marked}); write e.g. {_EXAMPLE}")


def read_pattern(text: str) -> Pattern:
    """Reads a pattern.

    Raises:
        GraphkitError: a syntax error, whose position is marked, or nesting beyond the limit.
    """
    reader = _Reader(text)
    target = reader.variable()
    if target is None:
        raise reader.fail("no answer variable")
    if reader.takes(","):
        raise reader.fail("two answer variables, where one is needed,", target.position)
    reader.expect(":")
    formula = reader.any(1)
    reader.end()
    return Pattern(target, formula, text)


class _Reader:
    """Walks a pattern from left to right; every complaint marks the position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, what: str, position: int | None = None) -> GraphkitError:
        return mistake(self.text, what, self.at if position is None else position)

    def any(self, level: int) -> Formula:
        if level > MAX_DEPTH:
            raise too_deep()
        start = self.at
        parts = [self.all(level)]
        while self.takes_word(_OR):
            parts.append(self.all(level))
        return parts[0] if len(parts) == 1 else Any(tuple(parts), start)

    def all(self, level: int) -> Formula:
        self.skip()
        start = self.at
        parts = [self.literal(level)]
        while self.takes(","):
            parts.append(self.literal(level))
        return parts[0] if len(parts) == 1 else All(tuple(parts), start)

    def literal(self, level: int) -> Formula:
        if level > MAX_DEPTH:
            raise too_deep()
        self.skip()
        start = self.at
        if self.takes_word(_NOT):
            return Not(self.literal(level + 1), start)
        if self.takes("("):
            inner = self.any(level + 1)
            self.expect(")")
            return inner
        variable = self.variable()
        if variable is not None:
            self.expect("=")
            return Equality(variable, self.label(",)", before_or=True), start)
        return self.condition(start)

    def condition(self, start: int) -> Condition:
        relation = self.label("(),")
        self.expect("(")
        terms = [self.term()]
        while self.takes(","):
            terms.append(self.term())
        if not self.takes(")"):
            raise self.fail(f"no {')' if len(terms) > 1 else ','!r} where one is needed")
        if len(terms) != 2:
            count = "1 argument" if len(terms) == 1 else f"{len(terms)} arguments"
            raise self.fail(f"a condition of {count}, where 2 are needed,", start)
        return Condition(relation, terms[0], terms[1], start)

    def term(self) -> Term:
        return self.variable() or self.label(",)")

    def variable(self) -> Term | None:
        self.skip()
        found = _VARIABLE.match(self.text, self.at)
        if found is None:
            return None
        term = Term(found[0], True, self.at)
        self.at = found.end()
        return term

    def label(self, stops: str, *, before_or: bool = False) -> Term:
        """Reads a quoted label, or a bare one that ends before any of `stops`."""
        self.skip()
        start = self.at
        quoted = _QUOTED.match(self.text, self.at)
        if quoted is not None:
            self.at = quoted.end()
            return Term(re.sub(r"\\(.)", r"\1", quoted[1]), False, start)
        while self.at < len(self.text) and self.text[self.at] not in stops:
            if before_or and _OR_AFTER_LABEL.match(self.text, self.at):
                break
            self.at += 1
        bare = self.text[start : self.at].strip()
        if not bare:
            raise self.fail("no label where one is needed", start)
        return Term(bare, False, start)

    def skip(self) -> None:
        self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches the empty string too

    def takes(self, symbol: str) -> bool:
        self.skip()
        found = self.text.startswith(symbol, self.at)
        self.at += len(symbol) if found else 0
        return found

    def takes_word(self, word: re.Pattern[str]) -> bool:
        self.skip()
        found = word.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found is not None

    def expect(self, symbol: str) -> None:
        if not self.takes(symbol):
            raise self.fail(f"no {symbol!r} where one is needed")

    def end(self) -> None:
        self.skip()
        if self.at < len(self.text):
            raise self.fail("more text than a pattern needs")
