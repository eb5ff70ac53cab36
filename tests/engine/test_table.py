"""Tables: rows are gathered as copies, updated by id, and restored with their state."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine import SGD, Adagrad, Adam, EmbeddingTable, RowAdagrad


def table(optimizer=None) -> EmbeddingTable:
    return EmbeddingTable(torch.arange(12.0).reshape(4, 3), optimizer)


def test_gathered_rows_are_a_copy() -> None:
    kept = table()
    rows = kept.gather(torch.tensor([2, 0, 2]))
    assert rows.tolist() == [[6, 7, 8], [0, 1, 2], [6, 7, 8]]
    rows.zero_()
    assert kept.weight.tolist() == torch.arange(12.0).reshape(4, 3).tolist()
    assert len(kept) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_are_gathered_into_others_of_any_layout(dtype: torch.dtype) -> None:
    kept, spread = table(), torch.zeros(3, 4).T
    kept.weight = kept.weight.to(dtype)
    for rows in (torch.zeros(4, 3), spread):
        kept.gather_into(torch.tensor([[2, 0], [0, 0]])[:, 0], torch.tensor([3, 1]), rows)
        assert rows.tolist() == [[0, 0, 0], [0, 1, 2], [0, 0, 0], [6, 7, 8]]
        kept.gather_into(torch.tensor([1]), None, rows)
        assert rows.tolist() == [[3, 4, 5], [0, 1, 2], [0, 0, 0], [6, 7, 8]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("ids", "places", "rows", "expected"),
    [
        (
            torch.tensor([0, 4]),
            None,
            torch.zeros(2, 3),
            "id 4, number 1, is none of the 4 rows of the table, and nothing was written; give ids from 0 to 3",
        ),
        (
            torch.tensor([-1, 0]),
            torch.tensor([0, 1]),
            torch.zeros(2, 3),
            "id -1, number 0, is none of the 4 rows of the table, and nothing was written; give ids from 0 to 3",
        ),
        (
            torch.tensor([0, 1]),
            torch.tensor([0, 2]),
            torch.zeros(2, 3),
            "place 2, number 1, is none of the 2 rows to be written, and nothing was written; give places from 0 to 1",
        ),
        (
            torch.tensor([0, 1]),
            torch.tensor([0]),
            torch.zeros(2, 3),
            "places are torch.int64 of shape (1,) for 2 ids; give int64 of shape (2,), or None",
        ),
        (
            torch.tensor([0, 1]),
            None,
            torch.zeros(1, 3),
            "2 ids are to be gathered into 1 rows; give a row for each id",
        ),
        (
            torch.tensor([0, 1], dtype=torch.int32),
            None,
            torch.zeros(2, 3),
            "ids are torch.int32 of shape (2,); give int64 of shape (U,)",
        ),
        (
            torch.tensor([0, 1]),
            None,
            torch.zeros(2, 2),
            "rows are torch.float32 of shape (2, 2) for a table of width 3; give float32 of shape (U, 3)",
        ),
    ],
    ids=["id beyond", "negative id", "place beyond", "fewer places", "fewer rows", "narrow ids", "narrow rows"],
)
def test_a_gather_that_would_leave_the_arrays_is_refused(
    dtype: torch.dtype, ids: Tensor, places: Tensor | None, rows: Tensor, expected: str
) -> None:
    with pytest.raises(GraphkitError) as error:
        EmbeddingTable(torch.ones(4, 3, dtype=dtype)).gather_into(ids, places, rows)
    assert str(error.value) == expected
    assert not rows.any()


def test_an_update_takes_a_step_of_the_optimizer() -> None:
    kept, optimizer, expected = table(Adagrad(lr=0.5)), Adagrad(lr=0.5), torch.arange(12.0).reshape(4, 3)
    optimizer.step(expected, optimizer.new_state(expected), torch.tensor([1, 3]), torch.ones(2, 3))
    kept.update(torch.tensor([1, 3]), torch.ones(2, 3))
    assert torch.equal(kept.weight, expected)


def test_the_table_is_taken_over_and_updated_in_place() -> None:
    weight = torch.zeros(4, 3)
    EmbeddingTable(weight, Adagrad()).update(torch.tensor([1]), torch.ones(1, 3))
    assert weight[1].tolist() != [0, 0, 0]


def test_rows_of_a_table_in_bfloat16_are_float32_once_they_are_gathered() -> None:
    kept = EmbeddingTable(torch.arange(12.0).reshape(4, 3).bfloat16(), SGD(lr=0.5))
    rows = kept.gather(torch.tensor([2, 0]))
    assert rows.dtype == kept.slice(1, 3).dtype == torch.float32
    assert rows.tolist() == [[6, 7, 8], [0, 1, 2]]
    assert kept.slice(1, 3).tolist() == [[3, 4, 5], [6, 7, 8]]
    kept.update(torch.tensor([2]), torch.full((1, 3), 2.0))
    assert kept.weight.dtype == torch.bfloat16
    assert kept.weight.tolist() == [[0, 1, 2], [3, 4, 5], [5, 6, 7], [9, 10, 11]]


def test_a_large_table_keeps_its_values_when_it_moves_to_huge_pages() -> None:
    weight = torch.arange(3_000_000.0).reshape(-1, 100)
    kept = EmbeddingTable(weight, Adagrad())
    assert kept.weight is weight
    assert torch.equal(weight, torch.arange(3_000_000.0).reshape(-1, 100))
    assert not kept.state["sum"].any()


def test_a_slice_is_the_rows_of_a_range() -> None:
    assert table().slice(1, 3).tolist() == [[3, 4, 5], [6, 7, 8]]


def test_a_table_for_reading_refuses_updates() -> None:
    with pytest.raises(GraphkitError) as error:
        table().update(torch.tensor([0]), torch.ones(1, 3))
    assert str(error.value) == "this table was opened for reading; give it an optimizer to train it"
    assert table().state_dict() == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("optimizer", [SGD, Adagrad, RowAdagrad, Adam])
def test_a_restored_table_goes_on_bit_for_bit(optimizer, dtype: torch.dtype) -> None:
    def train(kept: EmbeddingTable, steps: range) -> None:
        for step in steps:
            generator = torch.Generator().manual_seed(step)
            ids = torch.randperm(4, generator=generator)[:2]
            kept.update(ids, torch.randn(2, 3, generator=generator))

    whole = EmbeddingTable(torch.arange(12.0).reshape(4, 3).to(dtype), optimizer())
    train(whole, range(5))
    saved = whole.weight.clone(), {name: value.clone() for name, value in whole.state_dict().items()}
    train(whole, range(5, 9))
    resumed = EmbeddingTable(torch.zeros(4, 3, dtype=dtype), optimizer())
    resumed.load_state_dict(*saved)
    train(resumed, range(5, 9))
    assert torch.equal(resumed.weight, whole.weight)
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in whole.state_dict().items())


def test_a_checkpoint_of_another_shape_is_refused() -> None:
    with pytest.raises(GraphkitError) as error:
        table(Adagrad()).load_state_dict(torch.zeros(5, 3), {})
    assert str(error.value) == (
        "the checkpoint's table has shape (5, 3) and the model's (4, 3); resume with the settings that the run was "
        "started with"
    )
