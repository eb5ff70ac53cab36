"""Contrastive losses equal their formulas over dense matrices, gradients too, and never make such a matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from graphkit import GraphkitError
from graphkit.losses import CCASSG, COLES, GRACE, SCE, ContrastiveLoss, pairs
from graphkit.models import SGCEncoder
from graphkit.nodes.propagation import sparse_csr

DIM = 4
KINDS: list[type[ContrastiveLoss]] = [SCE, COLES, CCASSG, GRACE]
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def make(kind: type[ContrastiveLoss], *, dim: int = DIM, **settings: Any) -> ContrastiveLoss:
    loss = kind(dim=dim, **settings)
    loss.initialize(torch.Generator().manual_seed(0))
    return loss.double()


def rows(count: int, seed: int = 1, *, dim: int = DIM) -> Tensor:
    return torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def draws(count: int, seed: int = 2, *, each_row: int = 3) -> Tensor:
    return torch.randint(count, (count, each_row), generator=torch.Generator().manual_seed(seed))


def random_edges(count: int, seed: int = 3) -> Tensor:
    """A dense symmetric-normalised adjacency with loops, as a compressed graph has it."""
    weights = torch.randint(0, 4, (count, count), generator=torch.Generator().manual_seed(seed)).double()
    weights = weights + weights.T
    root = weights.sum(dim=1).clamp(min=1e-300).rsqrt()
    return root[:, None] * weights * root


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "BLOCK", 5)


def sparse(dense: Tensor) -> Tensor:
    found = csr_matrix(dense.numpy())
    return sparse_csr(found.indptr, found.indices, found.data, dense.shape)


def views_of(loss: ContrastiveLoss, count: int, seed: int = 1) -> list[Tensor]:
    return [rows(count, seed + view) for view in range(loss.views)]


def evaluate(loss: ContrastiveLoss, views: list[Tensor], negatives: Tensor, edges: Tensor) -> Tensor:
    """The loss of a batch, of which it gets what it asks for."""
    return loss(views, negatives if loss.negatives else None, sparse(edges) if loss.needs_edges else None)


# -------------------------------------------------------------------------------------- definitions over dense matrices


def random_multigraph(negatives: Tensor) -> Tensor:
    counts = torch.zeros(len(negatives), len(negatives), dtype=torch.float64)
    for row, partners in enumerate(negatives.tolist()):
        for partner in partners:
            if partner != row:
                counts[row, partner] += 1
                counts[partner, row] += 1
    return counts


def dense_sce(loss: SCE, views: list[Tensor], negatives: Tensor, edges: Tensor) -> Tensor:
    (z,), adjacency = views, random_multigraph(negatives)
    return loss.alpha / torch.trace(z.T @ (adjacency.sum(dim=1).diag() - adjacency) @ z)


def dense_coles(loss: COLES, views: list[Tensor], negatives: Tensor, edges: Tensor) -> Tensor:
    (z,), adjacency = views, random_multigraph(negatives)
    root = adjacency.sum(dim=1).rsqrt()
    root[root.isinf()] = 0
    random = root[:, None] * adjacency * root
    return (loss.negative_weight * torch.trace(z.T @ random @ z) - torch.trace(z.T @ edges @ z)) / len(z)


def dense_cca(loss: CCASSG, views: list[Tensor], negatives: Tensor, edges: Tensor) -> Tensor:
    first, second = ((z - z.mean(dim=0)) / z.std(dim=0, unbiased=True) for z in views)
    identity = torch.eye(DIM, dtype=torch.float64)
    penalties = [((identity - z.T @ z / len(z)) ** 2).sum() for z in (first, second)]
    return -torch.trace(first.T @ second / len(first)) + loss.decorrelation * sum(penalties)


def dense_grace(loss: GRACE, views: list[Tensor], negatives: Tensor, edges: Tensor) -> Tensor:
    heads = [loss.head(z) for z in views]
    u, v = (h / h.norm(dim=1, keepdim=True) for h in heads)

    def theta(one: Tensor, other: Tensor) -> Tensor:
        return (one @ other.T / loss.temperature).exp()

    def side(one: Tensor, other: Tensor) -> Tensor:
        between, within = theta(one, other), theta(one, one)
        return -(between.diag() / (within.sum(dim=1) + between.sum(dim=1) - within.diag())).log()

    return ((side(u, v) + side(v, u)) / 2).mean()


DENSE: dict[type[ContrastiveLoss], Callable[..., Tensor]] = {
    SCE: dense_sce,
    COLES: dense_coles,
    CCASSG: dense_cca,
    GRACE: dense_grace,
}
SETTINGS: dict[type[ContrastiveLoss], dict[str, float]] = {
    SCE: {"alpha": 3.5},
    COLES: {"negative_weight": 0.3},
    CCASSG: {"decorrelation": 0.7},
    GRACE: {"temperature": 0.2},
}


@each
@pytest.mark.parametrize("changed", [False, True], ids=["defaults", "other settings"])
@pytest.mark.parametrize("count", [2, 5, 11, 13])
def test_value_and_gradient_equal_the_definition(kind: type[ContrastiveLoss], count: int, changed: bool) -> None:
    loss = make(kind, **(SETTINGS[kind] if changed else {}))
    views = [view.requires_grad_() for view in views_of(loss, count)]
    negatives, edges = draws(count, each_row=4), random_edges(count)
    found = evaluate(loss, views, negatives, edges)
    expected = DENSE[kind](loss, views, negatives, edges)
    assert found.shape == ()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    leaves = [*views, *loss.parameters()]
    for mine, other in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-7, atol=1e-10)


@each
def test_gradients_equal_finite_differences(kind: type[ContrastiveLoss]) -> None:
    loss = make(kind, **SETTINGS[kind])
    negatives, edges = draws(7), random_edges(7)

    def value(*views: Tensor) -> Tensor:
        return evaluate(loss, list(views), negatives, edges)

    assert torch.autograd.gradcheck(value, tuple(view.requires_grad_() for view in views_of(loss, 7)))


@each
@given(seed=st.integers(0, 999))
def test_the_order_of_the_rows_means_nothing(kind: type[ContrastiveLoss], seed: int) -> None:
    loss = make(kind)
    views, negatives, edges = views_of(loss, 9, seed), draws(9, seed), random_edges(9, seed)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    relabelled = order.argsort()[negatives][order]
    found = evaluate(loss, [view[order] for view in views], relabelled, edges[order][:, order])
    torch.testing.assert_close(found, evaluate(loss, views, negatives, edges), rtol=1e-9, atol=1e-12)


@each
def test_single_precision_stays_single_and_near_double(kind: type[ContrastiveLoss]) -> None:
    loss = make(kind)
    views, negatives, edges = views_of(loss, 40), draws(40), random_edges(40)
    expected = evaluate(loss, views, negatives, edges)
    single = [view.float().requires_grad_() for view in views]
    found = evaluate(loss.float(), single, negatives, edges.float())
    found.backward()
    assert found.dtype == torch.float32
    assert all(view.grad is not None and view.grad.dtype == torch.float32 for view in single)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


class Largest(TorchDispatchMode):
    """Watches the size of every dense tensor that is made; a sparse one counts by its values."""

    entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for part in made if isinstance(made, tuple | list) else [made]:
            if isinstance(part, Tensor) and part.layout == torch.strided:
                self.entries = max(self.entries, part.untyped_storage().size() // part.element_size())
        return made


@each
def test_no_tensor_is_of_all_pairs(kind: type[ContrastiveLoss]) -> None:
    count = 300
    loss = make(kind)
    views = [view.requires_grad_() for view in views_of(loss, count)]
    edges = sparse(torch.eye(count, dtype=torch.float64)) if loss.needs_edges else None
    with Largest() as largest:
        loss(views, draws(count) if loss.negatives else None, edges).backward()
    assert count * DIM <= largest.entries <= 2 * count * (DIM + 3)


# --------------------------------------------------------------------------------------------------------------- SCE


def test_the_trace_of_sce_is_the_sum_over_drawn_pairs() -> None:
    z, negatives = rows(8), draws(8)
    total = sum((z[row] - z[partner]).square().sum() for row in range(8) for partner in negatives[row])
    torch.testing.assert_close(make(SCE, alpha=1.0)([z], negatives), 1 / total)


def test_adding_a_constant_to_all_embeddings_changes_nothing_in_sce() -> None:
    loss, negatives = make(SCE).float(), draws(30)
    z = rows(30).float()
    near, far = z.clone().requires_grad_(), (z + 1000.0).requires_grad_()
    one, other = loss([near], negatives), loss([far], negatives)
    one.backward()
    other.backward()
    assert one.item() == pytest.approx(other.item(), rel=1e-3)  # float32 keeps 1000 + z to 6e-5
    torch.testing.assert_close(near.grad, far.grad, rtol=1e-2, atol=1e-3 * float(near.grad.abs().max()))


def test_a_bias_gets_no_gradient_from_sce() -> None:
    encoder = SGCEncoder(6, dim=DIM)
    encoder.initialize(torch.Generator().manual_seed(0))
    make(SCE)([encoder.double()(rows(20, dim=6))], draws(20)).backward()
    assert encoder.layer.bias.grad.abs().max() < 1e-12 * encoder.layer.weight.grad.abs().max()


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6], ids=str)
def test_constant_embeddings_are_refused_by_sce(value: float) -> None:
    with pytest.raises(GraphkitError) as error:
        SCE(dim=DIM)([torch.full((6, DIM), value)], draws(6))
    assert str(error.value) == (
        "the embeddings of the 6 rows of a batch are constant, and SCE divides by their distances; use features that "
        "differ between nodes, or a smaller optimizer.lr"
    )


# ------------------------------------------------------------------------------------------------------------- COLES


def test_coles_falls_where_neighbours_agree_and_random_pairs_differ() -> None:
    # 0 ─ 1 and 2 ─ 3 are edges; each row drew one of the other pair.
    edges = torch.zeros(4, 4, dtype=torch.float64)
    edges[[0, 1, 2, 3], [1, 0, 3, 2]] = 1.0
    negatives = torch.tensor([[2], [3], [0], [1]])
    apart = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]], dtype=torch.float64)
    loss = make(COLES, dim=1)
    # tr(ZᵀÃZ) = 4 and tr(ZᵀÃ⁻Z) = -4: (0.8 · -4 - 4) / 4
    assert loss([apart], negatives, sparse(edges)).item() == pytest.approx(-1.8)
    assert loss([apart.abs()], negatives, sparse(edges)).item() == pytest.approx(-0.2)


def test_a_row_that_drew_itself_alone_has_no_share_in_the_random_graph_of_coles() -> None:
    negatives = torch.tensor([[1, 1], [0, 0], [2, 2]])
    z = rows(3)
    changed = torch.cat([z[:2], 5 * z[2:]])
    none = sparse(torch.zeros(3, 3, dtype=torch.float64))
    torch.testing.assert_close(make(COLES)([z], negatives, none), make(COLES)([changed], negatives, none))


# ---------------------------------------------------------------------------------------------------- CCA-SSG, GRACE


@given(count=st.integers(2, 40), dim=st.integers(1, 6), seed=st.integers(0, 99))
def test_of_equal_views_the_agreement_of_cca_is_the_width_times_its_bias(count: int, dim: int, seed: int) -> None:
    z = rows(count, seed, dim=dim)
    assert make(CCASSG, dim=dim, decorrelation=0.0)([z, z]).item() == pytest.approx(-dim * (count - 1) / count)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6], ids=str)
@pytest.mark.parametrize("precision", [torch.float32, torch.float64], ids=str)
def test_a_constant_column_is_zero_to_cca_and_gets_no_gradient(value: float, precision: torch.dtype) -> None:
    z, other = rows(50).to(precision), rows(50, 2).to(precision)
    z[:, 1] = value
    z.requires_grad_()
    loss = make(CCASSG, decorrelation=0.5).to(precision)
    found = loss([z, other])
    found.backward()
    assert torch.isfinite(z.grad).all()
    assert not z.grad[:, 1].any()
    without = [0, 2, 3]
    first, second = z.detach()[:, without], other[:, without]
    # C₁ lacks the column (its part of I stays), C₂ has it.
    identity, rest = torch.eye(DIM, dtype=precision), (other - other.mean(dim=0)) / other.std(dim=0)
    expected = make(CCASSG, decorrelation=0.0).to(precision)([first, second])
    standard = (first - first.mean(dim=0)) / first.std(dim=0)
    expected = expected + 0.5 * (1 + (identity[:3, :3] - standard.T @ standard / 50).square().sum())
    expected = expected + 0.5 * (identity - rest.T @ rest / 50).square().sum()
    torch.testing.assert_close(found.detach(), expected, rtol=1e-5, atol=1e-6)


def test_of_equal_views_grace_depends_on_negatives_alone() -> None:
    loss, z = make(GRACE), rows(9)
    h = torch.nn.functional.normalize(loss.head(z))
    theta = (h @ h.T / loss.temperature).exp()
    others = theta.sum(dim=1) - theta.diag()
    own = torch.tensor(1 / loss.temperature, dtype=torch.float64)
    expected = ((own.exp() + 2 * others).log() - own).mean()
    torch.testing.assert_close(loss([z, z]), expected)


def test_the_head_of_grace_is_two_layers_with_an_elu() -> None:
    loss, z = make(GRACE), rows(5)
    first, first_bias, second, second_bias = loss.parameters()
    hidden = z @ first.T + first_bias
    hidden = torch.where(hidden > 0, hidden, hidden.exp() - 1)
    torch.testing.assert_close(loss.head(z), hidden @ second.T + second_bias)


def test_the_head_of_grace_is_made_of_the_generator_and_is_no_part_of_other_losses() -> None:
    one, same = (torch.cat([part.flatten() for part in make(GRACE).parameters()]) for _ in range(2))
    assert torch.equal(one, same)
    assert one.numel() == 2 * (DIM * DIM + DIM)
    assert 0.9 * DIM**-0.5 < one.abs().max() <= DIM**-0.5
    assert [len(list(make(kind).parameters())) for kind in KINDS] == [0, 0, 0, 4]


@pytest.mark.parametrize("temperature", [0.05, 100.0])
def test_grace_stays_finite_in_single_precision_at_any_temperature_and_for_rows_of_zeros(temperature: float) -> None:
    loss = make(GRACE, temperature=temperature).float()
    with torch.no_grad():
        for parameter in loss.parameters():
            if parameter.dim() == 1:
                parameter.zero_()
    z = torch.cat([torch.zeros(2, DIM), torch.ones(3, DIM), -torch.ones(3, DIM)]).requires_grad_()
    found = loss([z, z.flip(0)])
    found.backward()
    assert torch.isfinite(found)
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize(
    ("kind", "why"),
    [(CCASSG, "CCA-SSG takes the deviation of each column over them"), (GRACE, "GRACE compares each with the others")],
)
def test_a_batch_of_one_row_is_refused(kind: type[ContrastiveLoss], why: str) -> None:
    with pytest.raises(GraphkitError) as error:
        make(kind)([rows(1), rows(1, 2)])
    assert str(error.value) == (
        f"a batch has 1 row, and {why}: at least 2 are needed; take more clusters or a larger sampler.batch_size"
    )


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (SCE, {"alpha": 0.0}, "loss.alpha is 0.0, and a finite number above 0 is needed"),
        (SCE, {"negatives": 0}, "loss.negatives is 0, and at least 1 is needed"),
        (COLES, {"negatives": -1}, "loss.negatives is -1, and at least 1 is needed"),
        (COLES, {"negative_weight": -0.5}, "loss.negative_weight is -0.5, and a finite number of at least 0 is needed"),
        (CCASSG, {"decorrelation": -1.0}, "loss.decorrelation is -1.0, and a finite number of at least 0 is needed"),
        (GRACE, {"temperature": 0.01}, "loss.temperature is 0.01, and a finite number of at least 0.05 is needed"),
        (SCE, {"alpha": math.inf}, "loss.alpha is inf, and a finite number above 0 is needed"),
        (
            COLES,
            {"negative_weight": math.inf},
            "loss.negative_weight is inf, and a finite number of at least 0 is needed",
        ),
        (CCASSG, {"decorrelation": math.nan}, "loss.decorrelation is nan, and a finite number of at least 0 is needed"),
        (GRACE, {"temperature": math.inf}, "loss.temperature is inf, and a finite number of at least 0.05 is needed"),
    ],
)
def test_a_setting_out_of_range_is_refused(kind: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphkitError) as error:
        kind(dim=DIM, **settings)
    assert str(error.value) == message


def test_work_of_a_loss_grows_as_its_products_do() -> None:
    assert SCE(dim=8, negatives=5).flop(100) == 4 * 100 * 5 * 8
    assert CCASSG(dim=8).flop(100) == 8 * 100 * 8**2
    # the head's two layers over 200 rows, and half of 200 x 200 pairs in two passes
    assert GRACE(dim=8).flop(100) == 2 * (6 * 200 * 8 * 8) + 4 * 200**2 * 8


def test_one_pair_has_nothing_to_be_told_from() -> None:
    h = F.normalize(torch.randn(2, 4, generator=torch.Generator().manual_seed(0))).requires_grad_()
    loss = pairs.contrast(h, 0.5)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    loss.backward()
    torch.testing.assert_close(h.grad, torch.zeros(2, 4))
