"""Gradients of equal ids are added by `cuda/duplicate_ids.cu` with the bits of the CPU."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from other_extents import launched
from shim.launcher import ShimLauncher
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine import kernels
from graphkit.engine.cuda import duplicate_ids
from graphkit.engine.cuda.launcher import Launcher

WIDTHS = [1, 3, 32, 12, 400, 401]


def draw(places: int, entities: int, width: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(places)
    ids = torch.randint(0, entities, (places,), generator=generator)
    return ids, torch.randn(places, width, generator=generator)


def launcher_of(data: st.DataObject) -> ShimLauncher:
    return ShimLauncher(data.draw(st.integers(0, 3), "schedule"), races=data.draw(st.booleans(), "races"))


@given(
    ids=st.lists(st.sampled_from([0, 1, 2, 5, 700, 2**31, 2**32 - 1]), max_size=60),
    width=st.integers(0, 40) | st.sampled_from(WIDTHS),
    skip=st.integers(0, 1),
    data=st.data(),
)
def test_any_ids_have_the_sums_of_the_cpu(ids: list[int], width: int, skip: int, data: st.DataObject) -> None:
    gradients = torch.cat([torch.zeros(skip), draw(len(ids), 1, width)[1].flatten()])[skip:].view(len(ids), width)
    expected = kernels.reduce_duplicates(torch.tensor(ids, dtype=torch.int64), gradients)
    found = duplicate_ids.reduce_duplicates(launcher_of(data), torch.tensor(ids, dtype=torch.int64), gradients)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])


@launched
@pytest.mark.parametrize("entities", [1, 40, 100_000])
@pytest.mark.parametrize("width", WIDTHS)
def test_any_extents_give_the_same_sums(launcher: Launcher, width: int, entities: int) -> None:
    ids, gradients = draw(90, entities, width)
    for one, other in zip(
        duplicate_ids.reduce_duplicates(launcher, ids, gradients),
        kernels.reduce_duplicates(ids, gradients),
        strict=True,
    ):
        assert torch.equal(one, other)


@given(
    ids=st.lists(st.integers(0, 5), max_size=60),
    width=st.integers(1, 40) | st.sampled_from(WIDTHS),
    skip=st.integers(0, 1),
    data=st.data(),
)
def test_bfloat16_is_rounded_once(ids: list[int], width: int, skip: int, data: st.DataObject) -> None:
    flat = draw(len(ids), 1, width)[1].bfloat16().flatten()
    gradients = torch.cat([flat.new_zeros(skip), flat])[skip:].view(len(ids), width)
    distinct, sums = duplicate_ids.reduce_duplicates(launcher_of(data), torch.tensor(ids, dtype=torch.int64), gradients)
    expected = kernels.reduce_duplicates(torch.tensor(ids, dtype=torch.int64), gradients.float())
    assert torch.equal(distinct, expected[0])
    assert torch.equal(sums, expected[1].bfloat16())


def test_other_dtypes_and_layouts_are_reduced_too() -> None:
    ids, gradients = draw(50, 9, 6)
    expected = kernels.reduce_duplicates(ids, gradients)[1]
    spread = torch.stack([ids, ids], dim=1)[:, 1], gradients.T.contiguous().T
    assert torch.equal(duplicate_ids.reduce_duplicates(ShimLauncher(), *spread)[1], expected)
    double = duplicate_ids.reduce_duplicates(ShimLauncher(), ids, gradients.double())[1]
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), expected)


def test_ids_are_looked_at_unless_they_were() -> None:
    ids, gradients = torch.tensor([3, -2]), torch.ones(2, 3)
    with pytest.raises(GraphkitError) as error:
        duplicate_ids.reduce_duplicates(ShimLauncher(), ids, gradients)
    assert str(error.value) == "id -2 at place 1 is none of an entity; give ids from 0 to 4294967295"
    with pytest.raises(GraphkitError) as error:
        duplicate_ids.reduce_duplicates(ShimLauncher(), ids, gradients[:1], checked=True)
    assert str(error.value) == (
        "ids are torch.int64 of shape (2,) and gradients have shape (1, 3); give int64 of shape (P,) and gradients of "
        "shape (P, D)"
    )
