"""The graph store: triples, splits, labels, and one index over both directions."""

from graphkit.graph.building import StoreBuilder
from graphkit.graph.edge_index import EdgeArrays, EdgeIndex
from graphkit.graph.knowledge_graph import SPLITS, KnowledgeGraph, Split
from graphkit.graph.vocabulary import Vocabulary

__all__ = ["SPLITS", "EdgeArrays", "EdgeIndex", "KnowledgeGraph", "Split", "StoreBuilder", "Vocabulary"]
