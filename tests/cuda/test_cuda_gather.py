"""Rows gathered and added by `cuda/gather.cu` have the bits of the CPU."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from other_extents import launched
from shim.launcher import ShimError, ShimLauncher
from tensor_layouts import misaligned
from torch import Tensor

from graphkit import GraphkitError, _native
from graphkit.engine import EmbeddingTable
from graphkit.engine.cuda import gather
from graphkit.engine.cuda.launcher import Launcher

DTYPES = [torch.float32, torch.bfloat16]
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "bfloat16"])

#: One real, odd, a warp's worth, packs of four for a team of fewer lanes than a warp, and for more than one round.
WIDTHS = [1, 3, 32, 12, 400, 401]
widths = pytest.mark.parametrize("width", WIDTHS)


def draw(rows: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(1000 * seed + rows))


def drawn_ids(count: int, size: int, seed: int = 0) -> Tensor:
    return torch.randint(0, size, (count,), generator=torch.Generator().manual_seed(seed))


def gathered(table: Tensor, ids: Tensor, places: Tensor | None, rows: Tensor) -> Tensor:
    """Returns what the CPU makes of rows."""
    rows = rows.clone()
    EmbeddingTable(table).gather_into(ids, places, rows)
    return rows


@dtypes
@given(data=st.data())
def test_gathered_rows_are_those_of_the_cpu(dtype: torch.dtype, data: st.DataObject) -> None:
    width = data.draw(st.integers(0, 40) | st.sampled_from(WIDTHS), "width")
    table = draw(data.draw(st.integers(1, 30), "table"), width).to(dtype)
    ids = torch.tensor(data.draw(st.lists(st.integers(0, len(table) - 1), max_size=70), "ids"), dtype=torch.int64)
    rows = draw(len(ids) + data.draw(st.integers(0, 3), "more rows"), width, seed=1)
    placed = data.draw(st.booleans(), "placed")
    places = (
        torch.randperm(len(rows), generator=torch.Generator().manual_seed(len(ids)))[: len(ids)] if placed else None
    )
    if data.draw(st.booleans(), "misaligned"):
        table, rows = misaligned(table), misaligned(rows)
    expected = gathered(table, ids, places, rows)
    launcher = ShimLauncher(data.draw(st.integers(0, 3), "schedule"), races=data.draw(st.booleans(), "races"))
    gather.gather_rows(launcher, table, ids, places, rows)
    assert torch.equal(rows, expected)


@launched
@dtypes
@widths
def test_any_extents_gather_the_same(launcher: Launcher, dtype: torch.dtype, width: int) -> None:
    table, ids, rows = draw(50, width).to(dtype), drawn_ids(90, 50), torch.empty(90, width)
    gather.gather_rows(launcher, table, ids, None, rows)
    assert torch.equal(rows, table[ids].float())


@given(data=st.data())
def test_added_rows_are_those_of_the_cpu(data: st.DataObject) -> None:
    width = data.draw(st.integers(0, 40) | st.sampled_from(WIDTHS), "width")
    to = draw(data.draw(st.integers(1, 12), "rows"), width)
    places = torch.tensor(data.draw(st.lists(st.integers(0, len(to) - 1), max_size=70), "places"), dtype=torch.int64)
    added = draw(len(places), width, seed=2)
    if data.draw(st.booleans(), "misaligned"):
        to, added = misaligned(to), misaligned(added)
    expected = to.clone()
    _native.sum_rows(expected, [places], [added], True, 1)
    launcher = ShimLauncher(data.draw(st.integers(0, 3), "schedule"), races=data.draw(st.booleans(), "races"))
    gather.add_rows(launcher, to, places, added)
    assert torch.equal(to, expected)


@launched
@widths
@pytest.mark.parametrize("rows", [1, 40], ids=["one place", "forty places"])
def test_any_extents_add_the_same(launcher: Launcher, width: int, rows: int) -> None:
    to, places, added = draw(rows, width), drawn_ids(90, rows), draw(90, width, seed=3)
    expected = to.clone()
    _native.sum_rows(expected, [places], [added], True, 1)
    gather.add_rows(launcher, to, places, added)
    assert torch.equal(to, expected)


def test_layouts_that_no_kernel_takes_are_gathered_too() -> None:
    table, ids = draw(9, 8), drawn_ids(5, 9)
    places = torch.tensor([[4, 0], [3, 0], [0, 0], [1, 0], [2, 0]])[:, 0]
    for each in (table.T.contiguous().T, table.double(), table.half()):
        rows = torch.empty(5, 8)
        gather.gather_rows(ShimLauncher(), each, ids, places, rows)
        assert torch.equal(rows[places], each[ids].float())
    spread = torch.empty(8, 5).T
    gather.gather_rows(ShimLauncher(), table, ids, None, spread)
    assert torch.equal(spread, table[ids])
    to, expected = draw(9, 8), draw(9, 8)
    _native.sum_rows(expected, [places.contiguous()], [table[:5].contiguous()], True, 1)
    gather.add_rows(ShimLauncher(), to, places, table.T.contiguous().T[:5])
    assert torch.equal(to, expected)


@pytest.mark.parametrize("wrong", [-1, 9])
def test_ids_that_are_no_rows_are_refused_before_anything_is_written(wrong: int) -> None:
    table, rows, ids = draw(9, 4), torch.zeros(9, 4), torch.tensor([0, wrong])
    for refused, expected in (
        ((ids, None), f"id {wrong}, number 1, is none of the 9 rows of the table, and nothing was written; give ids"),
        (
            (torch.zeros_like(ids), ids),
            f"place {wrong}, number 1, is none of the 9 rows to be written, and nothing was written; give places",
        ),
    ):
        with pytest.raises(GraphkitError) as error:
            gather.gather_rows(ShimLauncher(), table, *refused, rows)
        assert str(error.value) == f"{expected} from 0 to 8"
    with pytest.raises(GraphkitError) as error:
        gather.add_rows(ShimLauncher(), rows, ids, table[:2])
    assert str(error.value) == (
        f"place {wrong}, number 1, is none of the 9 rows that are added to, and nothing was written; give places from "
        "0 to 8"
    )
    assert rows.eq(0).all()


@pytest.mark.parametrize(
    ("to", "places", "added", "expected"),
    [
        (
            torch.zeros(3, 2).double(),
            torch.zeros(1).long(),
            torch.zeros(1, 2),
            "rows that are added to are torch.float64 of shape (3, 2); give contiguous float32 of shape (U, D)",
        ),
        (
            torch.zeros(3, 2),
            torch.zeros(1),
            torch.zeros(1, 2),
            "places are torch.float32 of shape (1,), and torch.float32 of shape (1, 2) is to be added to rows of width "
            "2; give int64 of shape (P,) and float32 of shape (P, 2)",
        ),
        (
            torch.zeros(3, 2),
            torch.zeros(1).long(),
            torch.zeros(1, 3),
            "places are torch.int64 of shape (1,), and torch.float32 of shape (1, 3) is to be added to rows of width "
            "2; give int64 of shape (P,) and float32 of shape (P, 2)",
        ),
    ],
    ids=["dtype of rows", "dtype of places", "width"],
)
def test_what_does_not_go_together_is_not_added(to: Tensor, places: Tensor, added: Tensor, expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        gather.add_rows(ShimLauncher(), to, places, added)
    assert str(error.value) == expected


def test_places_that_repeat_make_gathered_rows_depend_on_chance_and_are_found() -> None:
    """What `gather_rows` rules out: the race mode shows that it must."""

    with pytest.raises(ShimError, match="nothing orders them"):
        gather.gather_rows(
            ShimLauncher(races=True), draw(2, 4), torch.tensor([0, 1]), torch.tensor([1, 1]), torch.zeros(2, 4)
        )
