"""Clusters: the native sampler equals its plain twin, what is drawn is uniform, and threads leave no trace."""

from __future__ import annotations

import gc
import hashlib
import signal
import threading
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from graphkit import GraphkitError, _native
from graphkit.nodes import Partition
from graphkit.samplers import ClusterBatch, ClusterOptions, ClusterSampler, reference_clusters

ALL = ClusterOptions(views=2, negatives=5, seed=3)
SOME = replace(ALL, batch_size=7)


def take(sampler: ClusterSampler, count: int) -> list[ClusterBatch]:
    return list(islice(sampler, count))


def content(batch: ClusterBatch) -> tuple[object, ...]:
    """Everything in a batch, comparable: types and shapes too."""
    tensors = (batch.clusters, batch.kept_starts, batch.kept, batch.negatives)
    return batch.number, *(None if t is None else (t.dtype, tuple(t.shape), t.tolist()) for t in tensors)


def by_arithmetic(nodes: int, clusters: int) -> Partition:
    """Clusters of many sizes, one node alone among them."""
    return Partition.of([(node * node * 31 + node // 7) % clusters for node in range(nodes)] + [clusters])


@st.composite
def partitions(draw: st.DrawFn) -> Partition:
    return Partition.of(draw(st.lists(st.integers(0, 9), min_size=1, max_size=40)))


@st.composite
def cluster_options(draw: st.DrawFn) -> ClusterOptions:
    batch_size = draw(st.none() | st.integers(2, 12))
    return ClusterOptions(
        batch_size=batch_size,
        views=draw(st.sampled_from([1, 2])),
        drop_rate=draw(st.sampled_from([0.0, 0.1, 0.5, 0.9]) | st.floats(0, 0.999)),
        negatives=draw(st.integers(0, 6)),
        negatives_once=batch_size is None and draw(st.booleans()),
        seed=draw(st.integers(0, 2**63 - 1)),
    )


# ---------------------------------------------------------------------------------------------------------- the twin


@given(partitions(), cluster_options(), st.integers(0, 2**40))
def test_native_batches_equal_the_twin_bit_for_bit(made: Partition, options: ClusterOptions, number: int) -> None:
    sampler = ClusterSampler(made, options, threads=2, ahead=2)
    sampler.load_state_dict({"position": number})
    for batch in take(sampler, 3):
        assert content(batch) == content(reference_clusters.sample(made, options, batch.number))


#: Of the first 12 batches of 200 nodes in 41 clusters. Whoever changes what is drawn changes these, and says so in
#: CHANGELOG.md.
GOLDEN = {
    "all": "93be8daf1aece19e7e935dfa45ceadb819ce48f0a4f6ac0819c2079b12c9a614",
    "some": "34b00a07d4e94bf79f2450b4127daf332a0f576e612b09a73603e0b9689073b4",
}


@pytest.mark.parametrize(("name", "options"), [("all", ALL), ("some", SOME)])
def test_the_stream_is_the_recorded_one_for_any_threads_and_after_a_resume(name: str, options: ClusterOptions) -> None:
    made = by_arithmetic(200, 40)

    def digest(batches: list[ClusterBatch]) -> str:
        sha = hashlib.sha256()
        for batch in batches:
            for tensor in (batch.clusters, batch.kept_starts, batch.kept, batch.negatives):
                sha.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
        return sha.hexdigest()

    for threads in (1, 2, 4):
        assert digest(take(ClusterSampler(made, options, threads=threads), 12)) == GOLDEN[name]
    begun = ClusterSampler(made, options)
    first = take(begun, 5)
    resumed = ClusterSampler(made, options, threads=2)
    resumed.load_state_dict(begun.state_dict())
    assert digest(first + take(resumed, 7)) == GOLDEN[name]
    assert begun.state_dict() == {"position": 5}


# --------------------------------------------------------------------------------------------------------------- laws


@given(partitions(), st.integers(2, 6), st.integers(0, 99))
def test_every_epoch_visits_each_cluster_once_and_none_alone(made: Partition, batch_size: int, seed: int) -> None:
    sampler = ClusterSampler(made, ClusterOptions(batch_size=batch_size, seed=seed))
    for _ in range(3):
        epoch = take(sampler, sampler.batches_per_epoch)
        assert sorted(torch.cat([batch.clusters for batch in epoch]).tolist()) == list(range(made.num_clusters))
        assert all(batch.size == batch_size for batch in epoch[:-1])
        assert min(2, made.num_clusters) <= epoch[-1].size <= batch_size + 1


def test_epochs_have_orders_of_their_own() -> None:
    orders = {tuple(b.clusters.tolist()) for b in take(ClusterSampler(Partition.singletons(40), SOME), 18)}
    assert len(orders) == 18


@given(partitions(), cluster_options())
def test_all_clusters_are_in_their_order(made: Partition, options: ClusterOptions) -> None:
    sampler = ClusterSampler(made, replace(options, batch_size=None))
    assert sampler.batches_per_epoch == 1
    assert all(batch.clusters.tolist() == list(range(made.num_clusters)) for batch in take(sampler, 2))


@given(partitions(), cluster_options())
def test_drop_member_keeps_the_share_and_never_a_node_of_another_cluster(
    made: Partition, options: ClusterOptions
) -> None:
    for batch in take(ClusterSampler(made, replace(options, views=2)), 3):
        assert batch.kept_starts is not None
        assert batch.kept is not None
        for place, cluster in enumerate(batch.clusters.tolist()):
            kept = batch.kept[batch.kept_starts[place] : batch.kept_starts[place + 1]].tolist()
            size = int(made.sizes[cluster])
            assert len(kept) == max(1, int(size * (1 - options.drop_rate) + 1e-9))
            assert kept == sorted(set(kept))
            assert all(made.assignment[node] == cluster for node in kept)


@pytest.mark.parametrize(
    ("size", "drop_rate", "kept"), [(1, 0.5, 1), (2, 0.5, 1), (5, 0.5, 2), (20, 0.9, 2), (10, 0.3, 7), (9, 0.0, 9)]
)
def test_so_many_members_are_kept(size: int, drop_rate: float, kept: int) -> None:
    batch = next(ClusterSampler(Partition.of([0] * size), ClusterOptions(views=2, drop_rate=drop_rate)))
    assert batch.kept is not None
    assert len(batch.kept) == kept


@given(st.integers(1, 30), cluster_options())
def test_singletons_are_never_dropped(nodes: int, options: ClusterOptions) -> None:
    options = replace(options, views=2, batch_size=None)
    batch = next(ClusterSampler(Partition.singletons(nodes), options))
    assert batch.kept is not None
    assert batch.kept.tolist() == list(range(nodes))


@given(partitions(), cluster_options())
def test_negatives_are_places_of_the_batch(made: Partition, options: ClusterOptions) -> None:
    for batch in take(ClusterSampler(made, replace(options, negatives=4)), 3):
        assert batch.negatives is not None
        assert batch.negatives.shape == (batch.size, 4)
        assert bool(((batch.negatives >= 0) & (batch.negatives < batch.size)).all())


def test_what_is_not_asked_for_is_none() -> None:
    batch = next(ClusterSampler(by_arithmetic(30, 4)))
    assert (batch.kept_starts, batch.kept, batch.negatives) == (None, None, None)


# ----------------------------------------------------------------------------------------------------- distributions


@pytest.mark.parametrize(("size", "drop_rate"), [(7, 0.5), (12, 0.75), (5, 0.2)])
def test_each_member_is_kept_equally_often(size: int, drop_rate: float) -> None:
    made = Partition.of(torch.arange(20 * size) // size)
    options = ClusterOptions(views=2, drop_rate=drop_rate, seed=6)
    batches = take(ClusterSampler(made, options), 200)
    counts = np.bincount(np.concatenate([batch.kept.numpy() for batch in batches]) % size, minlength=size)
    # Counts of a draw without replacement vary less than the test supposes: it is the more lenient.
    assert chisquare(counts).pvalue > 1e-3
    assert counts.sum() == 200 * 20 * max(1, int(size * (1 - drop_rate) + 1e-9))


def test_each_set_of_members_is_kept_equally_often() -> None:
    made = Partition.of(torch.arange(50 * 5) // 5)
    batches = take(ClusterSampler(made, ClusterOptions(views=2, seed=2)), 60)
    pairs = np.concatenate([batch.kept.view(-1, 2).numpy() % 5 for batch in batches])
    counts = np.bincount(pairs[:, 0] * 5 + pairs[:, 1], minlength=25)
    assert sorted(counts.nonzero()[0]) == [a * 5 + b for a in range(5) for b in range(a + 1, 5)]
    assert chisquare(counts[counts > 0]).pvalue > 1e-3


def test_views_of_two_batches_and_of_two_clusters_are_independent() -> None:
    made = Partition.of(torch.arange(40) // 4)
    first, second = (b.kept.view(-1, 2) % 4 for b in take(ClusterSampler(made, ClusterOptions(views=2)), 2))
    assert len({tuple(pair) for pair in first.tolist()}) > 2
    assert first.tolist() != second.tolist()


def test_negatives_are_uniform_over_places_and_over_differences() -> None:
    batches = take(ClusterSampler(Partition.singletons(25), ClusterOptions(negatives=10, seed=1)), 100)
    drawn = np.concatenate([batch.negatives.numpy() for batch in batches])
    own = np.tile(np.arange(25), 100)[:, None]
    assert chisquare(np.bincount(drawn.ravel())).pvalue > 1e-3
    assert chisquare(np.bincount((drawn - own).ravel() % 25)).pvalue > 1e-3  # a place draws itself like any other


def test_each_cluster_comes_first_equally_often() -> None:
    made = Partition.singletons(12)
    sampler = ClusterSampler(made, ClusterOptions(batch_size=12, seed=5))
    counts = np.bincount([int(batch.clusters[0]) for batch in take(sampler, 1200)], minlength=12)
    assert chisquare(counts).pvalue > 1e-3


def test_negatives_that_are_drawn_once_stay_while_views_change() -> None:
    made = by_arithmetic(200, 10)
    batches = take(ClusterSampler(made, replace(ALL, negatives_once=True), threads=2), 4)
    negatives = [batch.negatives.tolist() for batch in batches]
    assert negatives == [negatives[0]] * 4
    assert len({tuple(batch.kept.tolist()) for batch in batches}) == 4
    assert negatives[0] != next(ClusterSampler(made, replace(ALL, negatives_once=True, seed=4))).negatives.tolist()


def test_a_different_seed_gives_different_batches() -> None:
    one, other = (next(ClusterSampler(by_arithmetic(200, 40), replace(SOME, seed=seed))) for seed in (0, 1))
    for name in ("clusters", "kept", "negatives"):
        assert getattr(one, name).tolist() != getattr(other, name).tolist()


# --------------------------------------------------------------------------------------------------- threads, position


@pytest.mark.parametrize("options", [ALL, SOME])
def test_batches_do_not_depend_on_threads_or_on_how_many_are_made_ahead(options: ClusterOptions) -> None:
    made = by_arithmetic(2000, 150)
    expected = [content(batch) for batch in take(ClusterSampler(made, options), 40)]
    for threads, ahead in [(2, 4), (4, 1), (4, 16)]:
        found = take(ClusterSampler(made, options, threads=threads, ahead=ahead), 40)
        assert [content(batch) for batch in found] == expected


def test_a_running_stream_can_be_set_back() -> None:
    sampler = ClusterSampler(by_arithmetic(200, 40), SOME, threads=2)
    expected = [content(batch) for batch in take(sampler, 5)]
    sampler.load_state_dict({"position": 2})
    assert [content(batch) for batch in take(sampler, 3)] == expected[2:]


@pytest.mark.timeout(60)
def test_close_with_running_threads_returns_and_the_stream_goes_on() -> None:
    made = by_arithmetic(2000, 150)
    expected = [content(batch) for batch in take(ClusterSampler(made, SOME), 4)]
    sampler = ClusterSampler(made, SOME, threads=4, ahead=8)
    found = []
    for _ in range(4):
        found += [content(batch) for batch in take(sampler, 1)]
        sampler.close()
    assert found == expected


@pytest.mark.timeout(60)
def test_forgotten_samplers_end_their_threads() -> None:
    gc.collect()  # what earlier tests left behind
    before = native_threads()
    for _ in range(10):
        next(ClusterSampler(by_arithmetic(200, 40), ALL, threads=4, ahead=8))
    gc.collect()
    assert native_threads() <= before


def native_threads() -> int:
    """Threads of the process, those that Python does not know of among them."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


def test_batches_stay_valid_when_the_sampler_and_the_partition_are_gone() -> None:
    sampler = ClusterSampler(by_arithmetic(2000, 150), ALL, threads=2)
    batches = take(sampler, 3)
    expected = [content(batch) for batch in batches]
    take(sampler, 50)
    del sampler
    gc.collect()
    overwriting = [torch.full((1000,), -7) for _ in range(64)]
    assert [content(batch) for batch in batches] == expected
    assert len(overwriting) == 64


def slow_stream() -> _native.ClusterStream:
    """A batch takes long: very many negatives are drawn for each of very many clusters."""
    return _native.ClusterStream(
        np.arange(10_001),
        np.arange(10_000),
        None,
        batch_size=0,
        negatives=3_000,
        negatives_once=False,
        seed=0,
        threads=1,
        ahead=1,
        first=0,
    )


@pytest.mark.timeout(60)
def test_other_threads_run_while_a_batch_is_waited_for() -> None:
    counted, done = 0, threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.wait(0.001):
            counted += 1

    other = threading.Thread(target=count)
    other.start()
    slow_stream().next()
    done.set()
    other.join()
    assert counted > 5


@pytest.mark.timeout(60)
def test_a_signal_ends_the_waiting() -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        stream = slow_stream()
        signal.setitimer(signal.ITIMER_REAL, 0.15)
        began = time.monotonic()
        with pytest.raises(Interrupted):
            while True:
                stream.next()
        assert time.monotonic() - began < 10
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_batch_of_many_clusters_takes_little_time() -> None:
    made = Partition.of(torch.arange(200_000) // 20)
    sampler = ClusterSampler(made, ALL)
    next(sampler)
    began = time.process_time()
    take(sampler, 20)
    assert (time.process_time() - began) / 20 < 0.02


# -------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"batch_size": 1},
            "sampler.batch_size is 1, and a whole number from 2 to 2**31 - 1 is needed, or null for all clusters",
        ),
        (
            {"batch_size": 2.5},
            "sampler.batch_size is 2.5, and a whole number from 2 to 2**31 - 1 is needed, or null for all clusters",
        ),
        (
            {"batch_size": 2**64},
            f"sampler.batch_size is {2**64}, and a whole number from 2 to 2**31 - 1 is needed, or null for all "
            "clusters",
        ),
        ({"views": 3}, "views is 3, and 1 or 2 is needed"),
        ({"drop_rate": 1}, "sampler.drop_rate is 1, and a share from 0 up to but not 1 is needed"),
        ({"drop_rate": -0.1}, "sampler.drop_rate is -0.1, and a share from 0 up to but not 1 is needed"),
        ({"drop_rate": float("nan")}, "sampler.drop_rate is nan, and a share from 0 up to but not 1 is needed"),
        ({"drop_rate": "half"}, "sampler.drop_rate is 'half', and a share from 0 up to but not 1 is needed"),
        ({"negatives": -1}, "negatives is -1, and a whole number from 0 to 2**31 - 1 is needed"),
        ({"negatives": 1.5}, "negatives is 1.5, and a whole number from 0 to 2**31 - 1 is needed"),
        (
            {"negatives_once": True, "batch_size": 20},
            "negatives_once is set with batch_size 20: negatives are places in a batch, and only batches of all "
            "clusters stay the same; give batch_size null, or leave negatives_once out",
        ),
        ({"seed": -1}, "seed is -1, and a number from 0 to 2**63 - 1 is needed"),
        ({"seed": 2**63}, f"seed is {2**63}, and a number from 0 to 2**63 - 1 is needed"),
    ],
)
def test_an_option_out_of_range_is_named(options: dict[str, object], expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        ClusterOptions(**options)  # type: ignore[arg-type]
    assert str(error.value) == expected


def test_more_negatives_than_a_batch_can_hold_are_refused() -> None:
    for options in ({}, {"batch_size": 3}):
        with pytest.raises(GraphkitError) as error:
            ClusterSampler(Partition.singletons(3), ClusterOptions(negatives=2**30, **options))
        assert str(error.value) == (
            "1073741824 negatives for each of 3 clusters are 3221225472, and a batch has at most 2147483648; give "
            "fewer negatives or a smaller batch_size"
        )
    ClusterSampler(Partition.singletons(4), ClusterOptions(negatives=2**30, batch_size=2))


@pytest.mark.parametrize("position", [-1, 2**63 - 1, 2**63, 1.0, None])
def test_a_position_that_is_none_is_refused_and_the_stream_goes_on(position: object) -> None:
    sampler = ClusterSampler(Partition.singletons(3), ClusterOptions(batch_size=2))
    next(sampler)
    with pytest.raises(GraphkitError) as error:
        sampler.load_state_dict({"position": position})  # type: ignore[dict-item]
    assert str(error.value) == (
        f"the position of the sampler is {position!r}, and the number of a batch, from 0 to 2**63 - 2, is needed; give "
        "what state_dict returned"
    )
    assert next(sampler).number == 1
    sampler.close()


@pytest.mark.parametrize("bad", [{"threads": 1.5}, {"threads": True}, {"ahead": 2.5}])
def test_threads_and_ahead_are_whole_numbers(bad: dict[str, object]) -> None:
    stated = {"threads": 1, "ahead": 4} | bad
    with pytest.raises(GraphkitError) as error:
        ClusterSampler(Partition.singletons(3), **bad)  # type: ignore[arg-type]
    assert str(error.value) == (
        f"the sampler has threads={stated['threads']} and ahead={stated['ahead']}, and whole numbers are needed"
    )


@pytest.mark.parametrize("bad", [{"threads": 0}, {"ahead": 0}])
def test_threads_and_ahead_are_positive(bad: dict[str, int]) -> None:
    stated = {"threads": 1, "ahead": 4} | bad
    with pytest.raises(GraphkitError) as error:
        ClusterSampler(Partition.singletons(3), **bad)
    assert str(error.value) == (
        f"the sampler has threads={stated['threads']} and ahead={stated['ahead']}, and at least 1 of each is needed"
    )


@pytest.mark.parametrize(
    "arrays",
    [
        ([0, 2], [0, 1, 2], None),
        ([1, 3], [0, 1, 2], None),
        ([0, 2, 2], [0, 1], None),
        ([0, 2, 1, 3], [0, 1, 2], None),
        ([0], [], None),
        ([0, 2], [0, 1], [3]),
        ([0, 2], [0, 1], [0]),
        ([0, 2], [0, 1], [1, 1]),
    ],
)
def test_nothing_is_read_out_of_bounds(arrays: tuple[list[int] | None, ...]) -> None:
    given = [None if values is None else np.array(values, np.int64) for values in arrays]
    others = {"batch_size": 0, "negatives": 1, "negatives_once": False, "seed": 0, "first": 0}
    with pytest.raises(ValueError, match=r"do not agree|is empty"):
        _native.ClusterStream(*given, **others, threads=1, ahead=1)
