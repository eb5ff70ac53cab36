"""Questions as people write them, e.g. ``?x : borders(?x, France)``, turned into queries of ids."""

from __future__ import annotations

from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph, Vocabulary
from graphkit.queries.joining import Joiner
from graphkit.queries.query import Query, checked_rows
from graphkit.queries.syntax import read_pattern
from graphkit.queries.tuples import Nested, read_text


def parse(spelling: str | Nested, graph: KnowledgeGraph, *, complement: bool = False) -> Query:
    """Reads a question.

    A pattern names the answer variable, then conditions::

        ?x : borders(?x, ?y), official_language(?y, German), not member_of(?x, NATO)
        ?x : borders(?x, France) or borders(?x, ?y), (?y = Spain or ?y = Italy)

    All conditions between commas hold, or those of one side of an ``or``; a comma binds tighter, and parentheses
    group. ``not`` applies to a condition or to a group; a variable that occurs within it alone means "any". A label
    that holds a comma, a parenthesis, leading blanks or the words ``not`` and ``or`` is written in double quotes. In a
    graph without vocabularies the ids stand for the labels.

    Args:
        spelling: a pattern, or the nested tuples of ids of BetaE, e.g. ``((5, (0,)), (7, (2, -2)))``.
        graph: gives the ids of labels.
        complement: whether a query of negated conditions alone is welcome; its answers are nearly all entities.

    Raises:
        GraphkitError: a syntax error (its position is marked), an unknown label (the nearest are named), or conditions
            that are no query: cyclic, unbounded, with an unused variable, too many branches or too deep.
    """
    if isinstance(spelling, str) and not spelling.lstrip().startswith("("):
        pattern = read_pattern(spelling)
        joiner = Joiner(
            pattern,
            entity=lambda label: _identify(label, graph.entities, graph.num_entities, "entity"),
            relation=lambda label: _identify(label, graph.relations, graph.num_relations, "relation"),
        )
        return Query.of(joiner.tree(complement=complement))
    query = Query.of_nested(read_text(spelling) if isinstance(spelling, str) else spelling)
    checked_rows(query.structure, [query.row], graph)
    if not complement:
        query.structure.require_bounded()
    return query


def _identify(label: str, vocabulary: Vocabulary | None, size: int, kind: str) -> int:
    if vocabulary is not None:
        return vocabulary.id(label)
    # Python refuses to read numbers of thousands of digits.
    if not label.isdecimal() or len(label) > len(str(size)) or int(label) >= size:
        raise GraphkitError(f"the graph has no {kind} {label!r}; it has no labels, so give an id from 0 to {size - 1}")
    return int(label)
