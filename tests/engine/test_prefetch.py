"""Prefetching: rows are delivered as they stand at that moment, whatever was updated while they were gathered."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from itertools import islice

import pytest
import torch

from graphkit import GraphkitError
from graphkit.engine import Adam, EmbeddingTable, RowPrefetcher
from graphkit.queries import ONE_HOP
from graphkit.samplers import QueryBatch, Segment


def batch_of(number: int, entities: list[int]) -> QueryBatch:
    """A batch that names these entities: the first as an anchor, the others as answers."""
    rows = torch.tensor([[entities[0], 0]] * (len(entities) - 1))
    return QueryBatch(
        number=number,
        segments=(Segment(ONE_HOP, slice(0, len(rows)), rows),),
        positives=torch.tensor(entities[1:]),
        answer_counts=torch.ones(len(rows), dtype=torch.int64),
        counted=torch.ones(len(rows), dtype=torch.bool),
        log_probs=torch.zeros(len(rows), dtype=torch.float64),
    )


def random_batches(entities: int) -> Iterator[QueryBatch]:
    generator, number = torch.Generator().manual_seed(0), 0
    while True:
        yield batch_of(number, torch.randint(entities, (6,), generator=generator).tolist())
        number += 1


def table(entities: int = 20, width: int = 400) -> EmbeddingTable:
    weight = torch.randn(entities, width, generator=torch.Generator().manual_seed(1))
    return EmbeddingTable(weight, Adam(lr=0.1))


def test_rows_equal_the_table_at_the_moment_of_delivery() -> None:
    kept = table()
    feed = RowPrefetcher(random_batches(20), kept)
    generator = torch.Generator().manual_seed(2)
    for number, ready in enumerate(islice(feed, 200)):
        assert ready.number == number
        assert ready.ids.tolist() == sorted(set(ready.ids.tolist()))
        assert torch.equal(ready.rows, kept.weight[ready.ids])
        # No update, one, or two of the batch's rows, while the next batch is gathered.
        for _ in range(number % 3):
            kept.update(ready.ids, torch.randn(ready.rows.shape, generator=generator))
    feed.close()


def test_training_with_and_without_prefetching_is_equal_bit_for_bit() -> None:
    ahead, plain = table(), table()
    feed = RowPrefetcher(random_batches(20), ahead)
    for ready, batch in zip(islice(feed, 100), random_batches(20), strict=False):
        ahead.update(ready.ids, ready.rows.sin())
        ids = batch.entities()
        plain.update(ids, plain.gather(ids).sin())
    feed.close()
    assert torch.equal(ahead.weight, plain.weight)


def test_rows_gathered_before_an_update_are_delivered_after_it() -> None:
    kept, gathered = table(), threading.Event()

    def batches() -> Iterator[QueryBatch]:
        yield batch_of(0, [1, 2])
        yield batch_of(1, [2, 3])
        gathered.set()  # asked for the third batch: the second was gathered
        yield batch_of(2, [0, 1])

    feed = RowPrefetcher(batches(), kept)
    first = next(feed)
    stale = kept.weight[first.ids].clone()
    kept.update(first.ids, torch.ones_like(first.rows))
    second = next(feed)
    assert gathered.wait(5)
    assert torch.equal(second.rows[0], kept.weight[2])
    assert not torch.equal(second.rows[0], stale[1])
    feed.close()


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
def test_places_find_the_rows_of_entities(shared: bool) -> None:
    kept = table()
    batch = batch_of(0, [7, 3, 11])
    negatives = torch.tensor([5, 3, 19]) if shared else torch.tensor([[5, 3, 19], [7, 0, 0]])
    batch = dataclasses.replace(batch, negatives=negatives, mask=torch.ones(2, 3, dtype=torch.bool))
    ready = next(RowPrefetcher(iter([batch]), kept))
    assert ready.ids.tolist() == sorted({7, 3, 11, *negatives.flatten().tolist()})
    (anchors,) = ready.anchors
    assert torch.equal(ready.rows[anchors], kept.weight[torch.tensor([[7], [7]])])
    assert torch.equal(ready.rows[ready.positives], kept.weight[torch.tensor([3, 11])])
    assert torch.equal(ready.rows[ready.negatives], kept.weight[negatives])


def test_a_batch_of_another_graph_is_refused() -> None:
    feed = RowPrefetcher(iter([batch_of(0, [7, 20])]), table())
    with pytest.raises(GraphkitError) as error:
        next(feed)
    assert str(error.value) == (
        "a batch names entity 20, and the table has rows 0 to 19; train on batches of the graph that the table was "
        "made for"
    )
    feed.close()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_rows_are_those_of_the_table_at_the_moment_of_delivery(dtype: torch.dtype) -> None:
    kept = EmbeddingTable(table().weight.to(dtype), Adam(lr=0.1))
    feed = RowPrefetcher(random_batches(20), kept, all_rows=True)
    next(feed)
    kept.update(None, torch.ones(kept.weight.shape))
    ready = next(feed)
    assert ready.ids is None
    assert torch.equal(ready.rows, kept.weight.float())
    if dtype == torch.float32:
        assert ready.rows.data_ptr() == kept.weight.data_ptr()
    assert torch.equal(ready.positives, ready.batch.positives)
    feed.close()


def test_the_feed_ends_where_its_source_ends() -> None:
    feed = RowPrefetcher(iter([batch_of(0, [1, 2]), batch_of(1, [2, 3])]), table())
    assert [ready.number for ready in feed] == [0, 1]
    assert list(feed) == []
    feed.close()


def test_an_exception_of_the_source_reaches_the_consumer_in_its_place() -> None:
    def batches() -> Iterator[QueryBatch]:
        yield batch_of(0, [1, 2])
        raise RuntimeError("the source broke")

    feed = RowPrefetcher(batches(), table())
    assert next(feed).number == 0
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the source broke"):
            next(feed)
    feed.close()


@pytest.mark.timeout(30)
def test_close_ends_the_thread_and_may_be_called_twice() -> None:
    others = set(threading.enumerate())  # a feed of another test may not have been collected yet
    feed = RowPrefetcher(random_batches(20), table())
    next(feed)
    (own,) = set(threading.enumerate()) - others
    assert own.name.startswith("graphkit-prefetch")
    feed.close()
    feed.close()
    assert not own.is_alive()
