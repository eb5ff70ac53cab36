"""Queries: their structures, and patterns as people write them."""

from graphkit.queries.pattern import Query, parse
from graphkit.queries.structures import ONE_HOP, STRUCTURES, Structure, structures

__all__ = ["ONE_HOP", "STRUCTURES", "Query", "Structure", "parse", "structures"]
