"""Link predictors as graphkit, PyKEEN and PyG build them: one kind of model, of one width, with one loss.

A row is `dim` reals everywhere: ComplEx and RotatE have dim / 2 complex numbers. No model has relations of its own for
the inverse direction, and none is regularised.

- TransE is L1 everywhere. PyKEEN normalises the rows of entities after every step, graphkit does not.
- RotatE's distance is the sum of the moduli in graphkit, as published; PyKEEN takes the L2 norm of the complex vector.
- Fresh rows are as each library draws them, or the same for both (`Settings.same_init`): graphkit's rows of entities,
  and of relations but for RotatE's phases, which are uniform in both.
- The loss is log-sigmoid with self-adversarial weights (Sun et al., ICLR 2019), halved: `LogSigmoid` here, `NSSALoss`
  in PyKEEN. PyG's own losses take one negative a triple: a margin for TransE and RotatE, cross entropy for ComplEx.
- graphkit's negatives are verified to be no answers; those of PyKEEN's basic sampler and of PyG are random entities.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from reporting import Stopwatch
from torch import Tensor

from graphkit import models
from graphkit.engine import Adam, EmbeddingTable
from graphkit.graph import SPLITS, KnowledgeGraph, Split
from graphkit.losses import LogSigmoid
from graphkit.models import Model
from graphkit.samplers import QuerySampler, SamplerOptions
from graphkit.training import LinkTask

MODELS = {"transe": "TransE", "complex": "ComplEx", "rotate": "RotatE"}
_COMPLEX = ("complex", "rotate")


@dataclass(frozen=True)
class Settings:
    """What all libraries are given."""

    model: str
    dim: int
    batch_size: int
    negatives: int
    lr: float
    temperature: float
    #: of the distances; a product has none
    margin: float
    seed: int
    #: of a batch, whose queries share negatives where those are shared
    chunks: int = 1
    #: whether PyKEEN begins with graphkit's fresh values
    same_init: bool = False
    #: Adam's rate in graphkit with shared negatives, whose rows few batches move; None = `lr`
    shared_lr: float | None = None
    #: of a chunk; None = `negatives`
    shared_negatives: int | None = None

    def of(self, mode: str) -> tuple[float, int]:
        """Returns Adam's rate and the number of negatives in graphkit, with ``own`` or ``shared`` negatives."""
        shared = mode == "shared"
        return (
            self.shared_lr if shared and self.shared_lr is not None else self.lr,
            self.shared_negatives if shared and self.shared_negatives is not None else self.negatives,
        )


# ---------------------------------------------------------------------------------------------------------- graphkit


def graphkit_model(name: str, graph: KnowledgeGraph, dim: int, margin: float) -> Model:
    """Returns the model in graphkit."""
    keywords: dict[str, Any] = {"dim": dim, "reciprocal": False}
    if name != "complex":
        keywords["margin"] = margin
    made: Model = getattr(models, MODELS[name])(graph.num_relations, **keywords)
    return made


def fresh(name: str, graph: KnowledgeGraph, dim: int, margin: float, seed: int) -> tuple[Model, EmbeddingTable]:
    """Returns a model with fresh values, and the fresh rows of its entities."""
    model = graphkit_model(name, graph, dim, margin)
    generator = torch.Generator().manual_seed(seed)
    model.initialize(generator)
    return model, EmbeddingTable(model.initial_rows(graph.num_entities, generator))


def graphkit_task(graph: KnowledgeGraph, settings: Settings, mode: str) -> LinkTask:
    """Returns the training of the model in graphkit, with ``own`` or ``shared`` negatives."""
    lr, negatives = settings.of(mode)
    options = SamplerOptions(
        batch_size=settings.batch_size,
        mode=mode,
        negatives=negatives,
        chunks=settings.chunks if mode == "shared" else 1,
        seed=settings.seed,
    )
    return LinkTask(
        graph,
        graphkit_model(settings.model, graph, settings.dim, settings.margin),
        sampler=QuerySampler(graph, options),
        loss=LogSigmoid(adversarial_temperature=settings.temperature),
        optimizer=Adam(lr=lr),
        seed=settings.seed,
        n3=0.0,
        validation_triples=None,
    )


# ------------------------------------------------------------------------------------------------------------ PyKEEN


def pykeen_triples(graph: KnowledgeGraph, triples: NDArray[np.int64]) -> Any:
    """Returns triples as PyKEEN takes them, with the graph's numbers of entities and relations."""
    from pykeen.triples import CoreTriplesFactory

    mapped = torch.from_numpy(np.ascontiguousarray(triples))
    return CoreTriplesFactory(mapped, num_entities=graph.num_entities, num_relations=graph.num_relations)


def pykeen_model(graph: KnowledgeGraph, settings: Settings) -> Any:
    """Returns the model in PyKEEN, with its loss."""
    from pykeen.losses import NSSALoss
    from pykeen.models import ComplEx, RotatE, TransE

    logging.getLogger("pykeen").setLevel(logging.ERROR)
    begins = _same_init(graph, settings) if settings.same_init else {}
    made = {"transe": TransE, "complex": ComplEx, "rotate": RotatE}[settings.model]
    return made(
        triples_factory=pykeen_triples(graph, graph.triples()),
        embedding_dim=settings.dim // 2 if settings.model in _COMPLEX else settings.dim,
        loss=NSSALoss(
            margin=0.0 if settings.model == "complex" else settings.margin,
            adversarial_temperature=settings.temperature,
        ),
        regularizer=None,
        random_seed=settings.seed,
        **begins,
    )


def _same_init(graph: KnowledgeGraph, settings: Settings) -> dict[str, Callable[[Tensor], Tensor]]:
    """Returns initialisers that give PyKEEN's model what graphkit draws of the same seed."""
    model, table = fresh(settings.model, graph, settings.dim, settings.margin, settings.seed)

    def initializer(rows: Tensor) -> Callable[[Tensor], Tensor]:
        # PyKEEN fills complex rows as reals [N, D/2, 2].
        return lambda x: rows.clone() if x.dim() == 2 else torch.stack(rows.chunk(2, dim=1), dim=2)

    begins = {"entity_initializer": initializer(table.weight)}
    if settings.model != "rotate":
        begins["relation_initializer"] = initializer(model.relations.detach())
    return begins


def train_pykeen(
    graph: KnowledgeGraph,
    settings: Settings,
    triples: NDArray[np.int64],
    *,
    epochs: int,
    after_batch: Callable[[], None] | None = None,
    after_epoch: Callable[[Any], None] | None = None,
) -> Any:
    """Trains a fresh model by PyKEEN's loop with random negatives of either side, and returns it.

    Args:
        graph: its numbers of entities and relations count.
        settings: of the training.
        triples: int64[M, 3] to train on.
        epochs: passes over them.
        after_batch: is called once a batch.
        after_epoch: is called with the model after each epoch.
    """
    from pykeen.training import SLCWATrainingLoop
    from pykeen.training.callbacks import TrainingCallback

    class Watch(TrainingCallback):
        def post_batch(self, epoch: int, batch: Any, **_: Any) -> None:
            if after_batch is not None:
                after_batch()

        def post_epoch(self, epoch: int, epoch_loss: float, **_: Any) -> None:
            if after_epoch is not None:
                after_epoch(self.model)

    model = pykeen_model(graph, settings)
    factory = pykeen_triples(graph, triples)
    loop = SLCWATrainingLoop(
        model=model,
        triples_factory=factory,
        optimizer=torch.optim.Adam(model.parameters(), lr=settings.lr),
        negative_sampler="basic",
        negative_sampler_kwargs={"num_negs_per_pos": settings.negatives},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about what PyKEEN calls
        loop.train(
            factory,
            num_epochs=epochs,
            batch_size=settings.batch_size,
            use_tqdm=False,
            pin_memory=False,
            callbacks=Watch(),
        )
    return model


class PykeenEvaluation:
    """PyKEEN's filtered ranks of triples, both sides; its filter is built with this object.

    Args:
        graph: triples of all of its splits are filtered out.
        triples: int64[M, 3] to rank.
    """

    def __init__(self, graph: KnowledgeGraph, triples: NDArray[np.int64]) -> None:
        from pykeen.evaluation import LCWAEvaluationLoop, RankBasedEvaluator

        known = [torch.from_numpy(graph.triples(split)) for split in SPLITS]
        self._evaluator = RankBasedEvaluator
        self._loop = LCWAEvaluationLoop(
            pykeen_triples(graph, triples), evaluator=RankBasedEvaluator(), model=None, additional_filter_triples=known
        )

    def mrr(self, model: Any, batch_size: int) -> float:
        """Returns the mean reciprocal rank under a model, ties at the mean rank."""
        self._loop.model, self._loop.evaluator = model, self._evaluator()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = self._loop.evaluate(batch_size=batch_size, use_tqdm=False, pin_memory=False)
        return float(results.get_metric("both.realistic.inverse_harmonic_mean_rank"))


def as_graphkit(name: str, trained: Any, graph: KnowledgeGraph) -> tuple[Model, EmbeddingTable] | None:
    """Returns a model of PyKEEN as graphkit's with the same scores up to a constant, or None where there is none."""
    if name == "rotate":
        return None
    with torch.no_grad():
        rows, relations = (
            _reals(kind[0]()) for kind in (trained.entity_representations, trained.relation_representations)
        )
        model = graphkit_model(name, graph, rows.shape[1], margin=0.0)
        model.relations.copy_(relations)
    return model, EmbeddingTable(rows)


def _reals(rows: Tensor) -> Tensor:
    """Returns float[N, D]: the real parts, then the imaginary parts of complex rows."""
    return torch.cat([rows.real, rows.imag], dim=1) if rows.is_complex() else rows.clone()


# --------------------------------------------------------------------------------------------------------------- PyG


def time_pyg(graph: KnowledgeGraph, settings: Settings, *, warm_up: int, steps: int) -> Stopwatch:
    """Times steps of PyG's model with its own loader, its own loss of one negative, and dense Adam.

    The clock starts at the end of the last of `warm_up` steps, of which there must be one.
    """
    from torch_geometric.nn import kge

    torch.manual_seed(settings.seed)
    width = settings.dim // 2 if settings.model in _COMPLEX else settings.dim
    model = getattr(kge, MODELS[settings.model])(graph.num_entities, graph.num_relations, width)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr)
    heads, relations, tails = torch.from_numpy(graph.triples()).unbind(dim=1)
    loader = model.loader(heads, relations, tails, batch_size=settings.batch_size, shuffle=True)
    watch, done = Stopwatch(), 0
    while True:
        for batch in loader:
            optimizer.zero_grad()
            model.loss(*batch).backward()
            optimizer.step()
            done += 1
            if done == warm_up:
                watch.start()
            elif done == warm_up + steps:
                watch.stop()
                return watch


def held_out(graph: KnowledgeGraph, split: Split, count: int | None, seed: int) -> NDArray[np.int64]:
    """Returns distinct triples of a split, at most `count` of them, a fixed random choice."""
    triples = np.unique(graph.triples(split), axis=0)
    if count is None or count >= len(triples):
        return triples
    return triples[np.sort(np.random.default_rng(seed).choice(len(triples), size=count, replace=False))]
