"""Samplers: batches for a trainer, made ahead of it by native threads."""

from graphkit.samplers.batch import QueryBatch, Segment
from graphkit.samplers.cluster_sampler import ClusterBatch, ClusterOptions, ClusterSampler
from graphkit.samplers.held_out import HeldOutQueries, held_out_queries
from graphkit.samplers.query_sampler import CannotDraw, QuerySampler, SamplerOptions, SamplingStatistics

__all__ = [
    "CannotDraw",
    "ClusterBatch",
    "ClusterOptions",
    "ClusterSampler",
    "HeldOutQueries",
    "QueryBatch",
    "QuerySampler",
    "SamplerOptions",
    "SamplingStatistics",
    "Segment",
    "held_out_queries",
]
