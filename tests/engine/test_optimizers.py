"""Row optimisers equal torch's where every row is touched, and touch no other row."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine import SGD, Adagrad, Adam, RowAdagrad, RowOptimizer

OPTIMIZERS = {
    "Adagrad": lambda: Adagrad(lr=0.3, eps=1e-7),
    "Adam": lambda: Adam(lr=0.02, beta1=0.8, beta2=0.95, eps=1e-6),
    "RowAdagrad": lambda: RowAdagrad(lr=0.3, eps=1e-7),
    "SGD": lambda: SGD(lr=0.3),
}
each = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
#: Those whose rule torch has too.
AS_TORCH = {name: make for name, make in OPTIMIZERS.items() if name != "RowAdagrad"}
as_torch = pytest.mark.parametrize("make", AS_TORCH.values(), ids=AS_TORCH)


def gradients(steps: int, rows: int = 7, width: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    found = [torch.randn(rows, width, generator=generator) for _ in range(steps)]
    found[0][0] = 0  # a gradient of exactly zero
    return found


def start(rows: int = 7, width: int = 5) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(0))


def run(optimizer: RowOptimizer, steps: list[tuple[Tensor | None, Tensor]]) -> tuple[Tensor, dict[str, Tensor]]:
    weight = start()
    state = optimizer.new_state(weight)
    for ids, gradient in steps:
        optimizer.step(weight, state, ids, gradient)
    return weight, state


@as_torch
@pytest.mark.parametrize("in_place", [True, False], ids=["all rows", "ids of all rows"])
def test_steps_on_all_rows_equal_those_of_torch(make, in_place: bool) -> None:
    ids = None if in_place else torch.arange(7)
    weight, _ = run(make(), [(ids, gradient) for gradient in gradients(12)])
    parameter = torch.nn.Parameter(start())
    dense = make().dense([parameter])
    for gradient in gradients(12):
        parameter.grad = gradient.clone()
        dense.step()
    torch.testing.assert_close(weight, parameter.detach(), rtol=1e-5, atol=1e-6)


@each
def test_the_order_of_the_ids_means_nothing(make) -> None:
    turned = torch.tensor([3, 0, 6, 5, 1, 2, 4])
    plain = run(make(), [(torch.arange(7), gradient) for gradient in gradients(4)])
    other = run(make(), [(turned, gradient[turned]) for gradient in gradients(4)])
    torch.testing.assert_close(plain, other, rtol=0, atol=0)


@each
def test_no_ids_equal_all_ids(make) -> None:
    none = run(make(), [(None, gradient) for gradient in gradients(4)])
    every = run(make(), [(torch.arange(7), gradient) for gradient in gradients(4)])
    torch.testing.assert_close(none, every, rtol=1e-6, atol=1e-7)


@each
def test_untouched_rows_and_their_state_do_not_move(make) -> None:
    optimizer, weight = make(), start()
    state = optimizer.new_state(weight)
    optimizer.step(weight, state, None, gradients(1)[0])
    touched, rest = torch.tensor([5, 2]), torch.tensor([0, 1, 3, 4, 6])
    before = {name: value[rest].clone() for name, value in (state | {"weight": weight}).items()}
    moved = weight[touched].clone()
    optimizer.step(weight, state, touched, gradients(2)[1][:2])
    for name, value in (state | {"weight": weight}).items():
        assert torch.equal(value[rest], before[name]), name
    assert not torch.equal(weight[touched], moved)


@as_torch
@given(plan=st.lists(st.sets(st.integers(0, 6), min_size=1), min_size=1, max_size=6))
def test_each_row_moves_as_if_it_were_a_table_of_its_own(make, plan: list[set[int]]) -> None:
    drawn = gradients(len(plan))
    ids = [torch.tensor(sorted(rows)) for rows in plan]
    weight, _ = run(make(), [(rows, gradient[rows]) for rows, gradient in zip(ids, drawn, strict=True)])
    for row in range(7):
        parameter = torch.nn.Parameter(start()[row : row + 1].clone())
        dense = make().dense([parameter])
        for rows, gradient in zip(plan, drawn, strict=True):
            if row in rows:
                parameter.grad = gradient[row : row + 1].clone()
                dense.step()
        torch.testing.assert_close(weight[row : row + 1], parameter.detach(), rtol=1e-5, atol=1e-6)


def test_row_adagrad_is_adagrad_of_rows_whose_gradient_has_one_size() -> None:
    """Where all coordinates of a row have the same square, their mean is that square."""
    signs = [gradient.sign() * size for size, gradient in enumerate(gradients(6), start=1)]
    rows, _ = run(RowAdagrad(lr=0.3), [(torch.arange(1, 7), sign[1:]) for sign in signs])
    plain, _ = run(Adagrad(lr=0.3), [(torch.arange(1, 7), sign[1:]) for sign in signs])
    torch.testing.assert_close(rows, plain, rtol=1e-6, atol=1e-7)


def test_row_adagrad_divides_by_the_root_of_the_mean_square() -> None:
    optimizer, weight = RowAdagrad(lr=0.5, eps=0.0), torch.zeros(2, 2)
    state = optimizer.new_state(weight)
    optimizer.step(weight, state, torch.tensor([1]), torch.tensor([[1.0, 7.0]]))
    assert state["sum"].tolist() == [0, 25]
    torch.testing.assert_close(weight, torch.tensor([[0, 0], [-0.1, -0.7]]))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (SGD, []),
        (Adagrad, ["sum"]),
        (RowAdagrad, ["sum"]),
        (Adam, ["mean", "square", "steps"]),
    ],
)
def test_checkpoints_name_the_state(make, names: list[str]) -> None:
    assert sorted(make().new_state(start())) == names


@each
def test_the_state_of_a_table_in_bfloat16_is_float32_and_counts_its_updates(make) -> None:
    optimizer, weight = make(), start().bfloat16()
    state = optimizer.new_state(weight)
    optimizer.step(weight, state, torch.tensor([4, 1]), gradients(2)[1][:2])
    optimizer.step(weight, state, torch.tensor([4]), gradients(2)[1][:1])
    assert state.pop("steps").tolist() == [0, 1, 0, 0, 2, 0, 0]
    assert all(values.dtype == torch.float32 for values in state.values())
    assert weight.dtype == torch.bfloat16


@each
def test_a_table_in_bfloat16_follows_one_in_float32(make) -> None:
    """Each rounding is off by less than a spacing, 2**-7 of the weight, and unbiased; 40 of them stay within ten."""
    optimizer, exact = make(), start()
    weight = exact.bfloat16()
    exact.copy_(weight)
    states = optimizer.new_state(weight), optimizer.new_state(exact)
    for gradient in gradients(40):
        optimizer.step(weight, states[0], None, gradient)
        optimizer.step(exact, states[1], None, gradient)
    assert not torch.equal(weight.float(), exact)
    torch.testing.assert_close(weight.float(), exact, rtol=0, atol=10 * 2**-7 * exact.abs().max().item())


def test_adam_counts_the_steps_of_each_row() -> None:
    _, state = run(Adam(), [(torch.tensor(rows), torch.ones(len(rows), 5)) for rows in ([0, 1], [1], [1, 6])])
    assert state["steps"].tolist() == [1, 3, 0, 0, 0, 0, 1]


def test_the_first_step_of_a_row_is_the_learning_rate_however_late() -> None:
    optimizer, weight = Adam(lr=0.01), torch.zeros(2, 3)
    state = optimizer.new_state(weight)
    for _ in range(500):
        optimizer.step(weight, state, torch.tensor([0]), torch.randn(1, 3, generator=torch.Generator().manual_seed(2)))
    optimizer.step(weight, state, torch.tensor([1]), torch.tensor([[5.0, -0.1, 2.0]]))
    torch.testing.assert_close(weight[1], torch.tensor([-0.01, 0.01, -0.01]), rtol=1e-5, atol=0)


@each
def test_a_step_keeps_the_gradient(make) -> None:
    gradient = gradients(2)[1]
    before = gradient.clone()
    run(make(), [(None, gradient), (torch.arange(7), gradient)])
    assert torch.equal(gradient, before)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Adagrad(lr=0), "the optimizer has lr=0 and eps=1e-10; lr must be above 0 and eps not below 0"),
        (lambda: SGD(lr=0), "the optimizer has lr=0 and eps=0.0; lr must be above 0 and eps not below 0"),
        (lambda: RowAdagrad(eps=-1), "the optimizer has lr=0.1 and eps=-1; lr must be above 0 and eps not below 0"),
        (lambda: Adam(lr=-1.0), "the optimizer has lr=-1.0 and eps=1e-08; lr must be above 0 and eps not below 0"),
        (lambda: Adam(eps=-1.0), "the optimizer has lr=0.001 and eps=-1.0; lr must be above 0 and eps not below 0"),
        (lambda: Adam(beta1=1.0), "Adam has beta1=1.0 and beta2=0.999; both must be at least 0 and below 1"),
        (lambda: Adam(beta2=-0.1), "Adam has beta1=0.9 and beta2=-0.1; both must be at least 0 and below 1"),
        (
            lambda: Adagrad(lr=float("nan")),
            "the optimizer has lr=nan and eps=1e-10; lr must be above 0 and eps not below 0",
        ),
        (
            lambda: Adam(dense_lr=0.0),
            "optimizer.dense_lr is 0.0, and a number above 0, or null for a share of lr, is needed",
        ),
    ],
    ids=[
        "no lr",
        "no lr of SGD",
        "negative eps of rows",
        "negative lr",
        "negative eps",
        "beta1",
        "beta2",
        "lr is not a number",
        "no dense lr",
    ],
)
def test_a_setting_out_of_range_is_named(make, expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        make()
    assert str(error.value) == expected


@pytest.mark.parametrize("rule", [SGD, Adagrad, RowAdagrad, Adam])
@pytest.mark.parametrize(("dense_lr", "share", "expected"), [(None, 1.0, 0.5), (None, 0.1, 0.05), (0.2, 0.1, 0.2)])
def test_parameters_have_a_share_of_the_learning_rate_unless_they_have_their_own(
    rule, dense_lr: float | None, share: float, expected: float
) -> None:
    optimizer = rule(lr=0.5, dense_lr=dense_lr).dense([torch.zeros(2, requires_grad=True)], share=share)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(expected)]


class OfGpu:
    """A parameter, as far as the choice of torch's implementation looks at it."""

    device = torch.device("cuda")


@pytest.mark.parametrize(
    ("optimizer", "name", "expected"),
    [(Adam(), "Adam", True), (Adagrad(), "Adagrad", None), (RowAdagrad(), "Adagrad", None)],
    ids=["adam", "adagrad", "row_adagrad"],
)
def test_on_a_gpu_adam_is_fused_and_so_takes_counts_of_steps_there(
    optimizer: RowOptimizer, name: str, expected: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(torch.optim, name, lambda parameters, **settings: made.append(settings["fused"]))
    optimizer.dense([OfGpu()])  # type: ignore[list-item]
    optimizer.dense([torch.ones(1)])
    assert made == [expected, True]


def test_values_are_looked_at_on_the_cpu_though_the_caller_says_it_has() -> None:
    weight, gradient = torch.ones(3, 2), torch.full((1, 2), torch.nan)
    for optimizer in (SGD(), Adagrad(), RowAdagrad(), Adam()):
        state = optimizer.new_state(weight)
        for ids in (torch.tensor([1]), torch.tensor([7])):
            with pytest.raises(GraphkitError, match="nothing was updated"):
                optimizer.step(weight, state, ids, gradient, checked=True)
    assert weight.eq(1).all()
