"""Native steps equal their twins in float64, on every instruction set and any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stepped_tables import RULES, Rule, Table, assert_close, draw
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels import reference_steps as reference
from graphkit.engine.kernels import sgd_
from graphkit.engine.kernels.reference_steps import rounding_bits

WIDTHS = (1, 3, 16, 17, 400)


each = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
widths = pytest.mark.parametrize("width", WIDTHS)


@each
@widths
@pytest.mark.parametrize("all_rows", [False, True], ids=["some rows", "all rows"])
def test_a_step_equals_that_of_the_twin_in_float64(path: str, rule: Rule, width: int, all_rows: bool) -> None:
    before = rule.table(31, width)
    ids, gradient = (None, draw(31, 31, width)[1]) if all_rows else draw(31, 13, width)
    gradient[0] = 0
    found, expected = before.copy(), before.copy(torch.float64)
    rule.step(found, ids, gradient)
    rule.step(expected, ids, gradient.double(), twin=True)
    assert_close(found, expected, before.copy(torch.float64))


@each
@given(data=st.data())
def test_steps_of_any_shape_equal_those_of_the_twin_in_float64(rule: Rule, data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 40), "rows")
    chosen = data.draw(st.integers(0, rows), "chosen")
    width = data.draw(st.sampled_from(WIDTHS) | st.integers(1, 70), "width")
    before = rule.table(rows, width)
    ids, gradient = draw(rows, chosen, width, data.draw(st.integers(0, 9), "seed"))
    found, expected = before.copy(), before.copy(torch.float64)
    rule.step(found, ids, gradient)
    rule.step(expected, ids, gradient.double(), twin=True)
    assert_close(found, expected, before.copy(torch.float64))


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("rows", "chosen", "width"), [(5000, 3000, 64), (20_000, 20_000, 17), (90_000, 70_000, 1)])
def test_threads_do_not_change_a_bit(
    threads: Callable[[int], None], rule: Rule, dtype: torch.dtype, rows: int, chosen: int, width: int
) -> None:
    before = rule.table(rows, width, dtype)
    ids, gradient = draw(rows, chosen, width)
    found = []
    for count in (1, 2, 4):
        threads(count)
        table = before.copy()
        rule.step(table, ids, gradient)
        found.append(table.tensors())
    for one, two, four in zip(*found, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, four)
    assert not torch.equal(found[0][0], before.weight)


@each
@pytest.mark.parametrize("how", ["turned", "every other column"])
def test_tables_of_any_layout_are_updated(rule: Rule, how: str) -> None:
    plain, (ids, gradient) = rule.table(12, 6), draw(12, 5, 6)
    held = torch.empty(6, 12).T if how == "turned" else torch.empty(12, 12)[:, ::2]
    held.copy_(plain.weight)
    spread = Table(held, plain.copy().state)
    rule.step(plain, ids, gradient)
    rule.step(spread, ids, gradient)
    for one, other in zip(plain.tensors(), spread.tensors(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


@each
def test_ids_and_gradients_of_any_layout_give_the_same_bits(rule: Rule) -> None:
    plain, (ids, gradient) = rule.table(12, 6), draw(12, 5, 6)
    spread = plain.copy()
    rule.step(plain, ids, gradient)
    rule.step(spread, torch.stack([ids, ids], dim=1)[:, 0], gradient.T.contiguous().T)
    for one, other in zip(plain.tensors(), spread.tensors(), strict=True):
        assert torch.equal(one, other)


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_steps_of_any_layout_are_counted_in_place(rule: Rule, dtype: torch.dtype) -> None:
    plain, (ids, gradient) = rule.table(12, 6, dtype), draw(12, 5, 6)
    steps = plain.state.get("steps", torch.zeros(12, dtype=torch.int64))
    spread = plain.copy()
    plain.state["steps"] = steps
    spread.state["steps"] = torch.stack([steps, steps], dim=1)[:, 0]
    rule.step(plain, ids, gradient)
    rule.step(spread, ids, gradient)
    assert torch.equal(spread.state["steps"], plain.state["steps"])
    torch.testing.assert_close(spread.weight, plain.weight, rtol=2**-7 if dtype == torch.bfloat16 else 1e-6, atol=1e-6)


@each
@pytest.mark.parametrize(("rows", "width"), [(4, 3), (0, 3)])
def test_no_ids_are_no_step(rule: Rule, rows: int, width: int) -> None:
    table = rule.table(rows, width)
    before = table.copy()
    rule.step(table, torch.empty(0, dtype=torch.int64), torch.empty(0, width))
    assert all(torch.equal(one, other) for one, other in zip(table.tensors(), before.tensors(), strict=True))


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_ops_are_registered_as_torch_wants_them(rule: Rule, dtype: torch.dtype) -> None:
    table, (ids, gradient) = rule.table(9, 5), draw(9, 4, 5)
    table = rule.table(9, 5, dtype) if dtype == torch.bfloat16 else table.copy(dtype)
    gradient = gradient if dtype == torch.bfloat16 else gradient.to(dtype)
    states = [table.state[name] for name in rule.state]
    for chosen, given_gradient in ((ids, gradient), (None, gradient[:1].expand(9, 5).contiguous())):
        arguments = (table.weight, *states, table.state.get("steps"), chosen, given_gradient, *rule.settings)
        torch.library.opcheck(rule.op, arguments)


# ---- bfloat16


@each
@widths
def test_bfloat16_is_the_float32_step_rounded_to_a_neighbour(path: str, rule: Rule, width: int) -> None:
    """The twin in float32 differs from the native step in the last bit of a real, so in few roundings."""
    before, (ids, gradient) = rule.table(31, width, torch.bfloat16), draw(31, 13, width)
    found, twin = before.copy(), before.copy()
    rule.step(found, ids, gradient)
    rule.step(twin, ids, gradient, twin=True)
    exact = before.copy(torch.float64)
    rule.step(exact, ids, gradient.double(), twin=True)
    error = (found.weight.double() - exact.weight).abs()
    assert (error <= 2**-7 * exact.weight.abs() + 1e-30).all()
    assert (found.weight != twin.weight).float().mean() < 0.01
    states = [Table(exact.weight, table.state) for table in (found, exact, before.copy(torch.float64))]
    assert_close(*states)


@pytest.mark.parametrize("width", WIDTHS)
def test_random_bits_are_those_of_the_twin_bit_for_bit(path: str, width: int) -> None:
    """With a rate of 1/2 a step of SGD is exact up to one rounding: every bit is decided by the random ones."""
    weight, steps = torch.zeros(40, width, dtype=torch.bfloat16), torch.arange(40) * 2**33
    ids, gradient = draw(40, 25, width)
    twin, twin_steps = weight.clone(), steps.clone()
    for seed in (0, 7, 2**62, -1):
        sgd_(weight, steps, ids, gradient, 0.5, seed)
        reference.sgd_(twin, twin_steps, ids, gradient, 0.5, seed)
        weight[:], twin[:] = weight.sign() * (weight.abs() % 1), twin.sign() * (twin.abs() % 1)
        assert torch.equal(weight, twin)
        assert torch.equal(steps, twin_steps)


def test_stochastic_rounding_is_unbiased() -> None:
    """Steps of a hundredth of a bfloat16's spacing add up: 1,000 of them to ten spacings."""
    weight = torch.ones(200, 50, dtype=torch.bfloat16)
    steps, gradient = torch.zeros(200, dtype=torch.int64), torch.full((200, 50), -1.0)
    for _ in range(1000):
        sgd_(weight, steps, None, gradient, 2**-7 / 100)
    moved = (weight.double() - 1).mean().item()
    # The variance of a step is below p (1 - p) spacings², p = 1/100; five standard deviations of the mean.
    assert abs(moved - 10 * 2**-7) < 5 * 2**-7 * (1000 * 0.01 / weight.numel()) ** 0.5
    assert weight.double().std() > 2**-7


def test_random_bits_are_uniform_and_depend_on_each_key() -> None:
    rows, steps = torch.arange(500), torch.full((500,), 3)
    bits = rounding_bits(1, steps, rows, 64)
    assert bits.min() >= 0
    assert bits.max() < 2**16
    counts = torch.bincount((bits >> 10).flatten(), minlength=64).double()
    expected = bits.numel() / 64
    assert ((counts - expected).square() / expected).sum() < 63 + 5 * (2 * 63) ** 0.5  # χ² of 63 degrees of freedom
    others = [
        rounding_bits(2, steps, rows, 64),
        rounding_bits(1 + 2**40, steps, rows, 64),
        rounding_bits(1, steps + 1, rows, 64),
        rounding_bits(1, steps, rows + 1, 64),
        bits.roll(1, dims=1),
    ]
    for other in others:
        assert (bits == other).float().mean() < 0.001
        together = torch.corrcoef(torch.stack([bits.flatten(), other.flatten()]).double())[0, 1]
        assert together.abs() < 5 / bits.numel() ** 0.5


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_weights_that_are_not_finite_stay_what_they_are(path: str, value: float) -> None:
    weight = torch.full((1, 17), value, dtype=torch.bfloat16)
    for _ in range(20):
        sgd_(weight, torch.zeros(1, dtype=torch.int64), None, torch.ones(1, 17), 0.1)
        assert torch.equal(weight.isnan(), torch.full((1, 17), value != value))
        assert value != value or (weight == value).all()


# ---- what is refused


def refused(rule: Rule, table: Table, ids: Tensor | None, gradient: Tensor) -> str:
    """Returns why a step is refused, after making sure that nothing was written."""
    before = table.copy()
    with pytest.raises(GraphkitError) as error:
        rule.step(table, ids, gradient)
    for one, other in zip(table.tensors(), before.tensors(), strict=True):
        assert torch.equal(one, other)
    return str(error.value)


@each
@pytest.mark.parametrize("bad", [7, 8, 2**40, -1, -(2**63)])
def test_an_id_that_is_no_row_is_named(rule: Rule, bad: int) -> None:
    assert refused(rule, rule.table(7, 3), torch.tensor([0, 6, bad]), torch.ones(3, 3)) == (
        f"id {bad} at place 2 is no row of a table of 7 rows, and nothing was updated; give ids from 0 to 6"
    )


@each
@widths
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_gradient_that_is_not_finite_names_its_row(path: str, rule: Rule, width: int, value: float) -> None:
    ids, gradient = draw(40, 20, width)
    gradient[13, width - 1] = gradient[17, 0] = value
    assert refused(rule, rule.table(40, width), ids, gradient) == (
        f"the gradient of row {ids[13]} has the value {value}, and nothing was updated; lower the learning rate, or "
        "look for what makes the loss of this row overflow"
    )


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_first_gradient_that_is_not_finite_is_named_on_any_number_of_threads(
    threads: Callable[[int], None], count: int
) -> None:
    threads(count)
    gradient = torch.zeros(9000, 64)
    gradient[[4321, 8000, 6000], 5] = float("nan")
    message = refused(RULES["sgd"], RULES["sgd"].table(9000, 64), None, gradient)
    assert message.startswith("the gradient of row 4321 has the value nan, ")


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["native", "twin"])
def test_a_sum_that_is_not_finite_names_its_row(rule: Rule, dtype: torch.dtype) -> None:
    table = rule.table(7, 3).copy(dtype)
    gradient = torch.ones(4, 3, dtype=dtype)
    gradient[[1, 3], 2] = -torch.finfo(dtype).max
    assert refused(rule, table, torch.tensor([6, 4, 0, 4]), gradient) == (
        "the gradient of row 4 has the value -inf, and nothing was updated; lower the learning rate, or look for what "
        "makes the loss of this row overflow"
    )


def test_gradients_in_float64_are_checked_too() -> None:
    table = RULES["adagrad"].table(4, 3).copy(torch.float64)
    gradient = torch.ones(2, 3, dtype=torch.float64)
    gradient[1, 2] = float("inf")
    message = refused(RULES["adagrad"], table, torch.tensor([3, 1]), gradient)
    assert message.startswith("the gradient of row 1 has the value inf, ")


def replaced(rule: Rule, **tensors: Any) -> Table:
    table = rule.table(4, 3)
    return Table(tensors.pop("weight", table.weight), {**table.state, **tensors})


@pytest.mark.parametrize(
    ("rule", "change", "ids", "gradient", "expected"),
    [
        (
            "adam",
            {},
            torch.tensor([0, 1]),
            torch.ones(3, 3),
            "the gradient is torch.float32 of shape (3, 3) for 2 rows of a torch.float32 table; give torch.float32 of "
            "shape (2, 3)",
        ),
        (
            "sgd",
            {},
            torch.tensor([0, 1]),
            torch.ones(2, 4),
            "the gradient is torch.float32 of shape (2, 4) for 2 rows of a torch.float32 table; give torch.float32 of "
            "shape (2, 3)",
        ),
        (
            "sgd",
            {},
            None,
            torch.ones(4, 3, dtype=torch.float64),
            "the gradient is torch.float64 of shape (4, 3) for 4 rows of a torch.float32 table; give torch.float32 of "
            "shape (4, 3)",
        ),
        (
            "sgd",
            {},
            torch.tensor([0, 1], dtype=torch.int32),
            torch.ones(2, 3),
            "ids are torch.int32 of shape (2,); give int64 of shape (U,), or None for all",
        ),
        (
            "sgd",
            {},
            torch.tensor([[0, 1]]),
            torch.ones(2, 3),
            "ids are torch.int64 of shape (1, 2); give int64 of shape (U,), or None for all",
        ),
        (
            "adagrad",
            {"total": torch.zeros(4, 2)},
            None,
            torch.ones(4, 3),
            "the optimizer's state total is torch.float32 of shape (4, 2) for a torch.float32 table of shape (4, 3); "
            "give torch.float32 of shape (4, 3)",
        ),
        (
            "row_adagrad",
            {"total": torch.zeros(4, dtype=torch.bfloat16)},
            None,
            torch.ones(4, 3),
            "the optimizer's state total is torch.bfloat16 of shape (4,) for a torch.float32 table of shape (4, 3); "
            "give torch.float32 of shape (4,)",
        ),
        (
            "adam",
            {"steps": torch.zeros(3, dtype=torch.int64)},
            None,
            torch.ones(4, 3),
            "steps are torch.int64 of shape (3,) for a table of 4 rows; give int64 of shape (4,)",
        ),
        (
            "sgd",
            {"weight": torch.zeros(4, 3, dtype=torch.bfloat16)},
            None,
            torch.ones(4, 3),
            "the table is torch.bfloat16 and steps are None; their rounding needs int64 counts of each row's updates",
        ),
        (
            "sgd",
            {"weight": torch.zeros(4)},
            None,
            torch.ones(4),
            "the table is torch.float32 of shape (4,); rows of float32 or bfloat16, [N, D], are needed",
        ),
        (
            "sgd",
            {"weight": torch.zeros(4, 3, dtype=torch.int64)},
            None,
            torch.ones(4, 3),
            "the table is torch.int64 of shape (4, 3); rows of float32 or bfloat16, [N, D], are needed",
        ),
    ],
    ids=[
        "more gradients than ids",
        "too wide",
        "mixed dtypes",
        "narrow ids",
        "ids of two dimensions",
        "state of another table",
        "rounded state",
        "steps of another table",
        "bfloat16 without steps",
        "no rows",
        "no reals",
    ],
)
def test_what_does_not_go_together_is_refused(
    rule: str, change: dict[str, Tensor], ids: Tensor | None, gradient: Tensor, expected: str
) -> None:
    assert refused(RULES[rule], replaced(RULES[rule], **change), ids, gradient) == expected
