"""Ids of a batch against torch's own sorting."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkit import GraphkitError
from graphkit.engine.id_resolver import IdResolver


@given(
    size=st.integers(1, 300),
    shapes=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), max_size=4),
    seed=st.integers(0, 99),
)
def test_ids_and_places_are_those_of_unique(size: int, shapes: list[list[int]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    resolver = IdResolver(size)
    for _ in range(2):  # the second batch forgets the first
        parts = [torch.randint(size, shape, generator=generator) for shape in shapes]
        ids = resolver.resolve(parts)
        flat = torch.cat([part.reshape(-1) for part in parts]) if parts else torch.zeros(0, dtype=torch.int64)
        assert torch.equal(ids, flat.unique())
        for part in parts:
            assert torch.equal(ids[resolver.locate(part)], part)
        everything = torch.arange(size)
        assert torch.equal(resolver.contains(everything), torch.isin(everything, ids))


@pytest.mark.parametrize("wrong", [-1, 10, 2**40])
def test_an_id_that_is_no_row_is_named(wrong: int) -> None:
    with pytest.raises(GraphkitError) as error:
        IdResolver(10).resolve([torch.tensor([3]), torch.tensor([[0, 9], [wrong, 1]])])
    assert str(error.value) == (
        f"a batch names entity {wrong}, and the table has rows 0 to 9; train on batches of the graph that the table "
        "was made for"
    )


def test_ids_of_any_layout_are_resolved() -> None:
    resolver, ids = IdResolver(10), torch.tensor([[7, 0], [3, 0], [7, 0]])[:, 0]
    assert resolver.resolve([ids]).tolist() == [3, 7]
    assert resolver.locate(ids).tolist() == [1, 0, 1]
    assert resolver.contains(torch.tensor([[3, 0], [4, 0]])[:, 0]).tolist() == [True, False]
