"""The native sampler is fast enough to be worth its C++: a ratio of two programs in one run, not a time."""

from __future__ import annotations

import time
from itertools import islice

from strategies import random_graph

from graphkit.queries import STRUCTURES
from graphkit.samplers import QuerySampler, SamplerOptions, reference


def test_a_query_takes_the_native_sampler_less_than_a_twentieth_of_what_it_takes_the_twin() -> None:
    graph = random_graph(300, 5, 2000)
    options = SamplerOptions(structures=" ".join(STRUCTURES), batch_size=70, negatives=32)
    began = time.process_time()
    reference.sample(graph, options, 0)
    twin = time.process_time() - began
    sampler = QuerySampler(graph, options)
    next(sampler)
    began = time.process_time()
    batches = sum(1 for _ in islice(sampler, 50))
    assert (time.process_time() - began) / batches < twin / 20
