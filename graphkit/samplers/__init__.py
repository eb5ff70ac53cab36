"""Samplers: batches for a trainer, made ahead of it by native threads."""

from graphkit.samplers.batch import QueryBatch, Segment
from graphkit.samplers.held_out import held_out_queries
from graphkit.samplers.query_sampler import QuerySampler, SamplerOptions, SamplingStatistics

__all__ = ["QueryBatch", "QuerySampler", "SamplerOptions", "SamplingStatistics", "Segment", "held_out_queries"]
