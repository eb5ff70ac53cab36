"""Tables: rows are gathered as copies, updated by id, and restored with their state."""

from __future__ import annotations

import pytest
import torch

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
