"""Pair scores: every instruction set equals the twin in float64, whatever the shapes and the number of threads."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels import pair_scores
from graphkit.engine.kernels.pair_scores import (
    Kind,
    own_gradients,
    own_scores,
    reference,
    shared_gradients,
    shared_scores,
)

KINDS: tuple[Kind, ...] = get_args(Kind)
#: What float32 may lose of a score, relative to the sum of the sizes of its terms, and of a gradient.
ERROR = 1e-5

each_kind = pytest.mark.parametrize("kind", KINDS)
each_side = pytest.mark.parametrize("own", [True, False], ids=["own", "shared"])


pytestmark = pytest.mark.usefixtures("path")  # each instruction set


def pairs(kind: Kind, queries: int, rows: int, dim: int, own: int | None, *, seed: int = 0) -> list[Tensor | None]:
    """Queries [V, W], rows [U, dim] and places [V, own], or None for shared rows."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(queries, dim * (2 if kind in ("box", "centred") else 1), generator=generator)
    e = torch.randn(rows, dim, generator=generator)
    places = None if own is None else torch.randint(max(rows, 1), (queries, own), generator=generator)
    return [q, e, places]


def with_gradients(scorer: object, kind: Kind, inputs: list[Tensor | None], dtype: torch.dtype) -> list[Tensor]:
    """The scores, and the gradients of queries and rows for gradients of scores that differ."""
    q, e, places = inputs
    leaves = [x.detach().to(dtype).requires_grad_() for x in (q, e) if x is not None]
    scores = scorer(kind, *leaves, places, inside=0.3)  # type: ignore[operator]
    scores.backward(torch.linspace(-1, 2, scores.numel(), dtype=dtype).reshape(scores.shape))
    return [scores.detach(), *(leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves)]


def assert_equal_to_the_twin(kind: Kind, inputs: list[Tensor | None]) -> None:
    found = with_gradients(pair_scores, kind, inputs, torch.float32)
    expected = with_gradients(reference, kind, inputs, torch.float64)
    q, e, _ = inputs
    assert q is not None
    assert e is not None
    terms = float(q.norm(dim=1).max() * e.norm(dim=1).max() + q.abs().sum(dim=1).max() + e.abs().sum(dim=1).max())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=ERROR, atol=ERROR * max(1.0, terms))


@each_kind
@each_side
@given(data=st.data())
def test_scores_and_gradients_equal_those_of_the_twin(kind: Kind, own: bool, data: st.DataObject) -> None:
    half = data.draw(st.integers(1, 35))
    dim = 2 * half if kind == "rotate" else data.draw(st.sampled_from([half, 2 * half]))
    queries, rows = data.draw(st.integers(1, 14)), data.draw(st.integers(1, 14))
    candidates = data.draw(st.integers(0, 20)) if own else None
    assert_equal_to_the_twin(kind, pairs(kind, queries, rows, dim, candidates, seed=data.draw(st.integers(0, 99))))


@each_kind
@each_side
@pytest.mark.parametrize("dim", [64, 400, 402])
def test_long_rows_and_many_pairs_equal_the_twin(kind: Kind, own: bool, dim: int) -> None:
    assert_equal_to_the_twin(kind, pairs(kind, 70, 130, dim, 40 if own else None))


@each_kind
@each_side
@pytest.mark.usefixtures("threads")
def test_no_bit_depends_on_the_number_of_threads(kind: Kind, own: bool) -> None:
    inputs = pairs(kind, 150, 200, 130, 60 if own else None)
    found = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        found.append(with_gradients(pair_scores, kind, inputs, torch.float32))
    for other in found[1:]:
        assert all(torch.equal(one, same) for one, same in zip(found[0], other, strict=True))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dot"])  # shared dot products are torch's
@pytest.mark.parametrize("dim", [6, 50])
def test_a_pair_has_the_same_score_bit_for_bit_wherever_it_stands(kind: Kind, dim: int) -> None:
    q, e, _ = pairs(kind, 11, 13, dim, None)
    assert q is not None
    assert e is not None
    whole = pair_scores(kind, q, e, inside=0.3)
    everywhere = torch.arange(13).expand(11, -1)
    assert torch.equal(pair_scores(kind, q, e, everywhere, inside=0.3), whole)
    assert torch.equal(pair_scores(kind, q[3:4], e, inside=0.3), whole[3:4])
    assert torch.equal(pair_scores(kind, q, e[5:8], inside=0.3), whole[:, 5:8])
    assert torch.equal(pair_scores(kind, q, e, torch.full((11, 1), 7), inside=0.3), whole[:, 7:8])


@each_kind
@each_side
def test_where_query_and_row_are_equal_distances_and_their_gradients_are_zero(kind: Kind, own: bool) -> None:
    if kind in ("dot", "centred"):
        pytest.skip("a similarity, not a distance")
    q = torch.full((3, 8), 0.5)
    e = q.clone().requires_grad_()
    asked = torch.cat([q, torch.zeros_like(q)], dim=1) if kind == "box" else q.clone()
    asked.requires_grad_()
    scores = pair_scores(kind, asked, e, torch.tensor([[0, 2]] * 3) if own else None, inside=0.3)
    assert not scores.any()
    scores.sum().backward()
    assert asked.grad is not None
    assert e.grad is not None
    assert not e.grad.any()
    assert not asked.grad.any()


@each_side
def test_gradients_of_distances_have_the_sign_of_any_difference(own: bool) -> None:
    differences = torch.tensor([[0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 1e-40, -1e-40, 0.5, torch.inf, -torch.inf]])
    q, e = torch.zeros(1, 11).requires_grad_(), differences.clone().requires_grad_()
    pair_scores("l1", q, e, torch.zeros(1, 1, dtype=torch.int64) if own else None).backward(torch.full((1, 1), 3.0))
    assert e.grad is not None
    assert q.grad is not None
    assert e.grad.tolist() == (3 * differences.sign()).tolist()
    assert q.grad.tolist() == (-3 * differences.sign()).tolist()


@each_side
def test_a_row_that_is_no_number_and_has_no_weight_moves_nothing(own: bool) -> None:
    q, e = torch.zeros(1, 20).requires_grad_(), torch.full((2, 20), torch.nan)
    e[0] = 1
    places = torch.tensor([[0, 1]]) if own else None
    pair_scores("l1", q, e.requires_grad_(), places).backward(torch.tensor([[1.0, 0.0]]))
    assert q.grad is not None
    assert q.grad.tolist() == [[-1] * 20]


@each_side
def test_the_border_of_a_box_and_half_widths_below_zero(own: bool) -> None:
    """By hand: one dimension, centre 0, inside 0.25; scores and gradients of the row, the centre and the half width."""
    # distance = half width: inside; half width 0: outside; below zero: distance - (1 + inside) * half width
    rows = torch.tensor([[2.0], [2.0], [-2.0]], requires_grad=True)
    boxes = torch.tensor([[0.0, 2.0], [0.0, 0.0], [0.0, -1.0]], requires_grad=True)
    places = torch.tensor([[0], [1], [2]])
    scores = pair_scores("box", boxes, rows, places if own else None, inside=0.25)
    scores = scores.squeeze(1) if own else scores.diagonal()
    assert scores.tolist() == [0.5, 2.0, 3.25]
    scores.sum().backward()
    assert rows.grad is not None
    assert boxes.grad is not None
    assert rows.grad.squeeze(1).tolist() == [0.25, 1.0, -1.0]
    assert boxes.grad.tolist() == [[-0.25, 0.0], [-1.0, -1.0], [1.0, -1.25]]


@each_kind
def test_a_row_that_is_a_candidate_twice_gets_the_gradient_twice(kind: Kind) -> None:
    q, e, _ = pairs(kind, 1, 2, 6, None)
    assert q is not None
    assert e is not None
    gradients = []
    for places in ([[0]], [[0, 0, 1]]):
        leaf = e.clone().requires_grad_()
        pair_scores(kind, q, leaf, torch.tensor(places), inside=0.3)[:, :2].sum().backward()
        assert leaf.grad is not None
        gradients.append(leaf.grad)
    torch.testing.assert_close(2 * gradients[0], gradients[1])
    assert not gradients[1][1].any()


@each_kind
@each_side
def test_a_value_that_is_not_a_number_stays_with_its_pairs(kind: Kind, own: bool) -> None:
    q, e, places = pairs(kind, 5, 6, 40, 6 if own else None)
    assert e is not None
    e[2, 3] = torch.nan
    if places is not None:
        places[:] = torch.arange(6)
    scores = pair_scores(kind, q, e, places, inside=0.3)  # type: ignore[arg-type]
    assert scores.isnan().nonzero()[:, 1].unique().tolist() == [2]


@each_kind
def test_tensors_that_are_not_contiguous_score_as_their_copies(kind: Kind) -> None:
    q, e, places = pairs(kind, 6, 8, 10, 4)
    assert q is not None
    assert e is not None
    assert places is not None
    across = [x.T.contiguous().T for x in (q, e, places)]
    assert not across[0].is_contiguous()
    assert torch.equal(pair_scores(kind, *across, inside=0.3), pair_scores(kind, q, e, places, inside=0.3))
    assert torch.equal(pair_scores(kind, q[::2], e[1::3], inside=0.3), pair_scores(kind, q, e, inside=0.3)[::2, 1::3])


@each_kind
@pytest.mark.parametrize(("queries", "rows", "own"), [(0, 4, 3), (4, 0, 0), (3, 4, 0), (0, 4, None), (4, 0, None)])
def test_no_pairs_have_no_scores_and_zero_gradients(kind: Kind, queries: int, rows: int, own: int | None) -> None:
    scores, of_queries, of_rows = with_gradients(pair_scores, kind, pairs(kind, queries, rows, 6, own), torch.float32)
    assert scores.shape == (queries, rows if own is None else own)
    assert not of_queries.any()
    assert not of_rows.any()


@each_kind
def test_the_custom_operations_pass_torch_s_own_checks(kind: Kind) -> None:
    q, e, places = pairs(kind, 4, 5, 6, 3)
    assert q is not None
    assert e is not None
    assert places is not None
    leaves = [q.requires_grad_(), e.requires_grad_()]
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(own_scores, (*leaves, places, kind, 0.3), test_utils=tests)
    torch.library.opcheck(shared_scores, (*leaves, kind, 0.3), test_utils=tests)
    scores, order, offsets = own_scores(q.detach(), e.detach(), places, kind, 0.3)
    plain = [q.detach(), e.detach()]
    torch.library.opcheck(own_gradients, (scores, *plain, order, offsets, kind, 0.3), test_utils=tests)
    torch.library.opcheck(shared_gradients, (torch.ones(4, 5), *plain, kind, 0.3), test_utils=tests)


@each_kind
@each_side
def test_gradients_of_the_twin_equal_finite_differences(kind: Kind, own: bool) -> None:
    q, e, places = pairs(kind, 3, 4, 4, 5 if own else None)
    leaves = [x.double().requires_grad_() for x in (q, e) if x is not None]
    assert torch.autograd.gradcheck(lambda q, e: pair_scores(kind, q, e, places, inside=0.3), leaves)


@pytest.mark.parametrize(
    ("kind", "queries", "rows", "places", "message"),
    [
        (
            "l3",
            (2, 4),
            (3, 4),
            None,
            "pairs have no score of kind 'l3'; choose one of dot, l1, l2, rotate, box, centred",
        ),
        (
            "l1",
            (2, 4, 1),
            (3, 4),
            None,
            "queries have shape (2, 4, 1) and rows (3, 4); both need two dimensions, [V, W] and [U, D]",
        ),
        (
            "box",
            (2, 4),
            (3, 4),
            None,
            "queries have width 4 and rows 4, and scores of kind box need queries of width 8",
        ),
        ("rotate", (2, 5), (3, 5), None, "rows have width 5, and scores of kind rotate need an even one; give 6"),
        (
            "l1",
            (2, 4),
            (3, 4),
            torch.zeros(3, 1, dtype=torch.int64),
            "places are torch.int64 of shape (3, 1) for 2 queries; give int64 of shape (2, K)",
        ),
        (
            "l1",
            (2, 4),
            (3, 4),
            torch.zeros(2, 1),
            "places are torch.float32 of shape (2, 1) for 2 queries; give int64 of shape (2, K)",
        ),
        (
            "l1",
            (2, 4),
            (3, 4),
            torch.tensor([[0, 1], [2, 3]]),
            "candidate 1 of query 1 is row 3, and the 3 rows have places 0 to 2; give places of rows",
        ),
        (
            "l1",
            (2, 4),
            (3, 4),
            torch.tensor([[0, -1], [2, 0]]),
            "candidate 1 of query 0 is row -1, and the 3 rows have places 0 to 2; give places of rows",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    kind: Kind, queries: tuple[int, ...], rows: tuple[int, ...], places: Tensor | None, message: str
) -> None:
    with pytest.raises(GraphkitError) as error:
        pair_scores(kind, torch.zeros(queries), torch.zeros(rows), places)
    assert str(error.value) == message


def test_mixed_dtypes_are_refused() -> None:
    with pytest.raises(GraphkitError) as error:
        pair_scores("l1", torch.zeros(2, 4), torch.zeros(3, 4, dtype=torch.float64))
    assert str(error.value) == "queries are torch.float32 and rows torch.float64; give both the same dtype"


def test_more_pairs_than_an_order_in_int32_can_name_are_refused() -> None:
    places = torch.zeros(1, 1, dtype=torch.int64).expand(2**16, 2**15)
    with pytest.raises(GraphkitError) as error:
        own_scores(torch.zeros(1, 1).expand(2**16, 1), torch.zeros(1, 1), places, "l1", 0.0)
    assert str(error.value) == (
        "65536 queries have 32768 candidates each, 2147483648 pairs, and at most 2147483647 are scored at once; give "
        "fewer queries"
    )
