"""What the tasks of query embeddings share: sampled queries, trained from host-resident tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from graphkit.engine import Adagrad, EmbeddingTable, GatheredBatch, RowOptimizer, RowPrefetcher
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.losses import Loss, Softmax
from graphkit.models import Embedded, Model
from graphkit.queries import ONE_HOP
from graphkit.samplers import QueryBatch, QuerySampler, SamplerOptions

#: Logits that are held at once by a loss over all entities.
_LOGITS_AT_ONCE = 2**26

Precision = Literal["fp32", "bf16"]
Weighting = Literal["none", "answers"]


@dataclass(frozen=True)
class _Places:
    """Where the entities of a batch stand among the candidates."""

    #: int64[B]
    positives: Tensor
    #: int64[K] or [B, K], in the sampler's order; None where the loss is over all entities
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
        precision: of the matrix products of scores in training: "fp32", or "bf16" (factors and logits are rounded,
            sums are accumulated in fp32; the logit of a sampled batch's answer is fp32). Weights, losses and evaluation
            are fp32, and so are scores that are no plain product, such as GQE's distances.

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
    ) -> None:
        n3 = model.default_n3 if n3 is None else n3
        if not n3 >= 0:
            raise GraphkitError(f"task.n3 is {n3}, and 0 (no penalty) or more is needed")
        if weighting not in ("none", "answers"):
            raise GraphkitError(f"task.weighting is {weighting!r}, and none or answers is needed")
        if precision not in ("fp32", "bf16"):
            raise GraphkitError(f"task.precision is {precision!r}, and fp32 or bf16 is needed")
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
        if table is None:
            generator = torch.Generator().manual_seed(seed)
            model.initialize(generator)
            table = EmbeddingTable(model.initial_rows(graph.num_entities, generator), optimizer)
        self.graph, self.model, self.table, self.sampler, self.loss = graph, model, table, sampler, loss
        self.dense = optimizer.dense(model.parameters(), share=model.dense_lr_share)
        self.n3 = n3
        self.weighting = weighting
        self.precision = precision
        self._trained = 0
        self._feed: RowPrefetcher | None = None

    def batches(self) -> Iterator[GatheredBatch]:
        """Returns batches with their rows, from the batch after the last trained one."""
        self.sampler.load_state_dict({"position": self._trained})
        self._feed = RowPrefetcher(self.sampler, self.table, all_rows=self.full)
        return self._feed

    def step(self, batch: GatheredBatch) -> dict[str, float]:
        """Trains on one batch: scores, loss, gradients, and the update of the rows it touched."""
        rows = batch.rows.detach().requires_grad_()
        loss = self._backward(batch, rows)
        assert rows.grad is not None  # every row of the batch takes part in a score
        self.table.update(batch.ids, rows.grad)
        self.dense.step()
        self.dense.zero_grad()
        self._trained = batch.number + 1
        return {"loss": loss, "samples": batch.batch.size}

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """See `Task.validate`."""

    @abstractmethod
    def measure(self) -> dict[str, Any]:
        """See `Task.measure`."""

    def state_dict(self) -> dict[str, Any]:
        """Returns weights, optimiser state and the position in the stream."""
        dense = self.dense.state_dict()["state"]
        return {
            "weights": {"entities": self.table.weight, "model": dict(self.model.state_dict())},
            "optimizer": {"entities": self.table.state_dict(), "model": {str(key): dense[key] for key in dense}},
            "sampler": {"position": self._trained},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.table.load_state_dict(state["weights"]["entities"], state["optimizer"]["entities"])
        self.model.load_state_dict(state["weights"]["model"])
        dense = {int(key): value for key, value in state["optimizer"]["model"].items()}
        self.dense.load_state_dict({**self.dense.state_dict(), "state": dense})
        self._trained = state["sampler"]["position"]

    def close(self) -> None:
        """Stops the prefetcher and the sampler's threads."""
        if self._feed is not None:
            self._feed.close()
        self.sampler.close()

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Puts the model into evaluation mode while the block runs."""
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()

    def _backward(self, batch: GatheredBatch, rows: Tensor) -> float:
        """Adds the gradients of the batch to `rows` and to the model's parameters; returns the loss."""
        encoded = self.model.encode(rows)
        anchors, positives, relations, queries = self._embed(batch, encoded)
        weights = self._weights(batch.batch)
        # Scores are differentiated chunk by chunk, down to leaves in their place, so that logits over all entities are
        # never held for the whole batch.
        candidates, places = self._candidates(batch, encoded, positives)
        query_leaf, entity_leaf = queries.vectors.detach().requires_grad_(), candidates.detach().requires_grad_()
        leaves = Embedded(query_leaf, queries.owners, queries.size)
        size = batch.batch.size
        step = max(1, _LOGITS_AT_ONCE // len(rows)) if self.full else size
        total = 0.0
        for start in range(0, size, step):
            lanes = slice(start, min(start + step, size))
            loss = (weights[lanes] * self._score(batch, leaves, entity_leaf, places, lanes)).sum()
            torch.autograd.backward(loss)
            total += loss.item()
        targets, gradients = [queries.vectors, candidates], [query_leaf.grad, entity_leaf.grad]
        if self.n3 > 0:
            parameters = self.model.relation_parameters(relations)
            cubes = [self._cubes(x) for x in (anchors, parameters, encoded[positives])]
            penalty = self.n3 / size * torch.stack(cubes).sum()
            targets.append(penalty)
            gradients.append(torch.ones(()))
        torch.autograd.backward(targets, gradients)
        return total

    def _embed(self, batch: GatheredBatch, encoded: Tensor) -> tuple[Tensor, Tensor, Tensor, Embedded]:
        """Returns anchors [A, D], places of positives [B], relations [A'] and the queries of all segments."""
        anchors, relations, queries = [], [], []
        for segment in batch.batch.segments:
            found = encoded[batch.locate(segment.anchors)]
            queries.append(self.model.embed(segment.structure, found, segment.relations))
            anchors.append(found.flatten(0, 1))
            relations.append(segment.relations.flatten())
        positives = batch.locate(batch.batch.positives)
        return torch.cat(anchors), positives, torch.cat(relations), Embedded.join(queries)

    def _candidates(self, batch: GatheredBatch, encoded: Tensor, positives: Tensor) -> tuple[Tensor, _Places]:
        """Returns what queries are compared with, [C, ·], and where positives and negatives stand in it."""
        if self.full:
            return self.model.candidates(encoded), _Places(positives, None)
        assert batch.batch.negatives is not None  # the sampler's mode is own or shared
        negatives = batch.locate(batch.batch.negatives)
        if type(self.model).candidates is Model.candidates:
            return encoded, _Places(positives, negatives)
        # Anchors are no candidates, and may be half of the rows.
        compared = torch.zeros(len(encoded), dtype=torch.bool)
        compared[positives] = compared[negatives] = True
        place = compared.cumsum(0) - 1
        return self.model.candidates(encoded[compared]), _Places(place[positives], place[negatives])

    def _score(
        self, batch: GatheredBatch, queries: Embedded, candidates: Tensor, places: _Places, lanes: slice
    ) -> Tensor:
        """Returns float[n]: the losses of some lanes."""
        queries, positives = queries.select(lanes.start, lanes.stop), places.positives[lanes]
        rounded = torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.precision == "bf16")
        if places.negatives is None:
            with rounded:
                logits = self.model.logits(queries, candidates)
            return self.loss.all_entities(logits.float(), positives)
        mask = batch.batch.mask
        assert mask is not None  # it comes with the negatives
        negatives = places.negatives if batch.batch.shared else places.negatives[lanes]
        # One error in an answer's logit is an error in the whole loss of its query; a negative is one of many.
        positive = self.model.logits(queries, candidates, positives.unsqueeze(1)).squeeze(1)
        with rounded:
            if batch.batch.shared:
                negative = self.model.logits(queries, candidates[negatives])
            else:
                negative = self.model.logits(queries, candidates, negatives)
        population = (len(self.table) - batch.batch.answer_counts[lanes]).float()
        return self.loss.sampled(positive, negative.float(), mask[lanes], population)

    def _weights(self, batch: QueryBatch) -> Tensor:
        """Returns float[B] weights of the queries that sum to 1."""
        if self.weighting == "none":
            return torch.full((batch.size,), 1 / batch.size)
        weights = (4 + batch.answer_counts).float().rsqrt()
        return weights / weights.sum()

    def _cubes(self, x: Tensor) -> Tensor:
        return self.model.squared_moduli(x).pow(1.5).sum()
