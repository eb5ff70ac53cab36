"""The entity-covering split: a partition that leaves every entity and relation a training triple."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphkit.data.splitting import (
    Split,
    check_fractions,
    distinct,
    entity_covering_split,
    symmetric_groups,
    triple_keys,
)
from graphkit.errors import GraphkitError

Ids = npt.NDArray[np.int64]

ENTITIES, RELATIONS = 12, 3


@st.composite
def triple_arrays(draw: st.DrawFn) -> Ids:
    triple = st.tuples(st.integers(0, ENTITIES - 1), st.integers(0, RELATIONS - 1), st.integers(0, ENTITIES - 1))
    return np.array(draw(st.lists(triple, max_size=80)), np.int64).reshape(-1, 3)


def random_triples(rows: int, entities: int, relations: int, seed: int = 0) -> Ids:
    random = np.random.default_rng(seed)
    return random.integers(0, [entities, relations, entities], (rows, 3))


def parts(split: Split) -> tuple[Ids, Ids, Ids]:
    return split.train, split.valid, split.test


def held_out(split: Split) -> tuple[Ids, Ids]:
    return split.valid, split.test


@given(triples=triple_arrays(), seed=st.integers(0, 99))
def test_split_is_a_partition_in_the_original_order(triples: Ids, seed: int) -> None:
    split = entity_covering_split(triples, ENTITIES, RELATIONS, seed=seed)
    assert sum(split.counts) == len(triples)
    everything = np.concatenate(parts(split))
    assert np.array_equal(everything[np.lexsort(everything.T)], triples[np.lexsort(triples.T)])
    for part in parts(split):
        rows = iter(triples.tolist())
        assert all(row in rows for row in part.tolist())  # a subsequence


@given(triples=triple_arrays(), seed=st.integers(0, 99), groups=st.none() | st.integers(1, 9))
def test_train_covers_entities_and_relations(triples: Ids, seed: int, groups: int | None) -> None:
    number = None if groups is None else np.arange(len(triples)) % groups
    split = entity_covering_split(triples, ENTITIES, RELATIONS, fractions=(0.2, 0.4, 0.4), seed=seed, groups=number)
    assert set(split.train[:, [0, 2]].flat) == set(triples[:, [0, 2]].flat)
    assert set(split.train[:, 1]) == set(triples[:, 1])


@given(triples=triple_arrays(), seed=st.integers(0, 99), groups=st.integers(1, 40))
def test_groups_stay_together(triples: Ids, seed: int, groups: int) -> None:
    distinct_rows = distinct(triples)
    number = distinct_rows.sum(axis=1) % groups
    split = entity_covering_split(
        distinct_rows, ENTITIES, RELATIONS, fractions=(0.4, 0.3, 0.3), seed=seed, groups=number
    )
    in_part = [set((part.sum(axis=1) % groups).tolist()) for part in parts(split)]
    assert sum(map(len, in_part)) == len(set.union(*in_part))


@given(triples=triple_arrays(), seed=st.integers(0, 99))
def test_parts_never_exceed_their_share(triples: Ids, seed: int) -> None:
    split = entity_covering_split(triples, ENTITIES, RELATIONS, seed=seed)
    assert sum(split.wanted) == len(triples)
    assert split.counts[1] <= split.wanted[1] <= len(triples) / 10
    assert split.counts[2] <= split.wanted[2] <= len(triples) / 10


def test_shares_are_met_where_there_is_room() -> None:
    split = entity_covering_split(random_triples(10_000, 50, 5), 50, 5, fractions=(0.7, 0.2, 0.1))
    assert split.counts == split.wanted == (7_000, 2_000, 1_000)


def test_the_only_triple_of_a_relation_stays_in_train() -> None:
    triples = random_triples(500, 5, 1)
    triples[250, 1] = 1
    for seed in range(40):
        split = entity_covering_split(triples, 5, 2, fractions=(0.2, 0.4, 0.4), seed=seed)
        assert 1 in split.train[:, 1]


def test_a_tree_keeps_everything_in_train() -> None:
    path = np.array([[i, 0, i + 1] for i in range(0, 100, 2)])
    split = entity_covering_split(path, 101, 1)
    assert split.counts == (50, 0, 0)
    assert split.wanted == (40, 5, 5)


def test_scarce_free_triples_are_shared_out_in_proportion() -> None:
    # 100 pairs of entities, 30 of them joined twice: 30 triples are free and 104 are wanted.
    pairs = np.array([[2 * i, 0, 2 * i + 1] for i in range(100)])
    again = pairs[:30] + np.array([0, 1, 0])
    split = entity_covering_split(np.concatenate([pairs, again]), 200, 2, fractions=(0.2, 0.6, 0.2))
    _, valid, test = split.counts
    assert 28 <= valid + test <= 30
    assert valid == pytest.approx(3 * test, abs=3)


def test_split_depends_on_the_seed_alone() -> None:
    triples = random_triples(2_000, 40, 4)
    first, again, other = (entity_covering_split(triples, 40, 4, seed=seed) for seed in (1, 1, 2))
    assert all(map(np.array_equal, parts(first), parts(again)))
    assert not np.array_equal(first.test, other.test)


def test_every_triple_can_be_held_out() -> None:
    triples = np.array([[h, 0, t] for h in range(6) for t in range(6)])
    held_out = np.zeros(36)
    for seed in range(300):
        split = entity_covering_split(triples, 6, 1, fractions=(0.5, 0.25, 0.25), seed=seed)
        for h, _, t in split.test.tolist():
            held_out[6 * h + t] += 1
    assert held_out.sum() == 300 * 9
    assert held_out.min() > 40  # 75 of 300 each, standard deviation 7.5
    assert held_out.max() < 110


def ring_and_busy() -> Ids:
    """300 triples of a ring, two at each entity, and as many among 20 busy entities with 15 of them each."""
    ring = np.array([[i, 0, (i + 1) % 300] for i in range(300)])
    busy = np.array([[300 + h, 0, 300 + t] for h in range(20) for t in range(15)])
    return np.concatenate([ring, busy])


def test_entities_with_few_triples_are_held_out_nearly_as_often() -> None:
    # The ring has 0.44 of the test triples; drawn from the free triples at large it would have 0.27.
    tests = [entity_covering_split(ring_and_busy(), 320, 1, seed=seed).test for seed in range(50)]
    assert (np.concatenate(tests)[:, 0] < 300).mean() > 0.4


def test_valid_and_test_are_alike() -> None:
    # Dealt by rank, the ring would have 0.44 of the validation triples and 0.29 of the test triples.
    splits = [
        entity_covering_split(ring_and_busy(), 320, 1, fractions=(0.6, 0.2, 0.2), seed=seed) for seed in range(50)
    ]
    valid, test = ((np.concatenate(part)[:, 0] < 300).mean() for part in zip(*map(held_out, splits), strict=True))
    assert valid == pytest.approx(test, abs=0.04)


def test_tiny_graphs_split() -> None:
    assert entity_covering_split(np.empty((0, 3), np.int64), 0, 0).counts == (0, 0, 0)
    assert entity_covering_split(np.array([[0, 0, 0]]), 1, 1).counts == (1, 0, 0)
    nine = np.zeros((9, 3), np.int64)
    assert entity_covering_split(nine, 1, 1).counts == (9, 0, 0)
    assert entity_covering_split(nine, 1, 1, fractions=(0.5, 0.25, 0.25)).counts == (5, 2, 2)


def test_symmetric_groups_join_both_directions() -> None:
    triples = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 1], [1, 1, 0], [2, 0, 2], [0, 0, 1]])
    groups = symmetric_groups(triples, [0])
    assert groups[0] == groups[1] == groups[5]
    assert len({int(groups[i]) for i in (0, 2, 3, 4)}) == 4


@given(triples=triple_arrays(), seed=st.integers(0, 99))
def test_symmetric_pairs_never_straddle_parts(triples: Ids, seed: int) -> None:
    both = distinct(np.concatenate([triples, triples[:, [2, 1, 0]]]))
    groups = symmetric_groups(both, range(RELATIONS))
    split = entity_covering_split(both, ENTITIES, RELATIONS, fractions=(0.4, 0.3, 0.3), seed=seed, groups=groups)
    for part in parts(split):
        rows = set(map(tuple, part.tolist()))
        assert {(t, r, h) for h, r, t in rows} == rows


@given(triples=triple_arrays(), shift=st.sampled_from([0, 1 << 20, 1 << 30]))
def test_keys_are_equal_for_equal_triples_only(triples: Ids, shift: int) -> None:
    keys = triple_keys(triples + np.int64(shift))  # the last shift does not fit 63 bits in one product
    assert len(set(keys.tolist())) == len({tuple(row) for row in triples.tolist()})
    assert all((keys[i] == keys[0]) == (triples[i] == triples[0]).all() for i in range(len(triples)))


def test_keys_of_graphs_beyond_63_bits_do_not_collide() -> None:
    far = (1 << 32) - 1  # without care the head is multiplied by 2^64, that is 0
    assert len(set(triple_keys(np.array([[0, 0, 0], [1, 0, 0], [0, far, far]])).tolist())) == 3


@given(triples=triple_arrays())
def test_distinct_keeps_the_first_of_each(triples: Ids) -> None:
    assert distinct(triples).tolist() == [list(row) for row in dict.fromkeys(map(tuple, triples.tolist()))]


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (0, 0.5, 0.5), (0.8, 0.2), (float("nan"), 0.1, 0.1)]
)
def test_bad_fractions(fractions: tuple[float, ...]) -> None:
    shares = ", ".join(f"{share:g}" for share in fractions)
    sentence = (
        f"the split is {shares}; it needs three shares from 0 to 1 for train, valid and test that sum to 1, "
        "train's above 0, such as 0.8, 0.1, 0.1"
    )
    with pytest.raises(GraphkitError, match=f"^{re.escape(sentence)}$"):
        check_fractions(fractions)  # type: ignore[arg-type]
    with pytest.raises(GraphkitError, match="the split is"):
        entity_covering_split(random_triples(9, 2, 1), 2, 1, fractions=fractions)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("triples", "sentence"),
    [
        ([[0, 0]], "triples have the shape (1, 2); a split needs (M, 3): head, relation, tail"),
        ([[0, 0, 5]], "a triple names the entity 5; allowed are ids from 0 to 4"),
        ([[-1, 0, 0]], "a triple names the entity -1; allowed are ids from 0 to 4"),
        ([[0, 2, 0]], "a triple names the relation 2; allowed are ids from 0 to 1"),
    ],
)
def test_bad_triples(triples: list[list[int]], sentence: str) -> None:
    with pytest.raises(GraphkitError, match=f"^{re.escape(sentence)}$"):
        entity_covering_split(np.array(triples), 5, 2)


def test_bad_groups() -> None:
    with pytest.raises(GraphkitError, match=re.escape("groups have the shape (2,); 3 triples need (3,)")):
        entity_covering_split(np.zeros((3, 3), np.int64), 1, 1, groups=np.zeros(2, np.int64))
