"""Errors that a user can act on: one sentence with what was found, where, what is allowed, what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GraphkitError(Exception):
    """A mistake in the input, not in the program; the command line prints it alone and exits with code 2."""


def nearest(word: str, choices: Iterable[str], n: int = 3) -> list[str]:
    """Returns up to `n` of `choices` that are spelled like `word`, best first, ignoring case."""
    by_folded: dict[str, str] = {}
    for choice in choices:
        by_folded.setdefault(choice.casefold(), choice)
    found = difflib.get_close_matches(word.casefold(), by_folded, n=n, cutoff=0.6)
    return [by_folded[folded] for folded in found]


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Returns ``"; nearest: a, b"`` for the spellings closest to `word`, or an empty string."""
    found = nearest(word, choices)
    return f"; nearest: {', '.join(found)}" if found else ""
