"""Gradients of equal ids are added up as the twin adds them, in one order whatever the number of threads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels import duplicate_ids, reduce_duplicates


def draw(places: int, entities: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(places)
    ids = torch.randint(0, entities, (places,), generator=generator)
    return ids, torch.randn(places, width, generator=generator)


@given(ids=st.lists(st.sampled_from([0, 1, 2, 5, 700, 2**31, 2**32 - 1])), width=st.integers(0, 40))
def test_any_ids_equal_the_twin_in_float64(ids: list[int], width: int) -> None:
    gradients = draw(len(ids), 1, width)[1]
    distinct, sums = reduce_duplicates(torch.tensor(ids, dtype=torch.int64), gradients)
    assert distinct.tolist() == sorted(set(ids))
    expected = duplicate_ids.reference(torch.tensor(ids, dtype=torch.int64), gradients.double())
    sizes = duplicate_ids.reference(torch.tensor(ids, dtype=torch.int64), gradients.double().abs())[1]
    assert torch.equal(distinct, expected[0])
    assert ((sums - expected[1]).abs() <= 1e-6 * sizes).all()


@pytest.mark.parametrize("width", [1, 3, 16, 17, 400])
def test_sums_are_taken_in_the_order_of_occurrence(path: str, width: int) -> None:
    """As the twin does in float32, bit for bit."""
    ids, gradients = draw(3000, 500, width)
    for found, expected in zip(reduce_duplicates(ids, gradients), duplicate_ids.reference(ids, gradients), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("entities", [1, 40, 100_000])
def test_threads_do_not_change_a_bit(entities: int, threads: Callable[[int], None]) -> None:
    ids, gradients = draw(20_000, entities, 33)
    found = []
    for count in (1, 2, 4):
        threads(count)
        found.append(reduce_duplicates(ids, gradients))
    for (ids_1, sums_1), (ids_n, sums_n) in ((found[0], found[1]), (found[0], found[2])):
        assert torch.equal(ids_1, ids_n)
        assert torch.equal(sums_1, sums_n)


def test_other_dtypes_and_layouts_are_reduced_too() -> None:
    ids, gradients = draw(50, 9, 6)
    plain = reduce_duplicates(ids, gradients)
    spread = reduce_duplicates(torch.stack([ids, ids], dim=1)[:, 1], gradients.T.contiguous().T)
    double = reduce_duplicates(ids, gradients.double())
    assert torch.equal(plain[1], spread[1])
    assert double[1].dtype == torch.float64
    torch.testing.assert_close(double[1].float(), plain[1])


def test_the_op_is_registered_as_torch_wants_it() -> None:
    torch.library.opcheck(duplicate_ids._reduce_duplicates, draw(30, 9, 5))


@pytest.mark.parametrize(
    ("ids", "gradients", "expected"),
    [
        (
            torch.tensor([3, -2]),
            torch.ones(2, 3),
            "id -2 at place 1 is none of an entity; give ids from 0 to 4294967295",
        ),
        (
            torch.tensor([2**32]),
            torch.ones(1, 3),
            "id 4294967296 at place 0 is none of an entity; give ids from 0 to 4294967295",
        ),
        (
            torch.tensor([3, 2]),
            torch.ones(3, 3),
            "ids are torch.int64 of shape (2,) and gradients have shape (3, 3); give int64 of shape (P,) and "
            "gradients of shape (P, D)",
        ),
        (
            torch.tensor([3.0]),
            torch.ones(1, 3),
            "ids are torch.float32 of shape (1,) and gradients have shape (1, 3); give int64 of shape (P,) and "
            "gradients of shape (P, D)",
        ),
    ],
    ids=["negative", "large", "lengths", "dtype"],
)
def test_what_does_not_go_together_is_refused(ids: Tensor, gradients: Tensor, expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        reduce_duplicates(ids, gradients)
    assert str(error.value) == expected


def test_more_ids_than_32_bits_can_order_are_refused() -> None:
    with pytest.raises(GraphkitError) as error:
        reduce_duplicates(torch.zeros(1, dtype=torch.int64).expand(2**32), torch.zeros(1, 1).expand(2**32, 1))
    assert str(error.value) == (
        "there are 4294967296 ids, and gradients of at most 4294967295 are added up at once; give fewer"
    )
