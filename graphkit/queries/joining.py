"""From conditions to a tree: existential variables are joined away, starting at the answer variable.

A variable that occurs in several parts of a group, once at least outside of negations, joins them. Any other variable
belongs to the one part that names it: in ``not borders(?x, ?y), …`` it means that there is no such ``?y`` (NOT EXISTS
of SPARQL), and the branches of an ``or`` do not share it. What is joined must form a tree whose root is the answer
variable: the algebra of queries has no other shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod

from graphkit.errors import GraphkitError
from graphkit.queries.formula import (
    All,
    Any,
    Condition,
    Equality,
    Formula,
    Not,
    Term,
    conjuncts,
    positive_variables,
    variables,
)
from graphkit.queries.normal_form import require_disjuncts
from graphkit.queries.syntax import Pattern
from graphkit.queries.tree import (
    MAX_DEPTH,
    Anchor,
    Intersection,
    Negation,
    Node,
    Projection,
    Union,
    is_complement,
    too_deep,
)

_CYCLIC = "which makes it cyclic and so no tree (what handles cycles is an enumeration of a variable, as in FIT),"


@dataclass
class _Group:
    """The parts of one conjunction, by the variables that they constrain."""

    target: str
    #: parts that constrain one variable, or link it to another, in the order of the text
    parts: dict[str, list[Formula]] = field(default_factory=dict)
    #: where each variable occurs first
    seen: dict[str, int] = field(default_factory=dict)
    visited: set[str] = field(default_factory=set)

    def add(self, names: Sequence[str], part: Formula) -> None:
        for name in names:
            self.parts.setdefault(name, []).append(part)
            self.seen.setdefault(name, part.position)


class Joiner:
    """Turns the formula of a pattern into a tree of ids.

    Args:
        pattern: what was read.
        entity: gives the id of a label.
        relation: gives the raw id of a label.
    """

    def __init__(self, pattern: Pattern, entity: Callable[[str], int], relation: Callable[[str], int]) -> None:
        self._pattern = pattern
        self._entity = entity
        self._relation = relation

    def tree(self, *, complement: bool) -> Node:
        """Returns the tree of the answers.

        Raises:
            GraphkitError: the pattern is no tree (cyclic, or with variables that nothing links to the answers), is
                unbounded, or branches or nests beyond the limits; a label is unknown.
        """
        formula, target = self._pattern.formula, self._pattern.target
        node = self._formula(formula, target.text, 1, 1)
        if not complement and is_complement(node):
            where = " in a branch of its or" if isinstance(node, Union) else ""
            raise self._unbounded(f"{target.text}{where}", formula.position)
        return node

    def _formula(self, formula: Formula, target: str, level: int, copies: int) -> Node:
        """Returns the set of values of `target`; `copies` is how often distribution has multiplied this part."""
        if level > MAX_DEPTH:
            raise too_deep()
        if isinstance(formula, Any):
            return Union(tuple(self._formula(part, target, level + 1, copies) for part in formula.parts))
        parts = conjuncts(formula)
        shared = _shared(parts, target)
        wide = [i for i, part in enumerate(parts) if isinstance(part, Any) and len(shared[i]) > 1]
        if wide:
            return self._distributed(parts, wide, formula.position, target, level, copies)
        group = _Group(target)
        for part, names in zip(parts, shared, strict=True):
            self._add(group, part, names)
        node = self._variable(group, target, None, formula.position, level, copies)
        for name, position in group.seen.items():
            if name not in group.visited:
                raise self._pattern.fail(f"the unused variable {name} (nothing links it to {target})", position)
        return node

    def _distributed(
        self, parts: Sequence[Formula], wide: list[int], position: int, target: str, level: int, copies: int
    ) -> Node:
        """(A or B), C = (A, C) or (B, C): needed where an ``or`` links two variables of the group."""
        choices = [part.parts for i in wide if isinstance(part := parts[i], Any)]
        copies *= prod(len(branches) for branches in choices)
        require_disjuncts(copies)
        found = []
        for choice in product(*choices):
            chosen = dict(zip(wide, choice, strict=True))
            conjunction = All(tuple(chosen.get(i, part) for i, part in enumerate(parts)), position)
            found.append(self._formula(conjunction, target, level + 1, copies))
        return Union(tuple(found))

    def _add(self, group: _Group, part: Formula, names: Sequence[str]) -> None:
        if isinstance(part, Not) and len(names) > 1:
            raise self._pattern.fail(f"a negation that links {names[0]} and {names[1]}, {_CYCLIC}", part.position)
        if isinstance(part, Condition):
            names = [term.text for term in variables(part)]
            if len(names) == 2 and names[0] == names[1]:
                raise self._pattern.fail(f"a condition that links {names[0]} to itself, {_CYCLIC}", part.position)
            if not names:
                raise self._pattern.fail("no variable in a condition that needs one", part.position)
        if isinstance(part, Equality):
            names = [part.variable.text]
        if not names:
            loose = next(iter(variables(part)), None)
            what = "a condition without variables" if loose is None else f"the unused variable {loose.text}"
            raise self._pattern.fail(f"{what} (nothing links it to {group.target})", part.position)
        group.add(names, part)

    def _variable(
        self, group: _Group, name: str, parent: Formula | None, position: int, level: int, copies: int
    ) -> Node:
        """Returns the set of values of a variable, by all of its conditions but the one that led here."""
        if level > MAX_DEPTH:
            raise too_deep()
        group.visited.add(name)
        branches = [
            self._branch(group, name, part, level, copies) for part in group.parts.get(name, ()) if part is not parent
        ]
        if not branches and parent is None:
            raise self._pattern.fail(
                f"no condition on {name} in a group that needs one (a comma binds tighter than or; parentheses group)",
                position,
            )
        if not branches:
            raise self._pattern.fail(
                f"the unused variable {name} (it occurs once and so says nothing: use it again, or put a label there)",
                position,
            )
        node = branches[0] if len(branches) == 1 else Intersection(tuple(branches))
        if parent is not None and is_complement(node):
            raise self._unbounded(name, position)
        return node

    def _unbounded(self, name: str, position: int) -> GraphkitError:
        return self._pattern.fail(
            f"nothing but negated conditions on {name}, so that it is unbounded (add one that is not negated),",
            position,
        )

    def _branch(self, group: _Group, name: str, part: Formula, level: int, copies: int) -> Node:
        match part:
            case Equality():
                return Anchor(self._entity(part.label.text))
            case Not():
                return Negation(self._formula(part.formula, name, level + 1, copies))
            case Condition():
                return self._projection(group, name, part, level, copies)
            case _:
                return self._formula(part, name, level + 1, copies)

    def _projection(self, group: _Group, name: str, part: Condition, level: int, copies: int) -> Node:
        inverse = part.first.variable and part.first.text == name
        other: Term = part.second if inverse else part.first
        relation = 2 * self._relation(part.relation.text) + int(inverse)
        if not other.variable:
            return Projection(Anchor(self._entity(other.text)), relation)
        if other.text in group.visited:
            raise self._pattern.fail(f"a second link between {name} and {other.text}, {_CYCLIC}", part.position)
        return Projection(self._variable(group, other.text, part, part.position, level + 1, copies), relation)


def _shared(parts: Sequence[Formula], target: str) -> list[list[str]]:
    """Returns the variables of each part that join it to the others or to the answer."""
    named = [list(dict.fromkeys(term.text for term in variables(part))) for part in parts]
    occurrences = Counter(name for names in named for name in names)
    positive = {term.text for part in parts for term in positive_variables(part)}
    return [
        [name for name in names if name == target or (occurrences[name] > 1 and name in positive)] for names in named
    ]
