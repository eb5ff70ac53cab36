"""The syntax tree of a pattern: conditions on variables as they are written, before they are joined into a query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Term:
    """A variable (``?x``) or a label, and where it stands in the text."""

    text: str
    variable: bool
    position: int


@dataclass(frozen=True)
class Condition:
    """``relation(first, second)``."""

    relation: Term
    first: Term
    second: Term
    position: int


@dataclass(frozen=True)
class Equality:
    """``?x = label``."""

    variable: Term
    label: Term
    position: int


@dataclass(frozen=True)
class Not:
    """``not formula``."""

    formula: Formula
    position: int


@dataclass(frozen=True)
class All:
    """Formulas separated by commas."""

    parts: tuple[Formula, ...]
    position: int


@dataclass(frozen=True)
class Any:
    """Formulas separated by ``or``."""

    parts: tuple[Formula, ...]
    position: int


Formula: TypeAlias = Condition | Equality | Not | All | Any


def variables(formula: Formula) -> Iterator[Term]:
    """Yields every variable wherever it occurs, in the order of the text."""
    match formula:
        case Condition():
            yield from (term for term in (formula.first, formula.second) if term.variable)
        case Equality():
            yield formula.variable
        case Not():
            yield from variables(formula.formula)
        case All() | Any():
            for part in formula.parts:
                yield from variables(part)


def positive_variables(formula: Formula) -> Iterator[Term]:
    """Yields the variables that occur outside of negations."""
    match formula:
        case Condition() | Equality():
            yield from variables(formula)
        case Not():
            return
        case All() | Any():
            for part in formula.parts:
                yield from positive_variables(part)


def conjuncts(formula: Formula) -> tuple[Formula, ...]:
    """Returns the formulas that must all hold, those of nested groups included."""
    if isinstance(formula, All):
        return tuple(one for part in formula.parts for one in conjuncts(part))
    return (formula,)
