"""Graphs of nodes for the tests of training."""

from __future__ import annotations

import pytest

from graphkit.nodes import NodeGraph, planted_communities


@pytest.fixture(scope="module")
def graph() -> NodeGraph:
    return planted_communities(nodes=120, edges=400, features=10, communities=12, classes=3)
