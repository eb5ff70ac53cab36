"""Samplers: batches for a trainer, made ahead of it by native threads."""

from graphkit.samplers.batch import QueryBatch, Segment
from graphkit.samplers.query_sampler import QuerySampler, SamplerOptions

__all__ = ["QueryBatch", "QuerySampler", "SamplerOptions", "Segment"]
