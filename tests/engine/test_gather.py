"""Gathered rows are those of the twin, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkit import GraphkitError, _native
from graphkit.engine.kernels import gather, gather_rows

DTYPES = (torch.float32, torch.bfloat16, torch.float64)


@pytest.fixture(params=_native.kernel_paths())
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Forces an instruction set."""
    assert _native.choose_kernels(request.param)
    yield request.param
    assert _native.choose_kernels(_native.kernel_paths()[-1])


def table(rows: int, width: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(width)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 3, 16, 17, 400])
def test_rows_equal_those_of_the_twin(path: str, dtype: torch.dtype, width: int) -> None:
    rows, ids = table(50, width, dtype), torch.tensor([49, 0, 7, 7, 31])
    found = gather_rows(rows, ids)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(found, gather.reference(rows, ids))
    found.zero_()
    assert torch.equal(rows, table(50, width, dtype))


@given(data=st.data())
def test_any_ids_equal_the_twin(data: st.DataObject) -> None:
    width = data.draw(st.integers(0, 70), "width")
    ids = torch.tensor(data.draw(st.lists(st.integers(0, 8)), "ids"), dtype=torch.int64)
    rows = table(9, width, data.draw(st.sampled_from(DTYPES), "dtype"))
    assert torch.equal(gather_rows(rows, ids), gather.reference(rows, ids))


def test_threads_and_layouts_do_not_change_a_bit() -> None:
    rows, ids = table(5000, 100, torch.float32), torch.randint(0, 5000, (9000,))
    before, expected = torch.get_num_threads(), rows[ids]
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        assert torch.equal(gather_rows(rows, ids), expected)
    torch.set_num_threads(before)
    assert torch.equal(gather_rows(rows.T.contiguous().T, torch.stack([ids, ids], dim=1)[:, 1]), expected)


@pytest.mark.parametrize("dtype", DTYPES[:2])
def test_the_op_is_registered_as_torch_wants_it(dtype: torch.dtype) -> None:
    torch.library.opcheck(gather._gather_rows, (table(6, 5, dtype), torch.tensor([5, 1])))


@pytest.mark.parametrize("bad", [4, -1])
def test_an_id_that_is_no_row_is_named(bad: int) -> None:
    with pytest.raises(GraphkitError) as error:
        gather_rows(torch.zeros(4, 2), torch.tensor([3, bad]))
    assert str(error.value) == f"id {bad} at place 1 is no row of a table of 4 rows; give ids from 0 to 3"
