"""Synthetic graphs have the sizes that were asked for, the shape that the module states, and nothing by chance."""

from __future__ import annotations

import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphkit import GraphkitError, KnowledgeGraph
from graphkit.data import SyntheticTriples, synthesize
from graphkit.data import synthetic as module

SIZES = {"num_entities": 20_000, "num_relations": 100, "num_edges": 80_000}

#: CRC-32 of the triples of seed 0.
GOLDEN = 2762673735


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeGraph:
    folder = tmp_path_factory.mktemp("synthetic") / "store"
    synthesize(folder, **SIZES)
    return KnowledgeGraph.open(folder)


@given(st.integers(1, 300), st.integers(1, 90), st.integers(1, 3_000), st.integers(0, 9))
def test_triples_are_distinct_and_in_range_or_refused(entities: int, relations: int, edges: int, seed: int) -> None:
    try:
        synthetic = SyntheticTriples(entities, relations, edges, seed=seed)
    except GraphkitError as error:
        fit = int(str(error).partition("give at most ")[2].split()[0])
        assert fit < edges
        SyntheticTriples(entities, relations, max(fit, 1), seed=seed)  # what the message allows is allowed
        return
    triples = synthetic.block(0, edges)
    assert triples.shape == (edges, 3)
    assert (triples >= 0).all() and (triples < [entities, relations, entities]).all()
    assert len(np.unique(triples, axis=0)) == edges


@given(st.integers(0, 4_999), st.integers(1, 700))
def test_any_block_may_be_computed_alone(first: int, size: int) -> None:
    synthetic = SyntheticTriples(900, 40, 5_000, seed=3)
    last = min(first + size, 5_000)
    assert synthetic.block(first, last).tolist() == synthetic.block(0, 5_000)[first:last].tolist()


@pytest.mark.parametrize(("threads", "block"), [(1, 2**19), (2, 1_000), (3, 777)])
def test_the_store_does_not_depend_on_threads_and_blocks(
    graph: KnowledgeGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int, block: int
) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    synthesize(tmp_path / "store", **SIZES, threads=threads)
    assert KnowledgeGraph.open(tmp_path / "store").fingerprint == graph.fingerprint


def test_the_seed_makes_the_graph() -> None:
    """The stored sum tells a change of what a seed gives: users compare runs on such graphs."""
    sums = [zlib.crc32(SyntheticTriples(**SIZES, seed=seed).block(0, 80_000).tobytes()) for seed in (0, 0, 1)]
    assert sums[0] == sums[1] != sums[2]
    assert sums[0] == GOLDEN


def test_the_store_has_exactly_the_edges_that_were_asked_for(graph: KnowledgeGraph) -> None:
    assert (graph.num_entities, graph.num_relations, graph.num_edges) == (20_000, 100, 80_000)
    assert graph.duplicates == 0
    assert graph.entities is None and graph.relations is None
    assert len(graph.triples("valid")) == len(graph.triples("test")) == 0


def test_relation_sizes_fall_as_stated(graph: KnowledgeGraph) -> None:
    found = np.sort(np.bincount(graph.triples()[:, 1], minlength=100))[::-1]
    stated = 1 / (np.arange(1, 101) + 3)
    np.testing.assert_allclose(found, 80_000 * stated / stated.sum(), rtol=0.002, atol=2)


def test_relations_have_types(graph: KnowledgeGraph) -> None:
    """Heads of a relation stay within one type, tails within one: with five types, they leave out many entities."""
    triples = graph.triples()
    sizes = module._shares(20_000, 5)
    for relation in range(100):
        of = triples[triples[:, 1] == relation]
        assert len(np.unique(of[:, 0])) <= sizes[0] and len(np.unique(of[:, 2])) <= sizes[0]
    heads = [set(triples[triples[:, 1] == relation, 0].tolist()) for relation in range(100)]
    disjoint = sum(not one & other for place, one in enumerate(heads) for other in heads[:place])
    assert disjoint > 1_000  # of 4,950 pairs


def test_relations_are_of_all_four_kinds(graph: KnowledgeGraph) -> None:
    triples = graph.triples()
    kinds = set()
    for relation in range(100):
        of = triples[triples[:, 1] == relation]
        per_head, per_tail = (len(of) / len(np.unique(of[:, column])) for column in (0, 2))
        kinds.add((per_head > 1, per_tail > 1))
    assert kinds == {(False, False), (False, True), (True, False), (True, True)}


def test_degrees_have_a_heavy_tail(graph: KnowledgeGraph) -> None:
    degrees = graph.degree(np.arange(20_000))
    assert degrees.mean() == 8
    assert 2 <= np.median(degrees) <= 6
    assert degrees.max() > 80_000 / 200
    assert (degrees == 0).mean() < 0.05


def test_runs_are_as_many_as_stated(graph: KnowledgeGraph) -> None:
    assert 0.45 < len(graph.index.arrays.run_relations) / graph.index.num_edges < 0.77


def test_neighbours_in_id_have_nothing_in_common(graph: KnowledgeGraph) -> None:
    degrees = np.log1p(graph.degree(np.arange(20_000)))
    assert abs(np.corrcoef(degrees[:-1], degrees[1:])[0, 1]) < 0.03


def test_progress_ends_at_the_totals(tmp_path: Path) -> None:
    seen: dict[str, list[tuple[int, int]]] = {"drawn": [], "sorted": []}
    synthesize(tmp_path / "store", **SIZES, progress=lambda step, done, of: seen[step].append((done, of)))
    assert seen["drawn"] == [(80_000, 80_000)]
    done, total = seen["sorted"][-1]
    assert done == total == len(seen["sorted"]) > 1


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"num_entities": 0}, "entities is 0, and a synthetic graph needs 1 or more; give a larger number"),
        ({"num_relations": -3}, "relations is -3, and a synthetic graph needs 1 or more; give a larger number"),
        ({"num_edges": 0}, "edges is 0, and a synthetic graph needs 1 or more; give a larger number"),
        ({"seed": -1}, "seed is -1, and a synthetic graph needs 0 or more; give a larger number"),
        (
            {"num_entities": 2**32},
            "a graph of 4294967296 entities and 100 relations is beyond the store's limits of 4294967295 and "
            "2147483647; number fewer of them, or split the graph",
        ),
        (
            {"num_entities": 50, "num_relations": 3},
            "80000 edges do not fit: the largest of 3 relations would have 32432, and the largest type of its heads "
            "and tails has 50 of the 50 entities; give at most 6043 edges, or more entities",
        ),
    ],
)
def test_impossible_sizes_are_refused(tmp_path: Path, changed: dict[str, int], sentence: str) -> None:
    with pytest.raises(GraphkitError) as error:
        synthesize(tmp_path / "store", **{**SIZES, **changed})
    assert str(error.value) == sentence
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_store_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("dear to me")
    with pytest.raises(GraphkitError) as error:
        synthesize(tmp_path, **SIZES, overwrite=True)
    assert (
        str(error.value)
        == f"{tmp_path} is no graph store (it has no graph.json), so it is not replaced; choose another"
    )


def test_edges_beyond_the_free_disk_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**10))
    with pytest.raises(GraphkitError) as error:
        synthesize(tmp_path / "new" / "kg", num_entities=10**6, num_relations=50, num_edges=10**9)
    assert str(error.value) == (
        f"1000000000 edges take 16 GB of disk, and {tmp_path} has 10 GB free; give fewer edges, or another folder"
    )
    assert list(tmp_path.iterdir()) == []
