"""The plain twin stands on published numbers and on the definition of a permutation."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphkit.samplers.reference import CANDIDATES_LANE, TRAINED_LANE, LaneRandom, permute, philox

# The known-answer tests that come with Random123 (Salmon et al., SC 2011): counter and key words from the lowest.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS, ids=["zeros", "ones", "digits of pi"])
def test_philox_gives_the_published_numbers(counter, key, expected) -> None:
    assert philox(counter, key[0] | key[1] << 32) == expected


@pytest.mark.parametrize("size", range(1, 201))
def test_permute_is_a_permutation(size: int) -> None:
    assert sorted(permute(i, size, seed=size % 3, epoch=size % 5) for i in range(size)) == list(range(size))


@given(st.integers(2, 2**48), st.integers(0, 2**63 - 1), st.integers(0, 2**40), st.data())
def test_permute_stays_in_range_and_keeps_places_apart(size: int, seed: int, epoch: int, data: st.DataObject) -> None:
    one, other = (data.draw(st.integers(0, size - 1)) for _ in range(2))
    images = permute(one, size, seed, epoch), permute(other, size, seed, epoch)
    assert all(0 <= image < size for image in images)
    assert (images[0] == images[1]) == (one == other)


def test_permutations_differ_by_seed_by_epoch_and_by_what_is_permuted() -> None:
    orders = {
        tuple(permute(i, 50, seed, epoch, lane) for i in range(50))
        for seed in range(4)
        for epoch in range(4)
        for lane in (TRAINED_LANE, CANDIDATES_LANE)
    }
    assert len(orders) == 32


def test_every_place_gets_every_value_about_equally_often() -> None:
    # 8 values over 1600 epochs: 200 each expected at place 0; beyond 24.3 lies the last 0.1% of chi-square with 7.
    counts = Counter(permute(0, 8, seed=1, epoch=epoch) for epoch in range(1600))
    assert sum((counts[value] - 200) ** 2 / 200 for value in range(8)) < 24.3


@given(st.integers(1, 2**40), st.integers(0, 2**63 - 1), st.integers(0, 2**40), st.integers(0, 2**32 - 1))
def test_draws_of_a_lane_lie_below_the_bound_and_repeat(size: int, seed: int, batch: int, lane: int) -> None:
    one, other = LaneRandom(seed, batch, lane), LaneRandom(seed, batch, lane)
    draws = [one.below(size) for _ in range(5)]
    assert all(0 <= draw < size for draw in draws)
    assert draws == [other.below(size) for _ in range(5)]


def test_lanes_batches_and_seeds_have_streams_of_their_own() -> None:
    streams = [LaneRandom(*key) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 2**32, 0), (2**32, 0, 0)]]
    assert len({tuple(stream.below(2**63) for _ in range(3)) for stream in streams}) == len(streams)


def test_the_two_halves_of_a_block_are_two_draws() -> None:
    lane = LaneRandom(5, 6, 7)
    block, following = philox((0, 7, 6, 0), 5), philox((1, 7, 6, 0), 5)
    words = [block[0] | block[1] << 32, block[2] | block[3] << 32, following[0] | following[1] << 32]
    assert [lane.below(2**64) for _ in range(3)] == words
