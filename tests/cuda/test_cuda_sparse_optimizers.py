"""Steps by `cuda/sparse_optimizers.cu` equal their twins, and have the bits of the CPU where they can."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from other_extents import launched
from shim.launcher import ShimLauncher
from stepped_tables import RULES, Rule, Table, assert_close, draw
from tensor_layouts import misaligned
from torch import Tensor

from graphkit import GraphkitError, _native
from graphkit.engine.cuda import sparse_optimizers
from graphkit.engine.cuda.launcher import Launcher
from graphkit.engine.kernels import reduce_duplicates, sgd_
from graphkit.engine.kernels import reference_steps as reference

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
each = pytest.mark.parametrize("name", RULES)
dtypes = pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
widths = pytest.mark.parametrize("width", [1, 3, 16, 17, 132])

#: The processor's own code multiplies and adds with one rounding, as the kernels do.
fused = pytest.mark.skipif(_native.kernel_paths()[-1] == "portable", reason="no fused multiply-add on this processor")


def on_gpu(name: str, launcher: Launcher) -> Rule:
    """Returns a rule whose op is launched."""
    return replace(RULES[name], op=partial(getattr(sparse_optimizers, f"{name}_"), launcher))


def exact_step(rule: Rule, before: Table, ids: Tensor | None, gradient: Tensor) -> Table:
    exact = before.copy(torch.float64)
    rule.step(exact, ids, gradient.double(), twin=True)
    return exact


def assert_same_bits(found: Table, expected: Table) -> None:
    for one, other in zip(found.tensors(), expected.tensors(), strict=True):
        assert torch.equal(one, other)


@each
@given(data=st.data())
def test_steps_of_any_shape_equal_those_of_the_twin_in_float64(name: str, data: st.DataObject) -> None:
    rows = data.draw(st.integers(0, 20), "rows")
    chosen = data.draw(st.integers(0, rows), "chosen")
    width = data.draw(st.integers(1, 40) | st.sampled_from([64, 128, 132, 260]), "width")
    rule = on_gpu(name, ShimLauncher(schedule_seed=data.draw(st.integers(0, 3), "schedule")))
    before = rule.table(rows, width)
    ids, gradient = draw(rows, chosen, width, data.draw(st.integers(0, 9), "seed"))
    found = before.copy()
    rule.step(found, ids, gradient)
    assert_close(found, exact_step(rule, before, ids, gradient), before.copy(torch.float64))


@launched
@each
@pytest.mark.parametrize("all_rows", [False, True], ids=["some rows", "all rows"])
@pytest.mark.parametrize("width", [1, 17, 132])
def test_any_extents_give_the_step_of_the_twin(name: str, launcher: Launcher, width: int, all_rows: bool) -> None:
    rule = on_gpu(name, launcher)
    before = rule.table(19, width)
    ids, gradient = (None, draw(19, 19, width)[1]) if all_rows else draw(19, 11, width)
    gradient[0] = 0
    found = before.copy()
    rule.step(found, ids, gradient)
    assert_close(found, exact_step(rule, before, ids, gradient), before.copy(torch.float64))


@each
def test_gradients_of_equal_ids_are_added_up(name: str) -> None:
    before, ids, gradient = RULES[name].table(9, 5), torch.tensor([3, 8, 3, 0, 3]), torch.randn(5, 5)
    found, expected = before.copy(), before.copy()
    on_gpu(name, ShimLauncher()).step(found, ids, gradient)
    on_gpu(name, ShimLauncher()).step(expected, *reduce_duplicates(ids, gradient))
    assert_same_bits(found, expected)


@fused
@pytest.mark.parametrize("name", ["sgd", "adagrad"])
@dtypes
@widths
def test_weights_and_state_have_the_bits_of_the_cpu(name: str, dtype: torch.dtype, width: int) -> None:
    before, (ids, gradient) = RULES[name].table(31, width, dtype), draw(31, 13, width)
    found, expected = before.copy(), before.copy()
    on_gpu(name, ShimLauncher()).step(found, ids, gradient)
    RULES[name].step(expected, ids, gradient)
    assert_same_bits(found, expected)


@each
@widths
def test_of_bfloat16_few_weights_are_rounded_otherwise_than_on_the_cpu(name: str, width: int) -> None:
    before, (ids, gradient) = RULES[name].table(60, width, torch.bfloat16), draw(60, 50, width)
    found, expected = before.copy(), before.copy()
    on_gpu(name, ShimLauncher()).step(found, ids, gradient)
    RULES[name].step(expected, ids, gradient)
    assert (found.weight != expected.weight).sum() <= 1 + found.weight.numel() // 1000
    torch.testing.assert_close(found.weight, expected.weight, rtol=2**-7, atol=0)
    states = [Table(before.weight, table.state) for table in (found, expected, before)]
    assert_close(*states)


@launched
@pytest.mark.parametrize("width", [1, 16, 33])
def test_random_bits_are_those_of_the_twin_bit_for_bit(launcher: Launcher, width: int) -> None:
    """With a rate of 1/2 a step of SGD is exact up to one rounding: every bit is decided by the random ones."""
    weight, steps = torch.zeros(12, width, dtype=torch.bfloat16), torch.arange(12) * 2**33
    ids, gradient = draw(12, 7, width)
    twin, twin_steps = weight.clone(), steps.clone()
    for seed in (0, 2**62, -1):
        sparse_optimizers.sgd_(launcher, weight, steps, ids, gradient, 0.5, seed)
        reference.sgd_(twin, twin_steps, ids, gradient, 0.5, seed)
        weight[:], twin[:] = weight.sign() * (weight.abs() % 1), twin.sign() * (twin.abs() % 1)
        assert torch.equal(weight, twin)
        assert torch.equal(steps, twin_steps)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.0), (0.5, 0.999999)])
def test_the_bias_correction_of_adam_holds_at_any_count(betas: tuple[float, float]) -> None:
    rule = replace(on_gpu("adam", ShimLauncher()), settings=(0.02, *betas, 1e-8))
    before, gradient = rule.table(7, 5), draw(7, 7, 5)[1]
    before.state["steps"] = torch.tensor([0, 1, 9, 1000, 10**6, 2**31, 2**53])
    found = before.copy()
    rule.step(found, None, gradient)
    assert_close(found, exact_step(rule, before, None, gradient), before.copy(torch.float64))


@each
@dtypes
@pytest.mark.parametrize("moved", ["weight", "state", "gradient"])
def test_views_that_are_not_aligned_give_the_same_step(name: str, dtype: torch.dtype, moved: str) -> None:
    rule = on_gpu(name, ShimLauncher(races=True))  # finds what a GPU could not load
    before, (ids, gradient) = rule.table(9, 16, dtype), draw(9, 5, 16)
    found, expected = before.copy(), before.copy()
    rule.step(expected, ids, gradient)
    if moved == "weight":
        found.weight = misaligned(found.weight)
        assert found.weight.data_ptr() % 8 == found.weight.element_size()
    elif moved == "state":
        found.state = {key: misaligned(value) for key, value in found.state.items()}
    rule.step(found, ids, misaligned(gradient) if moved == "gradient" else gradient)
    if name == "row_adagrad":  # its sum has another order
        torch.testing.assert_close(
            found.weight, expected.weight, rtol=1e-6 if dtype == torch.float32 else 2**-7, atol=0
        )
    else:
        assert_same_bits(found, expected)


@each
def test_tables_that_are_not_contiguous_are_updated(name: str) -> None:
    rule = on_gpu(name, ShimLauncher())
    plain, (ids, gradient) = rule.table(12, 6), draw(12, 5, 6)
    spread = Table(torch.empty(6, 12).T.copy_(plain.weight), plain.copy().state)
    rule.step(plain, ids, gradient)
    rule.step(spread, ids, gradient)
    for one, other in zip(plain.tensors(), spread.tensors(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


@each
@dtypes
def test_ids_and_gradients_of_any_layout_give_the_same_bits(name: str, dtype: torch.dtype) -> None:
    rule = on_gpu(name, ShimLauncher())
    plain, (ids, gradient) = rule.table(12, 6, dtype), draw(12, 5, 6)
    spread = plain.copy()
    rule.step(plain, ids, gradient)
    rule.step(spread, torch.stack([ids, ids], dim=1)[:, 0], gradient.T.contiguous().T)
    assert_same_bits(spread, plain)


@each
@dtypes
@pytest.mark.parametrize(("rows", "width"), [(4, 3), (0, 3)])
def test_no_ids_are_no_step(name: str, dtype: torch.dtype, rows: int, width: int) -> None:
    rule = on_gpu(name, ShimLauncher())
    table = rule.table(rows, width, dtype)
    before = table.copy()
    rule.step(table, torch.empty(0, dtype=torch.int64), torch.empty(0, width))
    assert_same_bits(table, before)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("width", [16, 17])
def test_weights_that_are_not_finite_stay_what_they_are(value: float, width: int) -> None:
    weight = torch.full((1, width), value, dtype=torch.bfloat16)
    for _ in range(5):
        steps = torch.zeros(1, dtype=torch.int64)
        sparse_optimizers.sgd_(ShimLauncher(), weight, steps, None, torch.ones(1, width), 0.1)
        assert torch.equal(weight.isnan(), torch.full((1, width), value != value))
        assert value != value or (weight == value).all()


def test_no_number_is_rounded_to_one() -> None:
    """A GPU makes NaNs whose bits are all ones: counted up, they would be those of a zero."""
    weight, steps = torch.zeros(2, 17, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.int64)
    gradient = torch.full((2, 17), 2**31 - 1, dtype=torch.int32).view(torch.float32)
    sparse_optimizers.sgd_(ShimLauncher(), weight, steps, None, gradient, 0.1, checked=True)
    assert weight.isnan().all()


@each
@dtypes
@pytest.mark.parametrize("width", [16, 7])
def test_no_two_threads_meet(name: str, dtype: torch.dtype, width: int) -> None:
    rule = on_gpu(name, ShimLauncher(races=True))
    before, (ids, gradient) = rule.table(12, width, dtype), draw(12, 9, width)
    found, expected = before.copy(), before.copy()
    rule.step(found, ids, gradient)
    on_gpu(name, ShimLauncher()).step(expected, ids, gradient)
    assert_same_bits(found, expected)


# ---- what is refused


@each
def test_ids_and_gradients_are_looked_at_unless_they_were_before(name: str) -> None:
    rule = on_gpu(name, ShimLauncher())
    table, gradient = rule.table(4, 3), torch.ones(2, 3)
    before = table.copy()
    with pytest.raises(GraphkitError) as error:
        rule.step(table, torch.tensor([1, 4]), gradient)
    assert str(error.value) == (
        "id 4 at place 1 is no row of a table of 4 rows, and nothing was updated; give ids from 0 to 3"
    )
    gradient[1, 2] = torch.nan
    with pytest.raises(GraphkitError) as error:
        rule.step(table, torch.tensor([1, 3]), gradient)
    assert str(error.value) == (
        "the gradient of row 3 has the value nan, and nothing was updated; lower the learning rate, or look for what "
        "makes the loss of this row overflow"
    )
    assert_same_bits(table, before)
    trusting = replace(rule, op=partial(rule.op, checked=True))
    trusting.step(table, torch.tensor([1, 3]), gradient)
    assert table.weight[3].isnan().any()
    assert table.weight[[0, 1, 2]].isfinite().all()


@pytest.mark.parametrize("checked", [False, True])
def test_what_does_not_go_together_is_refused(checked: bool) -> None:
    with pytest.raises(GraphkitError) as error:
        sparse_optimizers.sgd_(ShimLauncher(), torch.zeros(4, 3), None, None, torch.ones(4, 2), 0.1, checked=checked)
    assert str(error.value) == (
        "the gradient is torch.float32 of shape (4, 2) for 4 rows of a torch.float32 table; give torch.float32 of "
        "shape (4, 3)"
    )


def test_tables_of_float64_are_stepped_by_the_twin() -> None:
    weight, twin = torch.ones(2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64)
    gradient = torch.rand(2, 3, dtype=torch.float64)
    sparse_optimizers.sgd_(ShimLauncher(), weight, None, None, gradient, 0.1)
    sgd_(twin, None, None, gradient, 0.1)
    assert torch.equal(weight, twin)
