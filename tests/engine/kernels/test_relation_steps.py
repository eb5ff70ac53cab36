"""Steps along relations equal their twins in float64, with their gradients, whatever the number of threads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels import ByHand, PlacedRows, translate, translate_by_hand, turn, turn_by_hand
from graphkit.engine.kernels.relation_steps import (
    reference_translate,
    reference_turn,
    translated,
    translated_gradient,
    turned,
    turned_gradients,
)

Step = Callable[..., Tensor]

#: Each step with its twin and the number of its tables.
STEPS: dict[str, tuple[Step, Step, int]] = {
    "translate": (translate, reference_translate, 1),
    "turn": (turn, reference_turn, 2),
}
each = pytest.mark.parametrize("name", STEPS)


def inputs(name: str, queries: int, relations: int, half: int, *, seed: int = 0) -> list[Tensor]:
    """Queries of width 2 `half`, tables, and directed relations."""
    generator = torch.Generator().manual_seed(seed)
    tables = STEPS[name][2]
    made = [torch.randn(queries, 2 * half, generator=generator)]
    made += [torch.randn(relations, 2 * half // tables, generator=generator) for _ in range(tables)]
    return [*made, torch.randint(2 * relations, (queries,), generator=generator)]


def with_gradients(step: Step, given: list[Tensor], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    leaves = [x.detach().clone().to(dtype).requires_grad_() for x in given[:-1]]
    found = step(*leaves, given[-1])
    found.backward(torch.linspace(-1, 2, found.numel(), dtype=dtype).reshape(found.shape))
    return [found.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@each
@given(queries=st.integers(0, 40), relations=st.integers(1, 9), half=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_step_and_its_gradients_equal_those_of_the_twin(
    name: str, queries: int, relations: int, half: int, seed: int
) -> None:
    given, (step, twin, _) = inputs(name, queries, relations, half, seed=seed), STEPS[name]
    for one, other in zip(with_gradients(step, given), with_gradients(twin, given, torch.float64), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-4)


@each
def test_no_bit_depends_on_the_number_of_threads(name: str, threads: Callable[[int], None]) -> None:
    given, found = inputs(name, 700, 20, 75), []
    for count in (1, 2, 5):
        threads(count)
        found.append(with_gradients(STEPS[name][0], given))
    for other in found[1:]:
        assert all(torch.equal(one, same) for one, same in zip(found[0], other, strict=True))


@each
def test_a_relation_that_nobody_follows_has_no_gradient(name: str) -> None:
    *given, directed = inputs(name, 50, 3, 4)
    directed[directed // 2 == 1] = 0
    for table in with_gradients(STEPS[name][0], [*given, directed])[2:]:
        assert table[0].any()
        assert not table[1].any()


@each
def test_tensors_that_are_not_contiguous_step_as_their_copies(name: str) -> None:
    given, step = inputs(name, 6, 3, 5), STEPS[name][0]
    spread = [torch.stack([x, x], dim=-1)[..., 0] for x in given]
    assert torch.equal(step(*given), step(*spread))


def test_the_custom_operations_pass_torch_s_own_checks() -> None:
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    x, vectors, directed = inputs("translate", 5, 3, 4)
    torch.library.opcheck(translated, (x.requires_grad_(), vectors.requires_grad_(), directed), test_utils=tests)
    torch.library.opcheck(translated_gradient, (x.detach(), directed, 3), test_utils=tests)
    x, real, imaginary, directed = inputs("turn", 5, 3, 4)
    leaves = [part.requires_grad_() for part in (x, real, imaginary)]
    torch.library.opcheck(turned, (*leaves, directed), test_utils=tests)
    plain = [part.detach() for part in (x, *leaves)]
    torch.library.opcheck(turned_gradients, (*plain, directed), test_utils=tests)


@each
def test_other_precisions_are_the_twin_s(name: str) -> None:
    *given, directed = inputs(name, 4, 3, 2)
    given, (step, twin, _) = [x.double() for x in given], STEPS[name]
    assert torch.equal(step(*given, directed), twin(*given, directed))


@each
def test_a_second_derivative_is_refused(name: str) -> None:
    *given, directed = inputs(name, 4, 3, 2)
    leaves = [x.requires_grad_() for x in given]
    found = STEPS[name][0](*leaves, directed).square().sum()
    gradients = torch.autograd.grad(found, leaves, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        gradients[1].sum().backward()


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("wrong", [-1, 6])
def test_a_relation_that_there_is_not_is_refused(name: str, wrong: int, dtype: torch.dtype) -> None:
    *given, directed = inputs(name, 4, 3, 2)
    given = [x.to(dtype) for x in given]
    directed[2] = wrong
    with pytest.raises(GraphkitError) as error:
        STEPS[name][0](*given, directed)
    assert str(error.value) == (
        f"query 2 follows directed relation {wrong}, and 3 relations have 0 to 5; give one of these"
    )


def test_what_does_not_go_together_is_refused() -> None:
    x, vectors, directed = inputs("translate", 4, 3, 2)
    with pytest.raises(GraphkitError) as error:
        translate(x, vectors[:, :3], directed)
    assert str(error.value) == (
        "queries have shape (4, 4) and relations (3, 3); queries [B, D] need relations of their width, or of half of "
        "it for complex coordinates"
    )
    with pytest.raises(GraphkitError) as error:
        translate(x, vectors, directed[:3])
    assert str(error.value) == (
        "directed relations are torch.int64 of shape (3,) for 4 queries; give int64 of shape (4,)"
    )


def test_parts_of_other_shapes_are_refused() -> None:
    x, real, imaginary, directed = inputs("turn", 4, 3, 2)
    with pytest.raises(GraphkitError) as error:
        turn(x, real, imaginary[:2], directed)
    assert str(error.value) == (
        "relations have real parts of shape (3, 2) and imaginary ones of (2, 2); give both the same shape, [R, D/2]"
    )


def turn_by_phases(x: Tensor, phases: Tensor, directed: Tensor) -> Tensor:
    return turn(x, phases.cos(), phases.sin(), directed)


@pytest.mark.parametrize(
    ("step", "by_hand", "tables"), [(translate, translate_by_hand, 1), (turn_by_phases, turn_by_hand, 2)]
)
@given(queries=st.integers(0, 40), relations=st.integers(1, 9), half=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_step_by_hand_is_that_of_autograd_wherever_rows_stand(
    step: Step,
    by_hand: Callable[..., tuple[Tensor, ByHand]],
    tables: int,
    queries: int,
    relations: int,
    half: int,
    seed: int,
) -> None:
    x, vectors, directed = inputs("translate", queries, relations, half, seed=seed)
    table = vectors[:, : 2 * half // tables].contiguous()
    expected = with_gradients(step, [x, table, directed])
    gradient = torch.linspace(-1, 2, x.numel()).reshape(x.shape)
    for rows in (PlacedRows(x, None), PlacedRows(x.flip(0), torch.arange(queries).flip(0))):
        moved, back = by_hand(rows, table, directed)
        for one, other in zip((moved, *back(gradient)), expected, strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("by_hand", [translate_by_hand, turn_by_hand])
def test_a_step_by_hand_of_what_does_not_go_together_is_refused(by_hand: Callable[..., object]) -> None:
    x, vectors, directed = inputs("translate", 4, 3, 2)
    with pytest.raises(GraphkitError) as error:
        by_hand(PlacedRows(x, None), vectors[:, :3], directed)
    assert str(error.value) == (
        "queries have shape (4, 4) and relations (3, 3); queries [B, D] need relations of their width, or of half of "
        "it for complex coordinates"
    )
