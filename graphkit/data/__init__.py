"""Readers, splits, named and synthetic data sets: how triples get into graphkit."""

from __future__ import annotations

from graphkit.data.importing import ImportReport, PartReport, import_triples
from graphkit.data.named import DATASETS, NamedDataset, load, names
from graphkit.data.query_sets import QUERY_SETS, QuerySet, load_queries, load_query_graph
from graphkit.data.reading import EncodedTriples, TripleReader, read_triples
from graphkit.data.sniffing import FileFormat
from graphkit.data.splitting import Split, entity_covering_split, symmetric_groups
from graphkit.data.synthetic import SyntheticTriples, SynthReport, synthesize

__all__ = [
    "DATASETS",
    "QUERY_SETS",
    "EncodedTriples",
    "FileFormat",
    "ImportReport",
    "NamedDataset",
    "PartReport",
    "QuerySet",
    "Split",
    "SynthReport",
    "SyntheticTriples",
    "TripleReader",
    "entity_covering_split",
    "import_triples",
    "load",
    "load_queries",
    "load_query_graph",
    "names",
    "read_triples",
    "symmetric_groups",
    "synthesize",
]
