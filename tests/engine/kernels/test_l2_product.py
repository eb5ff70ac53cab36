"""Distances by a matrix product equal those by the definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphkit.engine.kernels import l2_distances, l2_product


def rows(count: int, seed: int, *, dim: int) -> Tensor:
    return torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def directly(queries: Tensor, candidates: Tensor) -> Tensor:
    """Distances by the definition in float64."""
    difference = queries.double().unsqueeze(1) - candidates.double()
    return difference.square().sum(dim=2).sqrt()


def close_pairs(apart: float, *, dim: int = 400, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    """Queries, each beside one of many candidates: `apart` times their distance from the mean away from it."""
    candidates = rows(200, 1, dim=dim)
    return (candidates[:50] + apart * rows(50, 2, dim=dim) + offset).float(), (candidates + offset).float()


@pytest.mark.parametrize("offset", [0.0, 100.0], ids=["centred", "far"])
@pytest.mark.parametrize("apart", [1.0, 0.1, 0.05, 0.04, 0.03, 0.02, 0.01, 1e-3, 1e-5])
def test_the_error_of_a_distance_is_as_stated(apart: float, offset: float) -> None:
    queries, candidates = close_pairs(apart, offset=offset)
    expected = directly(queries, candidates)
    error = (l2_distances(queries, candidates).double() - expected).abs() / expected.clamp(min=1e-30)
    assert error.max() < 5e-4
    assert error.median() < 1e-6
    if apart not in (0.05, 0.04, 0.03):  # where pairs are nearly close, and not yet computed by the definition
        assert error.max() < (1e-6 if apart in (1.0, 0.02, 0.01, 1e-3, 1e-5) else 5e-5)


def test_equal_rows_are_at_distance_zero() -> None:
    queries, candidates = close_pairs(0.0)
    assert not l2_distances(queries, candidates)[:, :50].diagonal().any()
    same = torch.full((7, 400), 3.3)
    assert not l2_distances(same[:2], same).any()


def test_clusters_of_close_pairs_are_computed_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tight clusters: half of all pairs are close, more than are held at once."""
    centres = rows(2, 1, dim=400).repeat(50, 1)
    candidates = (centres + 1e-4 * rows(100, 2, dim=400)).float()
    queries = (centres[:20] + 1e-4 * rows(20, 3, dim=400)).float()
    expected = directly(queries, candidates).float()
    whole = l2_distances(queries, candidates)
    torch.testing.assert_close(whole, expected, rtol=1e-6, atol=0)
    monkeypatch.setattr(l2_product, "AT_ONCE", 7 * 400)
    torch.testing.assert_close(l2_distances(queries, candidates), whole, rtol=1e-6, atol=0)


@pytest.mark.parametrize("apart", [1.0, 0.1, 1e-3])
def test_gradients_of_float32_distances_are_those_of_the_definition(apart: float) -> None:
    pairs = close_pairs(apart)
    weights = rows(50, 4, dim=200)
    wide = [x.double().requires_grad_() for x in pairs]
    (directly(*wide) * weights).sum().backward()
    narrow = [x.requires_grad_() for x in pairs]
    (l2_distances(*narrow) * weights.float()).sum().backward()
    for found, expected in zip(narrow, wide, strict=True):
        torch.testing.assert_close(found.grad.double(), expected.grad, rtol=1e-3, atol=1e-3)


def test_autocast_leaves_distances_as_they_are() -> None:
    queries, candidates = close_pairs(0.1)
    exact = l2_distances(queries, candidates)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(l2_distances(queries, candidates), exact)


def test_gradients_in_float64_are_those_of_finite_differences() -> None:
    pairs = [rows(count, seed, dim=5).requires_grad_() for count, seed in ((3, 1), (4, 2))]
    assert torch.autograd.gradcheck(l2_distances, pairs)


def test_it_is_an_operation_of_torch() -> None:
    pairs = [x.requires_grad_() for x in close_pairs(0.5, dim=7)]
    tests = ("test_schema", "test_faketensor", "test_autograd_registration", "test_aot_dispatch_static")
    torch.library.opcheck(l2_product.product_distances, pairs, test_utils=tests)


@pytest.mark.parametrize("shapes", [((0, 4), (3, 4)), ((2, 4), (0, 4)), ((2, 1), (3, 1))])
def test_no_pairs_and_single_coordinates(shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    queries, candidates = (torch.randn(shape) for shape in shapes)
    found = l2_distances(queries, candidates)
    torch.testing.assert_close(found, directly(queries, candidates).float(), rtol=1e-3, atol=1e-6)
