"""Synthetic knowledge graphs in the shape of Freebase, of any size: what ``graphkit data synth`` makes.

The totals to ask for are those of Freebase as DGL-KE and SMORE use it: 86,054,151 entities, 14,824 relations,
338,586,276 triples. What lies below the totals is chosen, not measured on Freebase:

* Sizes of relations fall as 1 / (rank + 3): the largest has 5.9 % of the triples among 237 relations, as in FB15k-237,
  and 3.0 % among 14,824.
* Entities have types, one for 20 relations, whose sizes fall in the same way. A relation connects one type of head
  with one type of tail. Types get triples in proportion to their size.
* Relations are 1-1, 1-N, N-1 and N-N with shares of 26.2, 22.7, 28.3 and 22.8 %, which we recall as FB15k's (Bordes et
  al., NIPS 2013, section 4.2) and did not recompute; those too large for a function of their types are N-N.
* Within a relation, the tails of a head grow with its rank to the power of -1/2 or -3/4, and the probability of a tail
  with its own to the power of -1/2, -2/3 … -6/7: degrees have a heavy tail, with hubs. An entity ranks alike in all
  relations of its type. Heads that a relation has are spread evenly over their type.
* Ids of entities and relations are permuted at random: neighbours in id have nothing in common.

What comes of it at a tenth of Freebase's size (8.6M entities, 33.9M triples), beside real graphs, training triples:

============================================  =========  ==========  =========
statistic                                     synthetic  hs_gene_go  FB15k-237
============================================  =========  ==========  =========
runs (entity, relation) per directed edge     0.52       0.42        0.28
degree: mean, median, 99th percentile         7.9 5 53   9.2 3 77    37 22 273
triples at the largest hub                    0.6 %      3.0 %       2.8 %
edge ends at the 0.1 % of largest degree      13 %       19 %        7 %
entities without a training triple            1.2 %      0.0 %       0.2 %
============================================  =========  ==========  =========
"""

from __future__ import annotations

import bisect
import heapq
import math
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graphkit.errors import GraphkitError
from graphkit.graph import StoreBuilder
from graphkit.graph.edge_index import require_size
from graphkit.graph.store import require_free

_Ids = NDArray[np.int64]
_Reals = NDArray[np.float64]

_RELATIONS_PER_TYPE = 20
_RANK_OFFSET = 3
_KINDS = ("1-1", "1-N", "N-1", "N-N")
_KIND_SHARES = (0.262, 0.227, 0.283, 0.228)
#: Mean numbers of tails of a head are drawn between these: of 1-N and N-N relations.
_FAN_OUTS = {"1-N": (1.5, 12.0), "N-N": (1.2, 4.0)}
#: A type of tails is wanted that leaves a relation no denser than that.
_DENSITY = 0.25
#: A tail of rank k is drawn with a probability of k ** (1 / power - 1), with powers from 2 to this.
_MAX_POWER = 7
_BLOCK = 2**19

#: Called with what is done and what is to do: triples drawn first, then pieces sorted.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class _Relation:
    """What is drawn of one relation; ranks are places in a type, the most popular entity first."""

    edges: int
    #: Heads that have the relation.
    heads: int
    head_first: int
    head_size: int
    tail_first: int
    tail_size: int
    #: The fan-out of the head of rank j is a step of (j / heads) after so many square roots.
    roots: int
    #: A tail's rank is a uniform number to this power; 0 where no two edges share a tail.
    power: int
    #: Step and start of the walk over the tails where power is 0; the step has no divisor in common with tail_size.
    step: int
    start: int


class SyntheticTriples:
    """The triples of a synthetic graph by number: any may be computed alone, and all are distinct.

    Args:
        num_entities: N.
        num_relations: R.
        num_edges: E.
        seed: of all draws; the same numbers and seed give the same graph.

    Raises:
        GraphkitError: a number is below 1 or beyond a store's limits, or the relations have no room for the edges.
    """

    def __init__(self, num_entities: int, num_relations: int, num_edges: int, *, seed: int = 0) -> None:
        _check(num_entities, num_relations, num_edges, seed)
        self.num_entities = num_entities
        self.num_relations = num_relations
        self.num_edges = num_edges
        random = np.random.default_rng(seed)
        self._key = random.integers(2**63, dtype=np.uint64)
        relations = _plan(num_entities, num_relations, num_edges, random)
        #: int64[R] by field, in order of the relations' ids
        self._of = {
            field.name: np.array([getattr(relation, field.name) for relation in relations], dtype=np.int64)
            for field in fields(_Relation)
        }
        #: int64[R + 1] first run and first edge of each relation
        self._first_run = np.concatenate([[0], np.cumsum(self._of["heads"])])
        self._first_edge = np.concatenate([[0], np.cumsum(self._of["edges"])])
        #: uint32[N] ids of the entities, type by type
        self._ids = np.arange(num_entities, dtype=np.uint32)
        random.shuffle(self._ids)

    def block(self, first: int, last: int) -> _Ids:
        """Returns int64[last - first, 3]: the triples of these numbers, grouped by relation and head."""
        # A run is a head's edges of one relation. Runs are numbered through, and so are edges.
        total = int(self._first_run[-1])
        run = bisect.bisect_right(range(total), first, key=self._run_start) - 1
        end = bisect.bisect_left(range(total), last, key=self._run_start)
        bounds = self._run_starts(np.arange(run, end + 1))
        runs = np.arange(run, end)
        relation = self._relation_of(runs)
        within: _Ids = np.clip(bounds, first, last)
        edges_here = within[1:] - within[:-1]
        rows = np.empty((last - first, 3), dtype=np.int64)
        rows[:, 0] = np.repeat(self._heads(runs, relation), edges_here)
        rows[:, 1] = np.repeat(relation, edges_here)
        at = np.repeat(np.arange(len(runs)), edges_here)
        rows[:, 2] = self._tails(np.arange(first, last), bounds[:-1][at], np.diff(bounds)[at], rows[:, 1])
        return rows

    def _relation_of(self, runs: _Ids) -> _Ids:
        # Relations without edges share their first run with the next; the bound after the last run is the last's.
        found: _Ids = np.minimum(np.searchsorted(self._first_run, runs, side="right") - 1, self.num_relations - 1)
        return found

    def _run_start(self, run: int) -> int:
        return int(self._run_starts(np.array([run]))[0])

    def _run_starts(self, runs: _Ids) -> _Ids:
        """The number of each run's first edge: every head has one edge, and the rest by its rank."""
        relation = self._relation_of(runs)
        rank, heads = runs - self._first_run[relation], self._of["heads"][relation]
        share = rank / np.maximum(heads, 1)
        # Square roots and products, which all machines round alike, rather than powers.
        for roots in range(1, 3):
            np.sqrt(share, out=share, where=self._of["roots"][relation] >= roots)
        starts: _Ids = np.floor((self._of["edges"][relation] - heads) * share).astype(np.int64)
        starts += self._first_edge[relation] + rank
        return starts

    def _heads(self, runs: _Ids, relation: _Ids) -> NDArray[np.uint32]:
        # Places in the type at random, ascending and distinct: each rank skips its share of those without.
        rank, heads = runs - self._first_run[relation], self._of["heads"][relation]
        without = self._of["head_size"][relation] - heads
        skipped = ((without + 1) * ((rank + _uniform(runs, ~self._key)) / heads)).astype(np.int64)
        ids: NDArray[np.uint32] = self._ids[self._of["head_first"][relation] + rank + np.minimum(skipped, without)]
        return ids

    def _tails(self, edges: _Ids, run_start: _Ids, fan_out: _Ids, relation: _Ids) -> NDArray[np.uint32]:
        size, power = self._of["tail_size"][relation], self._of["power"][relation]
        # The tails of a head, one in each of `fan_out` equal shares of the probability; `nth` makes them distinct.
        nth = edges - run_start
        uniform = (nth + _uniform(edges, self._key)) / fan_out
        share = np.ones_like(uniform)
        for exponent in range(1, _MAX_POWER + 1):
            np.multiply(share, uniform, out=share, where=power >= exponent)
        place = nth + np.minimum((share * (size - fan_out + 1)).astype(np.int64), size - fan_out)
        walks = np.flatnonzero(power == 0)
        if len(walks):
            of = relation[walks]
            nth_of_relation = (edges[walks] - self._first_edge[of]).astype(np.uint64)
            walked = nth_of_relation * self._of["step"][of].astype(np.uint64) + self._of["start"][of].astype(np.uint64)
            place[walks] = (walked % size[walks].astype(np.uint64)).astype(np.int64)
        ids: NDArray[np.uint32] = self._ids[self._of["tail_first"][relation] + place]
        return ids


@dataclass(frozen=True)
class SynthReport:
    """What was made."""

    out: Path
    entities: int
    relations: int
    #: Distinct triples, as many as were asked for.
    edges: int

    def lines(self) -> list[str]:
        """The report as lines for a terminal."""
        return [
            f"{self.entities:,} entities, {self.relations:,} relations, {self.edges:,} distinct triples, all in train",
            f"saved in {self.out}",
        ]


def synthesize(
    out: str | os.PathLike[str],
    *,
    num_entities: int,
    num_relations: int,
    num_edges: int,
    seed: int = 0,
    overwrite: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> SynthReport:
    """Draw a graph in the shape of Freebase and save it as a store, without labels, in bounded memory.

    Memory holds four bytes an entity, some 100 MiB a thread, and what :class:`~graphkit.graph.StoreBuilder` takes.

    Args:
        out: The folder of the new store.
        num_entities: N.
        num_relations: R.
        num_edges: E, the number of distinct triples; the store has exactly that many.
        seed: The same numbers and seed give the same graph, whatever the number of threads.
        overwrite: Whether a store in ``out`` may be replaced.
        threads: By default one a core.
        progress: Called with ``"drawn"`` or ``"sorted"``, how much is done, and of how much; by several threads.

    Returns:
        What was made.

    Raises:
        GraphkitError: if ``out`` exists or cannot be written, a number is out of range, or the relations have no
            room for the edges.
    """
    folder = Path(out)
    require_free(folder, overwrite=overwrite)
    _require_disk(folder, num_edges)
    triples = SyntheticTriples(num_entities, num_relations, num_edges, seed=seed)
    with StoreBuilder(folder, num_entities, num_relations, overwrite=overwrite, threads=threads) as builder:

        def draw(first: int) -> None:
            builder.add(triples.block(first, min(first + _BLOCK, num_edges)))
            if progress is not None:
                progress("drawn", builder.num_added, num_edges)

        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            for _ in pool.map(draw, range(0, num_edges, _BLOCK)):
                pass
        counts = builder.finish(None if progress is None else lambda done, of: progress("sorted", done, of))
    return SynthReport(folder, num_entities, num_relations, counts["num_edges"])


def _check(num_entities: int, num_relations: int, num_edges: int, seed: int) -> None:
    for what, number, least in (
        ("entities", num_entities, 1),
        ("relations", num_relations, 1),
        ("edges", num_edges, 1),
        ("seed", seed, 0),
    ):
        if number < least:
            raise GraphkitError(
                f"{what} is {number}, and a synthetic graph needs {least} or more; give a larger number"
            )
    require_size(num_entities, num_relations)


def _require_disk(folder: Path, num_edges: int) -> None:
    """Makes sure that there is room for the keys that are spilled, which the store takes less than."""
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    free, needed = shutil.disk_usage(there).free, 16 * num_edges
    if needed > free:
        raise GraphkitError(
            f"{num_edges} edges take {needed / 1e9:,.0f} GB of disk, and {there} has {free / 1e9:,.0f} GB free; give "
            "fewer edges, or another folder"
        )


def _uniform(numbers: _Ids, key: np.uint64) -> _Reals:
    """Uniform numbers in [0, 1) of numbers and a key: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""
    z = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + key
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform: _Reals = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform


def _shares(total: int, parts: int) -> list[int]:
    """Deals `total` by 1 / (rank + 3), largest first; each part gets one where that is possible."""
    least = min(total // parts, 1)
    cumulated = np.cumsum(1.0 / (np.arange(1, parts + 1) + _RANK_OFFSET))
    rest = np.diff(np.floor(cumulated / cumulated[-1] * (total - least * parts)), prepend=0)
    return sorted((least + rest.astype(np.int64)).tolist(), reverse=True)


def _room(heads: int, tails: int) -> int:
    """Edges that a relation of so many heads and tails is given at most."""
    return heads if tails == 1 else heads * (tails - 1)


def _plan(num_entities: int, num_relations: int, num_edges: int, random: np.random.Generator) -> list[_Relation]:
    """Draws the relations, in the order of their ids."""
    types = min(max(num_relations // _RELATIONS_PER_TYPE, 1), num_entities)
    sizes = _shares(num_entities, types)
    firsts = [0, *np.cumsum(sizes).tolist()]
    # The type that lacks most of its share of edges comes first; the largest relations are dealt first.
    lacking = [(-num_edges * size / num_entities, kind) for kind, size in enumerate(sizes)]
    heapq.heapify(lacking)
    edge_counts = _shares(num_edges, num_relations)
    if edge_counts[0] > _room(sizes[0], sizes[0]):
        fit = num_edges * _room(sizes[0], sizes[0]) // edge_counts[0]
        raise GraphkitError(
            f"{num_edges} edges do not fit: the largest of {num_relations} relations would have {edge_counts[0]}, and "
            f"the largest type of its heads and tails has {sizes[0]} of the {num_entities} entities; give at most "
            f"{fit} edges, or more entities"
        )
    relations = []
    for edges in edge_counts:
        lack, wide = lacking[0]
        heapq.heapreplace(lacking, (lack + edges, wide))
        relations.append(_draw_relation(edges, wide, sizes, firsts, random))
    return [relations[place] for place in random.permutation(num_relations)]


def _draw_relation(
    edges: int, wide: int, sizes: list[int], firsts: list[int], random: np.random.Generator
) -> _Relation:
    """Draws the other type and the kind of a relation whose heads or tails have the type `wide`."""
    kind = str(random.choice(_KINDS, p=_KIND_SHARES))
    if edges > sizes[wide]:  # no function of this type
        kind = "N-N"
    if kind == "N-N" and edges > min(_room(sizes[wide], sizes[0]), _room(sizes[0], sizes[wide])):
        wide = 0
    needed = {"1-1": edges, "N-N": math.ceil(edges / sizes[wide] / _DENSITY) + 1}.get(kind, 1)
    large_enough = bisect.bisect_right(sizes, -needed, key=lambda size: -size)
    other = int(random.integers(max(large_enough, 1)))
    head, tail = (wide, other)
    if kind == "1-N" or (kind == "N-N" and random.random() < 0.5):
        head, tail = (other, wide)
    heads = edges
    if kind in _FAN_OUTS:
        least = -(-edges // max(sizes[tail] - 1, 1))
        heads = min(max(int(edges / random.uniform(*_FAN_OUTS[kind])), least, min(edges, 1)), sizes[head])
    roots = int(random.integers(1, 3))
    while roots and 2 + (edges - heads) * (1 / max(heads, 1)) ** (0.5**roots) > sizes[tail]:
        roots -= 1  # no head may have more tails than there are
    step = int(random.integers(sizes[tail])) + 1
    while math.gcd(step, sizes[tail]) > 1:
        step += 1
    return _Relation(
        edges=edges,
        heads=heads,
        head_first=firsts[head],
        head_size=sizes[head],
        tail_first=firsts[tail],
        tail_size=sizes[tail],
        roots=roots,
        power=0 if kind in ("1-1", "1-N") else int(random.integers(2, _MAX_POWER + 1)),
        step=step,
        start=int(random.integers(sizes[tail])),
    )
