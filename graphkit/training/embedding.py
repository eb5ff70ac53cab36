"""What the tasks of query embeddings share: sampled queries, trained from host-resident tables."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from graphkit.engine import CPU, Adagrad, EmbeddingTable, Engine, GatheredBatch, RowOptimizer, TakenRows
from graphkit.engine.kernels import log_softmax
from graphkit.engine.memory import keep_freed
from graphkit.engine.timeline import span
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.losses import Loss, Softmax
from graphkit.models import Asked, Embedded, Model
from graphkit.queries import ONE_HOP
from graphkit.samplers import QueryBatch, QuerySampler, SamplerOptions
from graphkit.training.single_hops import are_by_hand, gradients_by_hand

Precision = Literal["fp32", "bf16"]
Weighting = Literal["none", "answers"]


@dataclass(frozen=True)
class _Compared:
    """What the queries of a batch are compared with."""

    #: float32[C, ·], see `Model.candidates`: those of answers and, apart from them, of negatives that are shared
    candidates: tuple[Tensor, ...]
    #: int64[B], places of the answers
    positives: Tensor
    #: int64[B, K], places of own negatives; None where they are shared, or all entities
    negatives: Tensor | None


class EmbeddingTask(ABC):
    """Trains a model on queries that a sampler draws; implements `Task` but for what a subclass evaluates.

    Args:
        graph: the graph.
        model: the model.
        table: entity rows to go on from; by default rows and parameters are drawn afresh from `seed`.
        sampler: the stream of batches; by default one without negatives, for a loss over all entities.
        loss: the loss, by default `Softmax`; with a sampler that draws no negatives it is taken over all entities.
        optimizer: for the rows of a fresh table and the model's parameters, by default `Adagrad`.
        seed: of fresh values.
        n3: weight λ of the nuclear 3-norm (Lacroix et al., ICML 2018): λ/B Σ |x|³ over the anchors, relations and
            answers of the batch; by default the model's own (`Model.default_n3`).
        weighting: "none", or "answers": queries weigh (4 + answers)^-1/2 (Ren and Leskovec, NeurIPS 2020).
        precision: of the matrix products of queries with candidates that they share, in training: "fp32", or "bf16"
            (factors and logits are rounded, sums are accumulated in fp32; the logit of a sampled batch's answer is
            fp32). Weights, losses and evaluation are fp32, and so are scores of own negatives and scores that are no
            plain product, such as GQE's distances.
        layer_precision: of the products in the model's linear layers, in training: "fp32", or "bf16" (factors and
            results are rounded, sums are accumulated in fp32).
        engine: where steps are computed, by default on the CPU. With a device, `model` and `table` are brought up to
            date when the task is saved, evaluated or closed.

    Raises:
        GraphkitError: an option is out of range, loss and sampler do not go together, or the model cannot embed a
            structure that the sampler draws.
    """

    def __init__(
        self,
        graph: KnowledgeGraph,
        model: Model,
        *,
        table: EmbeddingTable | None = None,
        sampler: QuerySampler | None = None,
        loss: Loss | None = None,
        optimizer: RowOptimizer | None = None,
        seed: int = 0,
        n3: float | None = None,
        weighting: Weighting = "none",
        precision: Precision = "fp32",
        layer_precision: Precision = "fp32",
        engine: Engine | None = None,
    ) -> None:
        n3 = model.default_n3 if n3 is None else n3
        if not n3 >= 0:
            raise GraphkitError(f"task.n3 is {n3}, and 0 (no penalty) or more is needed")
        if weighting not in ("none", "answers"):
            raise GraphkitError(f"task.weighting is {weighting!r}, and none or answers is needed")
        for name, chosen in (("precision", precision), ("layer_precision", layer_precision)):
            if chosen not in get_args(Precision):
                raise GraphkitError(f"task.{name} is {chosen!r}, and fp32 or bf16 is needed")
        loss, optimizer = loss or Softmax(), optimizer or Adagrad()
        sampler = sampler or QuerySampler(graph, SamplerOptions(batch_size=256, mode="none", negatives=0, seed=seed))
        for structure in sampler.options.parsed:
            model.require(structure)
        self.full = sampler.options.mode == "none"
        several = [structure.name for structure in sampler.options.parsed if structure != ONE_HOP]
        if self.full and several:
            raise GraphkitError(
                "the sampler's mode none takes the loss over all entities, where the other answers of a query count as "
                f"wrong, and queries of the structure {several[0]} may have many; choose sampler=shared"
            )
        if self.full and not loss.full:
            raise GraphkitError(
                f"the loss {type(loss).__name__} needs negatives and the sampler draws none; choose sampler=own, "
                "sampler=shared or loss=softmax"
            )
        if loss.uniform_negatives and sampler.options.corruption != "uniform":
            raise GraphkitError(
                f"the loss {type(loss).__name__} takes negatives for a uniform sample of all entities, and the sampler "
                f"draws them with corruption={sampler.options.corruption}; choose loss=logsigmoid or "
                "sampler.corruption=uniform"
            )
        if table is None:
            generator = torch.Generator().manual_seed(seed)
            model.initialize(generator)
            table = EmbeddingTable(model.initial_rows(graph.num_entities, generator), optimizer)
        self.graph, self.model, self.table, self.sampler, self.loss = graph, model, table, sampler, loss
        self.engine = engine or CPU()
        #: the model that steps are computed with; on the CPU it is `model` itself
        self._placed = cast(Model, self.engine.place(model))
        with self.engine.computing():
            self.dense = optimizer.dense(self._placed.parameters(), share=model.dense_lr_share)
        self.n3 = n3
        self.weighting = weighting
        self.precision = precision
        self.layer_precision = layer_precision
        self._trained = 0

    def batches(self) -> Iterator[GatheredBatch]:
        """Returns batches with their rows, from the batch after the last trained one.

        Those that were returned before end with this, as with `load_state_dict` and `close`.
        """
        keep_freed()
        self.engine.stop()  # it reads the sampler on a thread of its own
        self.sampler.load_state_dict({"position": self._trained})
        return self.engine.feed(self.sampler, self.table, all_rows=self.full, degrees=self._degrees)

    def step(self, batch: GatheredBatch) -> dict[str, float]:
        """Trains on one batch: scores, loss, gradients, and the update of the rows it touched."""
        with span("compute"):
            with self.engine.computing():
                losses, gradient = self._backward(batch)
            loss, gradient = self.engine.collect(batch, losses, gradient)
        if math.isfinite(loss):  # else nothing is updated, and the trainer stops
            with span("update"):
                self._update(batch, gradient)
        self.dense.zero_grad()
        self._trained = batch.number + 1
        return {"loss": loss, "samples": batch.batch.size}

    def _update(self, batch: GatheredBatch, gradient: Tensor) -> None:
        try:
            self.engine.update(self.table, batch, gradient)
        except GraphkitError as error:
            raise GraphkitError(f"batch {batch.number} (seed {self.sampler.options.seed}): {error}") from error
        with self.engine.computing():
            self.dense.step()

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """See `Task.validate`."""

    @abstractmethod
    def measure(self) -> dict[str, Any]:
        """See `Task.measure`."""

    def state_dict(self) -> dict[str, Any]:
        """Returns weights, optimiser state and the position in the stream."""
        self.engine.write_back()
        dense = self.engine.to_host(self.dense.state_dict()["state"])
        return {
            "weights": {"entities": self.table.weight, "model": dict(self.model.state_dict())},
            "optimizer": {"entities": self.table.state_dict(), "model": {str(key): dense[key] for key in dense}},
            "sampler": {"position": self._trained},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned; batches that are under way end."""
        self.engine.stop(discard=True)
        self.table.load_state_dict(state["weights"]["entities"], state["optimizer"]["entities"])
        self.model.load_state_dict(state["weights"]["model"])
        self.engine.reload()
        dense = {int(key): self.engine.to_device(value) for key, value in state["optimizer"]["model"].items()}
        self.dense.load_state_dict({**self.dense.state_dict(), "state": dense})
        self._trained = state["sampler"]["position"]

    def close(self) -> None:
        """Brings model and table up to date and stops the threads of the engine and the sampler."""
        try:
            self.engine.close()
        finally:
            self.sampler.close()

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Puts the model into evaluation mode while the block runs."""
        self.engine.write_back()
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()

    def _degrees(self) -> Tensor:
        return torch.from_numpy(self.graph.degree(np.arange(self.graph.num_entities)))

    def _backward(self, batch: GatheredBatch) -> tuple[list[Tensor], Tensor]:
        """Adds the gradients to the model's parameters; returns the parts of the loss and the gradient of the rows."""
        plain = type(self._placed).encode is Model.encode
        if plain and self.n3 == 0 and are_by_hand(self._placed, self.loss, batch):
            found = gradients_by_hand(self._placed, self.loss, batch, self._weights(batch.batch))
            if found is not None:
                return [found[0]], found[1]
        rows = batch.rows.detach().requires_grad_(not plain)
        encoded = self._placed.encode(rows)
        entities = TakenRows(encoded.detach())
        anchors = entities.take(Asked.by_columns(batch.anchors))
        asked = [Asked(segment.structure, None, segment.relations) for segment in batch.batch.segments]
        with _rounding(self.layer_precision, rows.device):
            queries = self._placed.embed_all(asked, anchors)
        compared = self._compared(batch, entities)
        if self.n3 > 0:
            torch.autograd.backward(self._penalty(batch, entities, anchors))
        losses = self._backward_scores(batch.batch, queries, compared)
        gradient = entities.gradient()
        if not plain:
            torch.autograd.backward(encoded, gradient)
            assert rows.grad is not None  # encoded depends on it
            gradient = rows.grad
        return losses, gradient

    def _backward_scores(self, batch: QueryBatch, queries: Embedded, compared: _Compared) -> list[Tensor]:
        """Adds the gradients of the loss; returns what adds up to the loss."""
        weights = self._weights(batch)
        if not self.full or self._placed.dot_product:  # of dot products, the loss takes chunks of entities by itself
            if batch.shared:
                losses = self._score_shared(batch, queries, compared)
            else:
                losses = self._score(batch, queries, compared.candidates, compared, slice(0, batch.size))
            loss = (weights * losses).sum()
            torch.autograd.backward(loss)
            return [loss]
        # Scores are differentiated chunk by chunk, down to leaves in their place, so that logits over all entities are
        # never held for the whole batch.
        vectors, *candidates = (x.detach().requires_grad_() for x in (queries.vectors, *compared.candidates))
        leaves = Embedded(vectors, queries.owners, queries.size)
        step = max(1, log_softmax.LOGITS_AT_ONCE // len(candidates[0]))
        parts = []
        for start in range(0, batch.size, step):
            lanes = slice(start, min(start + step, batch.size))
            loss = (weights[lanes] * self._score(batch, leaves, candidates, compared, lanes)).sum()
            torch.autograd.backward(loss)
            parts.append(loss.detach())
        torch.autograd.backward([queries.vectors, *compared.candidates], [x.grad for x in (vectors, *candidates)])
        return parts

    def _penalty(self, batch: GatheredBatch, entities: TakenRows, anchors: Tensor) -> Tensor:
        """Returns the N3 penalty of anchors, relations and answers."""
        relations = torch.cat([segment.relations.flatten() for segment in batch.batch.segments])
        parts = [anchors, self._placed.relation_parameters(relations), entities.take(batch.positives)]
        cubes = torch.stack([self._placed.squared_moduli(part).pow(1.5).sum() for part in parts])
        return self.n3 / batch.batch.size * cubes.sum()

    def _compared(self, batch: GatheredBatch, entities: TakenRows) -> _Compared:
        """Returns what queries are compared with."""
        if not batch.batch.shared:  # all entities, or own negatives, which are most of the rows
            return _Compared((self._placed.candidates(entities.all()),), batch.positives, batch.negatives)
        assert batch.negatives is not None  # they are shared
        taken = (self._placed.candidates(entities.take(places)) for places in (batch.positives, batch.negatives))
        return _Compared(tuple(taken), torch.arange(batch.batch.size, device=batch.rows.device), None)

    def _score(
        self, batch: QueryBatch, queries: Embedded, candidates: Sequence[Tensor], compared: _Compared, lanes: slice
    ) -> Tensor:
        """Returns float[n]: the losses of some lanes against own negatives or all entities.

        Candidates stand in place of those of `compared`.
        """
        queries, positives = queries.select(lanes.start, lanes.stop), compared.positives[lanes].unsqueeze(1)
        if self.full:
            if self._placed.dot_product:  # of one vector a query: losses over all entities are of single hops
                return self.loss.all_products(
                    queries.vectors, candidates[0], positives.squeeze(1), rounded=self.precision == "bf16"
                )
            with _rounding(self.precision, queries.vectors.device):
                logits = self._placed.logits(queries, candidates[0])
            return self.loss.all_entities(logits.float(), positives.squeeze(1))
        assert compared.negatives is not None and batch.mask is not None  # they are own
        # Together, so that each row is read, and gets its gradient, once.
        own = self._placed.logits(queries, candidates[0], torch.cat([positives, compared.negatives[lanes]], dim=1))
        return self.loss.sampled(own[:, 0], own[:, 1:].float(), batch.mask[lanes], self._population(batch, lanes))

    def _score_shared(self, batch: QueryBatch, queries: Embedded, compared: _Compared) -> Tensor:
        """Returns float[B]: the losses of all queries, each against the negatives of its chunk."""
        assert batch.mask is not None  # it comes with the negatives
        answers, negatives = compared.candidates
        population = self._population(batch, slice(0, batch.size))
        if queries.owners is None and (distance := self._placed.pair_distance()) is not None:
            return self.loss.shared_distances(
                distance, queries.vectors, answers, negatives, batch.mask, population, chunks=batch.chunks
            )
        # One error in an answer's logit is an error in the whole loss of its query; a negative is one of many.
        positive = self._placed.logits(queries, answers, compared.positives.unsqueeze(1)).squeeze(1)
        sizes = [lanes.stop - lanes.start for lanes in batch.chunk_lanes]
        parts = zip(queries.split(sizes), negatives.chunk(batch.chunks), strict=True)
        with _rounding(self.precision, answers.device):
            logits = [self._placed.logits(some, others) for some, others in parts]
        negative = logits[0] if batch.chunks == 1 else torch.cat(logits)
        return self.loss.sampled(positive, negative.float(), batch.mask, population)

    def _population(self, batch: QueryBatch, lanes: slice) -> Tensor:
        """Returns float[n]: how many entities are no answer."""
        return (len(self.table) - batch.answer_counts[lanes]).float()

    def _weights(self, batch: QueryBatch) -> Tensor:
        """Returns float[B] weights of the queries that sum to 1."""
        if self.weighting == "none":
            return torch.full((batch.size,), 1 / batch.size, device=batch.positives.device)
        weights = (4 + batch.answer_counts).float().rsqrt()
        return weights / weights.sum()


def _rounding(precision: Precision, device: torch.device) -> torch.autocast:
    """Within it, factors and results of matrix products are rounded as `precision` says."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
