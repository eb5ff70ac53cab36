"""Losses equal their formulas; what is masked has no share, and extreme logits stay finite."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphkit import GraphkitError
from graphkit.engine.kernels import PairDistance
from graphkit.losses import LogSigmoid, Loss, Softmax

LOSSES: dict[str, Loss] = {
    "softmax": Softmax(),
    "logsigmoid": LogSigmoid(),
    "self-adversarial": LogSigmoid(adversarial_temperature=0.7),
}
each = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
# Weights that follow the logits without gradient make no function to differentiate, nor a monotonic one.
each_of_fixed_weights = pytest.mark.parametrize("loss", [Softmax(), LogSigmoid()], ids=["softmax", "logsigmoid"])
#: Entities that the negatives stand for, the same for every query.
POPULATION = torch.tensor([50.0], dtype=torch.float64)


def logits(*shape: int, seed: int = 0, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def masks(rows: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(rows, width, generator=torch.Generator().manual_seed(seed)) < 0.6


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


# ---------------------------------------------------------------------------------------------------------- formulas


def test_softmax_over_all_entities_is_minus_the_log_of_the_answers_share() -> None:
    scores, positives = logits(4, 7), torch.tensor([0, 6, 3, 3])
    found = Softmax().all_entities(scores, positives)
    for row in range(4):
        total = sum(math.exp(value) for value in scores[row].tolist())
        expected = -math.log(math.exp(scores[row, positives[row]].item()) / total)
        assert found[row].item() == pytest.approx(expected, rel=1e-12)


def test_softmax_ignores_a_constant() -> None:
    scores, positives = logits(4, 7), torch.tensor([0, 6, 3, 3])
    moved = Softmax().all_entities(scores + 1234.5, positives)
    torch.testing.assert_close(moved, Softmax().all_entities(scores, positives), rtol=1e-10, atol=1e-10)


def test_softmax_against_all_non_answers_is_the_full_one_up_to_the_stated_correction() -> None:
    # 3 entities: the answer at 0, and both others as negatives that stand for a population of 2: no correction.
    scores = logits(5, 3)
    full = Softmax().all_entities(scores, torch.zeros(5, dtype=torch.int64))
    exact = Softmax().sampled(scores[:, 0], scores[:, 1:], torch.ones(5, 2, dtype=torch.bool), torch.tensor([2.0]))
    torch.testing.assert_close(exact, full, rtol=1e-6, atol=1e-6)
    # A population of 50: each of the two counts 25 times.
    found = Softmax().sampled(scores[:, 0], scores[:, 1:], torch.ones(5, 2, dtype=torch.bool), POPULATION)
    weighted = scores[:, 0].exp() + 25 * scores[:, 1:].exp().sum(dim=1)
    torch.testing.assert_close(found, weighted.log() - scores[:, 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("counted", [[2], [0, 2], [0, 1, 2, 3]], ids=len)
def test_softmax_corrects_by_the_negatives_that_count(counted: list[int]) -> None:
    positive, negative = logits(1), logits(1, 4, seed=1)
    mask = torch.tensor([[k in counted for k in range(4)]])
    found = Softmax().sampled(positive, negative, mask, POPULATION)
    total = positive.exp() + POPULATION / len(counted) * negative[0, counted].exp().sum()
    torch.testing.assert_close(found, total.log() - positive, rtol=1e-6, atol=1e-6)


def test_sampled_softmax_estimates_the_full_one() -> None:
    scores = logits(1, 2000)
    positive = torch.tensor([3])
    full = Softmax().all_entities(scores, positive).item()
    drawn = torch.randint(2000, (1, 20_000), generator=torch.Generator().manual_seed(2))
    keep = drawn != 3
    estimate = Softmax().sampled(scores[:, 3], scores.gather(1, drawn), keep, torch.tensor([1999.0])).item()
    assert estimate == pytest.approx(full, abs=0.05)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
def test_log_sigmoid_equals_its_formula(temperature: float) -> None:
    positive, negative, mask = logits(6), logits(6, 5, seed=1), masks(6, 5)
    found = LogSigmoid(adversarial_temperature=temperature).sampled(positive, negative, mask, POPULATION)
    for row in range(6):
        kept = [value for value, counts in zip(negative[row].tolist(), mask[row].tolist(), strict=True) if counts]
        assert kept
        total = sum(math.exp(temperature * value) for value in kept)
        weights = [math.exp(temperature * value) / total for value in kept]
        term = -sum(weight * log_sigmoid(-value) for weight, value in zip(weights, kept, strict=True))
        expected = (-log_sigmoid(positive[row].item()) + term) / 2
        assert found[row].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 2.0])
def test_the_gradient_of_log_sigmoid_does_not_flow_through_the_weights(temperature: float) -> None:
    positive, negative = logits(6).requires_grad_(), logits(6, 5, seed=1).requires_grad_()
    mask = masks(6, 5)
    LogSigmoid(adversarial_temperature=temperature).sampled(positive, negative, mask, POPULATION).sum().backward()
    weights = (temperature * negative.detach()).masked_fill(~mask, -math.inf).softmax(dim=1)
    torch.testing.assert_close(positive.grad, -torch.sigmoid(-positive.detach()) / 2)
    torch.testing.assert_close(negative.grad, weights * torch.sigmoid(negative.detach()) / 2)


@each_of_fixed_weights
def test_gradients_equal_finite_differences(loss: Loss) -> None:
    mask = masks(3, 4)
    mask[0] = False

    def value(positive: Tensor, negative: Tensor) -> Tensor:
        return loss.sampled(positive, negative, mask, POPULATION)

    assert torch.autograd.gradcheck(value, (logits(3).requires_grad_(), logits(3, 4, seed=1).requires_grad_()))


# -------------------------------------------------------------------------------------------------------------- masks


@each
def test_a_masked_negative_has_no_gradient_and_no_influence(loss: Loss) -> None:
    positive, negative, mask = logits(6), logits(6, 5, seed=1), masks(6, 5)
    leaf = negative.clone().requires_grad_()
    before = loss.sampled(positive, leaf, mask, POPULATION)
    before.sum().backward()
    assert not leaf.grad[~mask].any()
    assert leaf.grad[mask].all()
    for other in (-1e4, 0.0, 1e4, math.inf):
        changed = negative.masked_fill(~mask, other)
        assert torch.equal(loss.sampled(positive, changed, mask, POPULATION), before.detach())


@each
def test_removing_masked_negatives_changes_nothing(loss: Loss) -> None:
    positive, negative = logits(2), logits(2, 6, seed=1)
    mask = torch.tensor([[True, False, True, True, False, False]]).expand(2, 6)
    kept = loss.sampled(positive, negative[:, [0, 2, 3]], torch.ones(2, 3, dtype=torch.bool), POPULATION)
    torch.testing.assert_close(loss.sampled(positive, negative, mask, POPULATION), kept, rtol=1e-12, atol=1e-12)


@each
def test_a_row_that_is_all_masked_keeps_its_positive_term_only(loss: Loss) -> None:
    positive, negative = logits(2).requires_grad_(), logits(2, 4, seed=1).requires_grad_()
    mask = torch.tensor([[False] * 4, [True] * 4])
    found = loss.sampled(positive, negative, mask, POPULATION)
    found.sum().backward()
    # The softmax over the answer alone is 1; of the log-sigmoid loss the half for the answer is left.
    expected = 0.0 if isinstance(loss, Softmax) else -log_sigmoid(positive[0].item()) / 2
    assert found[0].item() == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert torch.isfinite(found).all()
    assert torch.isfinite(positive.grad).all()
    assert torch.isfinite(negative.grad).all()
    assert not negative.grad[0].any()
    alone = loss.sampled(positive.detach()[1:], negative.detach()[1:], mask[1:], POPULATION)
    torch.testing.assert_close(found.detach()[1:], alone, rtol=1e-12, atol=1e-12)


# --------------------------------------------------------------------------------------------------------------- laws


@each
@given(order=st.permutations(range(5)))
def test_the_order_of_the_negatives_means_nothing(loss: Loss, order: list[int]) -> None:
    positive, negative, mask = logits(6), logits(6, 5, seed=1), masks(6, 5)
    turned = loss.sampled(positive, negative[:, order], mask[:, order], POPULATION)
    torch.testing.assert_close(turned, loss.sampled(positive, negative, mask, POPULATION), rtol=1e-12, atol=1e-12)


extreme = st.sampled_from([-1e4, -100.0, 0.0, 100.0, 1e4])


@each
@given(answer=extreme, others=st.lists(extreme, min_size=1, max_size=4))
def test_extreme_logits_stay_finite_in_single_precision(loss: Loss, answer: float, others: list[float]) -> None:
    positive, negative = torch.tensor([answer], requires_grad=True), torch.tensor([others], requires_grad=True)
    found = loss.sampled(positive, negative, torch.ones(1, len(others), dtype=torch.bool), POPULATION)
    found.sum().backward()
    for tensor in (found, positive.grad, negative.grad):
        assert torch.isfinite(tensor).all()
    assert found.item() >= 0


@given(scores=st.lists(extreme, min_size=2, max_size=6))
def test_extreme_logits_of_all_entities_stay_finite(scores: list[float]) -> None:
    leaf = torch.tensor([scores], requires_grad=True)
    found = Softmax().all_entities(leaf, torch.tensor([1]))
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(leaf.grad).all()


@each_of_fixed_weights
def test_a_better_answer_and_worse_negatives_lower_the_loss(loss: Loss) -> None:
    positive, negative, mask = logits(6), logits(6, 5, seed=1), masks(6, 5)
    before = loss.sampled(positive, negative, mask, POPULATION)
    assert (loss.sampled(positive + 1, negative, mask, POPULATION) < before).all()
    assert (loss.sampled(positive, negative - 1, mask, POPULATION) < before).all()


# -------------------------------------------------------------------------------------------------- shared negatives


class OfSizes(LogSigmoid):
    """A loss of its own: the sum of all logits."""

    def sampled(self, positive: Tensor, negative: Tensor, mask: Tensor, population: Tensor) -> Tensor:
        return positive + (negative * mask).sum(dim=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", [*LOSSES.values(), OfSizes()], ids=[*LOSSES, "a subclass"])
def test_the_loss_of_shared_distances_is_that_of_their_logits(loss: Loss, dtype: torch.dtype) -> None:
    queries, answers, negatives = (logits(n, 5, seed=n).to(dtype) for n in (6, 6, 4))
    distance, mask = PairDistance("l1", 9.0), masks(6, 4)
    found = loss.shared_distances(distance, queries, answers, negatives, mask, POPULATION)
    positive = 9 - (queries - answers).abs().sum(dim=1)
    negative = 9 - (queries.unsqueeze(1) - negatives).abs().sum(dim=2)
    expected = loss.sampled(positive, negative, mask, POPULATION)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, check_dtype=False)
    halves = loss.shared_distances(distance, queries, answers, negatives, mask[:, :2], POPULATION, chunks=2)
    apart = torch.cat([negative[:3, :2], negative[3:, 2:]])
    expected = loss.sampled(positive, apart, mask[:, :2], POPULATION)
    torch.testing.assert_close(halves, expected, rtol=1e-5, atol=1e-5, check_dtype=False)


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("temperature", [-0.5, math.nan])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(GraphkitError) as error:
        LogSigmoid(adversarial_temperature=temperature)
    expected = f"loss.adversarial_temperature is {temperature}, and 0 (equal weights) or more is needed"
    assert str(error.value) == expected


def test_log_sigmoid_over_all_entities_is_refused() -> None:
    assert not LogSigmoid().full
    assert Softmax().full
    with pytest.raises(NotImplementedError, match="LogSigmoid is defined against negatives only"):
        LogSigmoid().all_entities(logits(2, 3), torch.tensor([0, 1]))
