"""Fixtures of all tests: hand-drawn graphs, and how Hypothesis searches."""

from __future__ import annotations

import os

# Idle OpenMP threads would spin beside the sampler's threads; torch reads this when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import pytest
from hypothesis import settings

from graphkit import KnowledgeGraph

# The same examples on every machine and in every run: a red build is one that anybody can repeat.
settings.register_profile("graphkit", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("graphkit")


@pytest.fixture
def six_nodes() -> KnowledgeGraph:
    """A labelled graph of six people and two relations.

    ::

        Ann ──likes──► Bob ──likes──► Cid ◄──likes── Eve        train
        Ann ──────────likes─────────► Cid
        Ann ──knows──► Dan ◄──knows── Bob
                       Dan ──knows──► Dan                       (a self-loop)
        Fay ──likes──► Ann                                      valid: Fay has no training edge
        Eve ──likes──► Bob,  Dan ──knows──► Ann                 test

    Ids follow the alphabet; likes is 0 and knows 1, so that directed relation 0 reads "likes", 1 "is liked by",
    2 "knows", 3 "is known by".
    """
    return KnowledgeGraph.from_triples(
        [
            ("Ann", "likes", "Bob"),
            ("Ann", "likes", "Cid"),
            ("Bob", "likes", "Cid"),
            ("Eve", "likes", "Cid"),
            ("Ann", "knows", "Dan"),
            ("Bob", "knows", "Dan"),
            ("Dan", "knows", "Dan"),
        ],
        valid=[("Fay", "likes", "Ann")],
        test=[("Eve", "likes", "Bob"), ("Dan", "knows", "Ann")],
        entities=["Ann", "Bob", "Cid", "Dan", "Eve", "Fay"],
        relations=["likes", "knows"],
    )


@pytest.fixture(scope="session")
def graphkit_data() -> Path:
    """The folder of published data sets, or a skip where there is none."""
    folder = os.environ.get("GRAPHKIT_DATA")
    if not folder:
        pytest.skip("GRAPHKIT_DATA is not set: it names the folder of the published data sets")
    return Path(folder)
