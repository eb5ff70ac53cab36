"""Queries: one algebra of trees, its spellings, and exact execution."""

from graphkit.queries.execution import AnswerSets, EasyAndHard, QueryTable, answer_sets, answers, easy_and_hard
from graphkit.queries.normal_form import MAX_DISJUNCTS, disjuncts
from graphkit.queries.pattern import parse
from graphkit.queries.query import Query
from graphkit.queries.structures import ONE_HOP, STRUCTURES, Structure, structure, structures
from graphkit.queries.tree import MAX_DEPTH, Anchor, Intersection, Negation, Node, Projection, Union
from graphkit.queries.wording import write

__all__ = [
    "MAX_DEPTH",
    "MAX_DISJUNCTS",
    "ONE_HOP",
    "STRUCTURES",
    "Anchor",
    "AnswerSets",
    "EasyAndHard",
    "Intersection",
    "Negation",
    "Node",
    "Projection",
    "Query",
    "QueryTable",
    "Structure",
    "Union",
    "answer_sets",
    "answers",
    "disjuncts",
    "easy_and_hard",
    "parse",
    "structure",
    "structures",
    "write",
]
