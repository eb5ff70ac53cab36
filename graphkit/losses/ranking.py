"""Losses over the logits of answers and of entities that are none.

Negatives that are masked out are removed: they have no share in a softmax or a mean, and no gradient. A query whose
negatives are all masked keeps its positive term only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from graphkit.engine.kernels import (
    PairDistance,
    PlacedRows,
    chunk_scores,
    cross_entropy,
    log_sigmoid_gradients,
    log_sigmoid_losses,
    log_sum_terms,
    softplus_terms,
)
from graphkit.errors import GraphkitError


class Loss(ABC):
    """What a trainer needs of a loss; both methods return the loss of each query, to be averaged with weights."""

    #: whether the loss can be taken over every entity, without sampling
    full: ClassVar[bool] = False
    #: whether sampled negatives must be drawn uniformly, since they stand for all entities that are no answer
    uniform_negatives: ClassVar[bool] = False

    @abstractmethod
    def sampled(self, positive: Tensor, negative: Tensor, mask: Tensor, population: Tensor) -> Tensor:
        """The loss against sampled negatives.

        Args:
            positive: float[B], logit of the answer.
            negative: float[B, K], logits of negatives.
            mask: bool[B, K], True where a negative counts.
            population: float[B], number of entities that the counted negatives of a query stand for.

        Returns:
            float[B].
        """

    def shared_distances(
        self,
        distance: PairDistance,
        queries: Tensor,
        answers: Tensor,
        negatives: Tensor,
        mask: Tensor,
        population: Tensor,
        *,
        chunks: int = 1,
    ) -> Tensor:
        """The loss against negatives that queries share, where logits are a constant minus a distance.

        Args:
            distance: what logits are.
            queries: float32[B, W].
            answers: float32[B, D], one of each query.
            negatives: float32[C K, D], those of the queries of each chunk, chunk after chunk.
            mask: see `sampled`.
            population: see `sampled`.
            chunks: C; query b is of chunk b C // B.

        Returns:
            float[B].
        """
        own = torch.arange(len(queries), device=queries.device).unsqueeze(1)
        positive = distance.scores(queries, answers, own).squeeze(1)
        return self.sampled(positive, chunk_scores(distance, queries, negatives, chunks), mask, population)

    @property
    def differentiates_shared(self) -> bool:
        """Whether there are `shared_gradients`, which say what autograd would of `shared_distances`."""
        return False

    def shared_gradients(
        self,
        distance: PairDistance,
        queries: Tensor,
        answers: PlacedRows,
        negatives: Tensor,
        mask: Tensor,
        weights: Tensor,
        *,
        chunks: int = 1,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The loss of `shared_distances`, and its gradients, without autograd.

        Args:
            distance: as there.
            queries: as there, in host memory, as is all else.
            answers: one of each query.
            negatives: as there.
            mask: as there.
            weights: float32[B], by which losses are added up.
            chunks: as there.

        Returns:
            float32[B]; gradients of the weighted sum with respect to queries, answers and negatives, bit for bit those
            of autograd.
        """
        raise NotImplementedError(f"{type(self).__name__} leaves gradients to autograd")

    def all_entities(self, logits: Tensor, positives: Tensor) -> Tensor:
        """The loss over all entities, where `full` says that there is one.

        Args:
            logits: float[B, N].
            positives: int64[B], the answer's column.

        Returns:
            float[B].
        """
        raise NotImplementedError(f"{type(self).__name__} is defined against negatives only")

    def all_products(self, queries: Tensor, rows: Tensor, positives: Tensor, *, rounded: bool) -> Tensor:
        """The loss over all entities, where logits are dot products.

        Args:
            queries: float32[B, D].
            rows: float32[N, D].
            positives: int64[B], the answer's row.
            rounded: take the products of factors that are rounded to bfloat16.

        Returns:
            float[B].
        """
        with torch.autocast(queries.device.type, dtype=torch.bfloat16, enabled=rounded):
            logits = queries @ rows.T
        return self.all_entities(logits.float(), positives)


class Softmax(Loss):
    """Cross entropy of the answer among the candidates (1-vs-all; Lacroix et al., ICML 2018).

    Over a sample, each negative stands for population / sample-size entities: the logits get the log of that ratio
    added (importance correction), so that the sampled loss estimates the cross entropy of the answer among itself and
    all entities that are no answer.
    """

    full = True
    uniform_negatives = True

    def all_entities(self, logits: Tensor, positives: Tensor) -> Tensor:
        """Cross entropy over all entities; see `Loss.all_entities`."""
        return F.cross_entropy(logits, positives, reduction="none")

    def all_products(self, queries: Tensor, rows: Tensor, positives: Tensor, *, rounded: bool) -> Tensor:
        """Cross entropy over all entities, in chunks of logits; see `Loss.all_products`."""
        return cross_entropy(queries, rows, positives, rounded=rounded)

    def sampled(self, positive: Tensor, negative: Tensor, mask: Tensor, population: Tensor) -> Tensor:
        """Cross entropy over the answer and the sampled negatives; see `Loss.sampled`."""
        counted = mask.sum(dim=1).clamp(min=1)
        corrected = log_sum_terms(negative, mask) + (population / counted).log()
        return torch.logaddexp(positive, corrected) - positive


class LogSigmoid(Loss):
    """Log-sigmoid of answers and negated negatives, halved (Sun et al., ICLR 2019, eq. 5 and 6).

    Args:
        adversarial_temperature: T; negatives are weighted by the softmax of T times their logit, without gradient
            through the weights. 0 weights them equally.

    Raises:
        GraphkitError: the temperature is negative.
    """

    def __init__(self, *, adversarial_temperature: float = 0.0) -> None:
        if not adversarial_temperature >= 0:
            raise GraphkitError(
                f"loss.adversarial_temperature is {adversarial_temperature}, and 0 (equal weights) or more is needed"
            )
        self.adversarial_temperature = adversarial_temperature

    def sampled(self, positive: Tensor, negative: Tensor, mask: Tensor, population: Tensor) -> Tensor:
        """Mean of the positive and the negative term; see `Loss.sampled`."""
        terms = softplus_terms(negative, mask, sharpness=self.adversarial_temperature)
        return (F.softplus(-positive) + terms) / 2

    def shared_distances(
        self,
        distance: PairDistance,
        queries: Tensor,
        answers: Tensor,
        negatives: Tensor,
        mask: Tensor,
        population: Tensor,
        *,
        chunks: int = 1,
    ) -> Tensor:
        """The loss against shared negatives, one operation, unless `sampled` is a subclass's; see the base class."""
        if type(self).sampled is not LogSigmoid.sampled:
            return super().shared_distances(distance, queries, answers, negatives, mask, population, chunks=chunks)
        sharpness = self.adversarial_temperature
        return log_sigmoid_losses(distance, queries, answers, negatives, mask, sharpness=sharpness, chunks=chunks)

    @property
    def differentiates_shared(self) -> bool:
        """Whether the loss is not that of a subclass."""
        return (type(self).sampled, type(self).shared_distances) == (LogSigmoid.sampled, LogSigmoid.shared_distances)

    def shared_gradients(
        self,
        distance: PairDistance,
        queries: Tensor,
        answers: PlacedRows,
        negatives: Tensor,
        mask: Tensor,
        weights: Tensor,
        *,
        chunks: int = 1,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The loss against shared negatives, and its gradients, one operation each; see the base class."""
        return log_sigmoid_gradients(
            distance,
            queries,
            answers,
            negatives,
            mask,
            weights,
            sharpness=self.adversarial_temperature,
            chunks=chunks,
        )
