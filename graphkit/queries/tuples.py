"""Nested tuples as BetaE writes them: ``('e', ('r', 'r'))`` is 2p, a trailing ``('u',)`` a union, ``'n'`` a negation.

A tuple whose last element is a tuple of operations is a path: they are applied to what stands before it. Any other
tuple is an intersection of its elements, or their union if it ends in ``('u',)``. In queries of ids, as in the files of
BetaE, -2 stands for ``'n'`` and ``(-1,)`` for ``('u',)``.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TypeAlias

from graphkit.errors import GraphkitError
from graphkit.queries.tree import MAX_DEPTH, Anchor, Intersection, Negation, Node, Projection, Union, too_deep

#: ``'e'`` or an id, or a tuple of these.
Nested: TypeAlias = "str | int | tuple[Nested, ...]"

#: Tells what an element is ("e", "r", "n", "u", or "er" for an id that is either) and its number, or None.
_Element: TypeAlias = Callable[["Nested"], "tuple[str, int] | None"]

_ID_OF_NEGATION = -2
_ID_OF_UNION = -1
_BLANKS = " \t\n"
#: What the text of nested tuples may be made of; this keeps Python's parser away from anything else.
_SYMBOLS = frozenset(f"ernu0123456789-(),'\"{_BLANKS}")


def read_text(text: str) -> Nested:
    """Reads the text of nested tuples, e.g. ``"('e', ('r', 'r'))"``.

    Raises:
        GraphkitError: it is none, or nested too deep.
    """
    depth = 0
    for position, symbol in enumerate(text):
        if symbol not in _SYMBOLS:
            raise _malformed(f"{symbol!r} at position {position + 1}")
        depth += (symbol == "(") - (symbol == ")")
        if depth > MAX_DEPTH:
            raise too_deep()
    try:
        value: Nested = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise _malformed(_clipped(text)) from None
    return value


def parse_letters(nested: Nested) -> Node:
    """Reads a structure; all numbers of the tree are 0.

    Raises:
        GraphkitError: not the letters of a structure, or nested too deep.
    """
    return _parse(nested, 1, _letter)


def parse_ids(nested: Nested) -> Node:
    """Reads a query of ids. Only an element before relations can be an anchor: ``(5, 6)`` would have two meanings.

    Raises:
        GraphkitError: not the ids of a query, or nested too deep.
    """
    return _parse(nested, 1, _id)


def print_letters(node: Node) -> Nested:
    """Returns the nested tuples of the tree's structure."""
    return _print(node, letters=True)


def print_ids(node: Node) -> Nested:
    """Returns the nested tuples of a query's ids.

    Raises:
        GraphkitError: an anchor stands where no relation follows, which this spelling cannot tell from a path.
    """
    return _print(node, letters=False)


def _letter(value: Nested) -> tuple[str, int] | None:
    return (value, 0) if isinstance(value, str) and value in {"e", "r", "n", "u"} else None


def _id(value: Nested) -> tuple[str, int] | None:
    """Returns what kind of element an id is, and its number; ids of anchors and relations look alike."""
    if isinstance(value, bool) or not isinstance(value, int) or value < _ID_OF_NEGATION:
        return None
    return {_ID_OF_NEGATION: "n", _ID_OF_UNION: "u"}.get(value, "er"), value


def _parse(nested: Nested, level: int, element: _Element) -> Node:
    if level > MAX_DEPTH:
        raise too_deep()
    found = element(nested)
    if found is not None and "e" in found[0]:
        return Anchor(found[1])
    if not isinstance(nested, tuple) or len(nested) < 2:
        raise _malformed(_clipped(nested))
    *before, last = nested
    operations = [element(value) for value in last] if isinstance(last, tuple) else []
    kinds = [kind for kind in operations if kind is not None]
    if operations and len(kinds) == len(operations):
        if [kind for kind, _ in kinds] == ["u"]:
            return Union(tuple(_branch(one, level, element) for one in before))
        if len(before) == 1 and all(kind in {"n", "r", "er"} for kind, _ in kinds):
            node = _parse(before[0], level + 1, element)
            for kind, number in kinds:
                node = Negation(node) if kind == "n" else Projection(node, number)
            return node
    return Intersection(tuple(_branch(one, level, element) for one in nested))


def _branch(nested: Nested, level: int, element: _Element) -> Node:
    node = _parse(nested, level + 1, element)
    if element is _id and isinstance(node, Anchor):
        raise _ambiguous()
    return node


def _print(node: Node, *, letters: bool) -> Nested:
    operations: list[Nested] = []
    while isinstance(node, Projection | Negation):
        if isinstance(node, Projection):
            operations.append("r" if letters else node.relation)
        else:
            operations.append("n" if letters else _ID_OF_NEGATION)
        node = node.operand
    if isinstance(node, Anchor):
        base: Nested = "e" if letters else node.entity
    else:
        if not letters and any(isinstance(branch, Anchor) for branch in node.branches):
            raise _ambiguous()
        union: tuple[Nested, ...] = (("u",) if letters else (_ID_OF_UNION,),) if isinstance(node, Union) else ()
        base = (*(_print(branch, letters=letters) for branch in node.branches), *union)
    return (base, tuple(reversed(operations))) if operations else base


def _clipped(nested: Nested) -> str:
    # repr() of a deep tuple recurses; what is deep was refused before, or is not worth printing.
    try:
        text = nested if isinstance(nested, str) else repr(nested)
    except RecursionError:
        raise too_deep() from None
    return text if len(text) <= 80 else f"{text[:77]}..."


def _malformed(found: str) -> GraphkitError:
    return GraphkitError(
        f"the nested tuples of a query hold {found}, and elements such as 'e', ('e', ('r', 'n')) or (…, …, ('u',)) are "
        "needed; ('e', ('r', 'r')) is two hops from an anchor"
    )


def _ambiguous() -> GraphkitError:
    return GraphkitError(
        "nested tuples of ids cannot hold an anchor that no relation follows; write the query as a pattern such as "
        "?x : ?x = France or ?x = Spain"
    )
