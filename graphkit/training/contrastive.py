"""The task ``contrastive``: encoders of nodes, trained on compressed nodes or on the full graph (StructComp)."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Adam, Optimizer
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.losses import SCE, ContrastiveLoss
from graphkit.models import Encoder
from graphkit.nodes.graph import NodeGraph, adjacency
from graphkit.nodes.partitioning import Partition, partition, quality
from graphkit.nodes.propagation import normalized
from graphkit.samplers import ClusterBatch, ClusterOptions, ClusterSampler
from graphkit.samplers.cluster_sampler import batches_per_epoch
from graphkit.training.contrastive_forms import CompressedForm, Form, FullGraphForm, seed_of
from graphkit.training.contrastive_plan import (
    ClusterSampling,
    FormName,
    check_groups,
    complete_trainer,
    goes_with,
    node_graph,
    open_clusters,
    open_method,
    require_parts,
    require_schedule,
    require_settings,
)
from graphkit.training.node_probe import NodeProbe
from graphkit.training.node_results import require_finite, write_embeddings
from graphkit.training.targets import Config, bind, build
from graphkit.training.torch_optimizers import check_optimizer, take_step

if TYPE_CHECKING:
    from dgl import DGLGraph
    from scipy.sparse import csr_matrix
else:
    DGLGraph = Any  # the types of settings are read from the constructor, DGL or not

#: Makes the optimiser of some parameters.
OptimizerFactory = Callable[[Iterable[Parameter]], Optimizer]


@dataclass(frozen=True)
class EncoderBatch:
    """A batch, and the encoder that it is for."""

    #: place of the encoder among those of the run
    encoder: int
    clusters: ClusterBatch
    #: of the encoder
    seed: int

    @property
    def number(self) -> int:
        """Place of the batch in the stream of its encoder."""
        return self.clusters.number


class ContrastiveTask:
    """Trains encoders without labels, and probes their embeddings with few labels; implements `Task`.

    The graph is cut into clusters once. Each encoder is then trained on pooled clusters as an MLP, and used over the
    graph as the GNN of the same weights (StructComp: Zhang et al., ICLR 2024). With ``form="full_graph"`` nothing is
    compressed: the same losses, of all nodes, embedded over the graph in every step.

    Encoders are trained one after the other, from `seed`, `seed` + 1 and so on, over one partition, so that results
    come with their spread.

    Args:
        graph: a graph; a plain `Data` of PyG and a DGLGraph become one.
        model: the encoder; its values are drawn afresh.
        loss: by default `SCE`.
        optimizer: makes the optimiser of an encoder and its loss; by default Adam at 0.001.
        sampler: how batches are drawn.
        seed: of the partition, of the encoders and of their batches.
        form: "compressed" or "full_graph".
        encoders: how many.
        epochs: of each encoder; an epoch is as many batches as visit each of `clusters` once, all of them if METIS
            gives fewer.
        clusters: P that are asked for; None = a ninth of the nodes. Not looked at with the full graph.
        partition: how clusters are made (see `graphkit.nodes.partitioning`), or clusters that are; None = by size.
        pooled_hops: how often features are propagated before they are pooled; 0, as in the paper, pools X itself.
        weighted_edges: for losses that take edges, let those between two clusters count as often as there are.
        inner_edges: for losses that take edges, let those inside of a cluster count as one from it to itself.
        drop_edges: share of the edges that each view of the full graph loses, for losses of two views.
        mask_features: share of the columns of features that each view of the full graph loses, likewise.
        splits: S, over which embeddings are probed; 0 = no probe. All runs share the same random splits.
        labels_per_class: to train each probe on, all others being for testing; None = the first S of the graph's masks.

    Raises:
        GraphkitError: a setting is out of range, parts do not go together, or a class has too few labels.
    """

    graph_kind: ClassVar[type] = NodeGraph

    def __init__(
        self,
        graph: NodeGraph | Data | DGLGraph,
        model: Encoder,
        *,
        loss: ContrastiveLoss | None = None,
        optimizer: OptimizerFactory | None = None,
        sampler: ClusterSampling | None = None,
        seed: int = 0,
        form: FormName = "compressed",
        encoders: int = 1,
        epochs: int = 50,
        clusters: int | None = None,
        partition: str | Partition | None = None,
        pooled_hops: int = 0,
        weighted_edges: bool = True,
        inner_edges: bool = True,
        drop_edges: float = 0.2,
        mask_features: float = 0.2,
        splits: int = 50,
        labels_per_class: int | None = 20,
    ) -> None:
        require_parts(model, loss)
        self.graph = node_graph(graph)
        self.model, self.loss = model, loss or SCE(dim=model.dim)
        self.optimizer_of = optimizer or (lambda parameters: Adam(parameters, lr=0.001))
        self.sampling = sampler or ClusterSampling()
        self.seed, self.form, self.encoders, self.epochs = seed, form, encoders, epochs
        self.clusters = open_clusters(self.graph) if clusters is None else clusters
        self.method = "given" if isinstance(partition, Partition) else partition or open_method(self.graph)
        self.pooled_hops = pooled_hops
        self.weighted_edges, self.inner_edges = weighted_edges, inner_edges
        self.drop_edges, self.mask_features = drop_edges, mask_features
        self.probe = NodeProbe(self.graph, splits=splits, labels_per_class=labels_per_class)
        self.partition = partition if isinstance(partition, Partition) else None
        if self.partition is not None:
            self.partition.require_nodes(self.num_nodes, "the graph")
            self.clusters = self.partition.num_clusters
        require_settings(self)
        self.partition_seconds = self.partition_cpu_seconds = 0.0
        self._form: Form | None = None
        #: Â, from what is measured to what is written
        self._hat: Tensor | None = None
        self._drawn_from: ClusterSampler | None = None
        self._trained = 0
        #: weights of the encoders before the one that is trained
        self._finished: list[dict[str, Tensor]] = []
        self._begin(0)

    @classmethod
    def assemble(cls, config: Config, graph: NodeGraph) -> tuple[Config, ContrastiveTask]:
        """Builds the task of a configuration; see `AssemblesItself`."""
        check_groups(config)
        advice = goes_with(config)
        sampling, trainer, seed = config["sampler"], config["trainer"], config["seed"]
        model = build(config, "model", Encoder, num_features=graph.num_features, advice=advice)  # type: ignore[type-abstract]
        loss = build(config, "loss", ContrastiveLoss, dim=model.dim, advice=advice)  # type: ignore[type-abstract]
        check_optimizer(config, advice=advice)
        optimizer = bind(config, "optimizer", Optimizer, given=["params"], advice=advice)
        parts: dict[str, Any] = {"model": model, "loss": loss, "optimizer": optimizer, "seed": seed}
        parts |= {"sampler": ClusterSampling(**sampling), "form": trainer["form"], "epochs": trainer["max_epochs"]}
        task = build(config, "task", cls, graph=graph, **parts)
        trainer = complete_trainer(
            trainer,
            steps=task.steps,
            steps_per_encoder=task.steps_per_encoder,
            rows=task.num_nodes if task.form == "full_graph" else task.sampling.batch_size or task.clusters,
            model=model,
            loss=loss,
        )
        decided = {} if task.form == "full_graph" else {"clusters": task.clusters, "partition": task.method}
        config = {**config, "task": {**config["task"], **decided}, "trainer": trainer}
        require_schedule(config)
        return config, task

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.graph.x)

    @property
    def steps_per_encoder(self) -> int:
        """Steps of the epochs of one encoder."""
        size = None if self.form == "full_graph" else self.sampling.batch_size
        # Of the clusters that are asked for: the budget is known before the graph is cut.
        return self.epochs * batches_per_epoch(self.clusters, size)

    @property
    def steps(self) -> int:
        """Steps of all encoders: what a `Schedule` has to have for them."""
        return self.encoders * self.steps_per_encoder

    @property
    def encoder(self) -> int:
        """The place of the encoder that was trained last."""
        return max(self._trained - 1, 0) // self.steps_per_encoder

    def batches(self) -> Iterator[EncoderBatch]:
        """Returns the batches from the one after the last trained one; cuts the graph into clusters first, once."""
        self.close()
        structure: csr_matrix | None = None
        if self.form == "compressed" and self.partition is None:
            wall, cpu = time.perf_counter(), time.process_time()
            structure = adjacency(self.graph)
            self.partition = partition(structure, self.clusters, method=self.method, seed=self.seed % 2**31)
            self.partition_seconds, self.partition_cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
            if self.partition.num_clusters < self.clusters:
                print(
                    f"{self.method} made {self.partition.num_clusters:,} of the {self.clusters:,} clusters that were "
                    "asked for, since it left the others empty",
                    file=sys.stderr,
                )
        return self._draw(structure)

    def step(self, batch: EncoderBatch) -> dict[str, float]:
        """Trains on one batch; the first one of the next encoder begins it."""
        assert self._form is not None  # the batch was drawn of it
        if batch.encoder != self.encoder:
            self._finished.append(_copied(self.model.state_dict()))
            self._begin(batch.encoder)
        self.optimizer.zero_grad(set_to_none=True)
        views = self._form.views(self.model, batch.clusters, seed_of(batch.seed, batch.number))
        loss = self.loss(views, batch.clusters.negatives, self._form.edges(batch.clusters))
        value = float(loss.detach())
        if math.isfinite(value):  # else nothing is updated, and the trainer stops
            torch.autograd.backward(loss)
            take_step(self.optimizer)
        self._trained += 1
        return {"loss": value, "samples": batch.clusters.size, "encoder": batch.encoder}

    def validate(self) -> dict[str, float]:
        """Returns nothing: labels are for testing."""
        return {}

    def measure(self) -> dict[str, Any]:
        """Probes every finished encoder, and the features themselves after 0 to 3 hops; measures the partition.

        Where none has had all its epochs, the first is probed as it is. The accuracy's deviation is that over all
        probed encoders and splits together. Without labels nothing is probed.
        """
        structure = adjacency(self.graph)
        measured: dict[str, Any] = {}
        if self.probe.possible:
            self._hat = normalized(structure)
            finished = max(1, self._trained // self.steps_per_encoder)
            every = (self._embed(self._hat, place) for place in range(finished))
            measured["probe"] = self.probe.measure(self._hat, every)
        clusters = self.partition or Partition.singletons(self.num_nodes)
        measured["partition"] = {
            "method": self.method if self.form == "compressed" else "none",
            "nodes": self.num_nodes,
            "clusters": clusters.num_clusters,
            "asked": self.clusters if self.form == "compressed" else self.num_nodes,
            **asdict(quality(structure, clusters)),
            **({} if structure.nnz else {"cut": None}),  # JSON has no NaN
        }
        measured["train"] = {
            "partition_seconds": self.partition_seconds,
            "partition_cpu_seconds": self.partition_cpu_seconds,
        }
        return measured

    def embeddings(self, encoder: int = 0) -> Tensor:
        """Embeds all nodes over the graph, with one of the encoders that were trained.

        Returns:
            float32[N, D].

        Raises:
            GraphkitError: a value is not finite.
        """
        return self._embed(normalized(adjacency(self.graph)), encoder)

    def write_results(self, folder: Path, metrics: dict[str, Any]) -> None:
        """Writes the embeddings of the first encoder, under the user's ids and with classes; see `write_embeddings`."""
        graph, hat = self.graph, self._hat
        self._hat = None
        embeddings = self.embeddings() if hat is None else self._embed(hat, 0)
        path = folder / "embeddings.parquet"
        write_embeddings(path, embeddings, graph.node_ids, y=graph.y, class_names=graph.class_names)

    def state_dict(self) -> dict[str, Any]:
        """Returns weights of all encoders so far, state of the optimiser, the partition, and the position."""
        state = self.optimizer.state_dict()["state"]
        clusters = None
        if self.form == "compressed" and self.partition is not None:
            clusters = self.partition.assignment
        return {
            "weights": {
                "model": _copied(self.model.state_dict()),
                "loss": _copied(self.loss.state_dict()),
                "finished": {str(place): weights for place, weights in enumerate(self._finished)},
            },
            "optimizer": {str(key): value for key, value in state.items()},
            "partition": {
                "assignment": clusters,
                "seconds": self.partition_seconds,
                "cpu_seconds": self.partition_cpu_seconds,
            },
            "sampler": {"trained": self._trained, "steps_per_encoder": self.steps_per_encoder},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` returned; batches that are under way end.

        Raises:
            GraphkitError: epochs have changed since, with encoders that are finished.
        """
        self.close()
        trained, before = state["sampler"]["trained"], state["sampler"]["steps_per_encoder"]
        if before != self.steps_per_encoder and trained > min(before, self.steps_per_encoder):
            raise GraphkitError(
                f"the checkpoint has encoders of {before} steps, and these settings give each "
                f"{self.steps_per_encoder}; encoders of one run are trained equally long, so leave trainer.max_epochs "
                "as it was, or train again"
            )
        weights, clusters = state["weights"], state["partition"]
        self._finished = [weights["finished"][str(place)] for place in range(len(weights["finished"]))]
        self._begin(len(self._finished))
        self.model.load_state_dict(weights["model"])
        self.loss.load_state_dict(weights["loss"])
        optimizer = {int(key): value for key, value in state["optimizer"].items()}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": optimizer})
        if clusters["assignment"] is not None:
            self.partition, self._form = Partition(clusters["assignment"]), None
        self.partition_seconds, self.partition_cpu_seconds = clusters["seconds"], clusters["cpu_seconds"]
        self._trained = trained

    def close(self) -> None:
        """Stops the threads of the sampler."""
        if self._drawn_from is not None:
            self._drawn_from.close()
            self._drawn_from = None

    # ---- one encoder after the other

    def _begin(self, encoder: int) -> None:
        """Draws fresh values, with an optimiser that knows nothing yet."""
        generator = torch.Generator().manual_seed(self.seed + encoder)
        self.model.initialize(generator)
        self.loss.initialize(generator)
        self.optimizer = self.optimizer_of([*self.model.parameters(), *self.loss.parameters()])

    def _draw(self, structure: csr_matrix | None) -> Iterator[EncoderBatch]:
        if self._form is None:
            self._form = self._make_form(structure)
        structure = None
        options = ClusterOptions(
            batch_size=None if self.form == "full_graph" else self.sampling.batch_size,
            views=self.loss.views if self.form == "compressed" else 1,
            drop_rate=self.sampling.drop_rate,
            negatives=self.loss.negatives,
            # Places in a batch: those of one batch mean nothing in another.
            negatives_once=self.loss.negatives_once and self.sampling.batch_size is None,
        )
        position = self._trained
        while position < self.steps:
            encoder, first = divmod(position, self.steps_per_encoder)
            sampler = ClusterSampler(
                self._form.partition,
                replace(options, seed=self.seed + encoder),
                threads=self.sampling.threads,
                ahead=self.sampling.ahead,
            )
            sampler.load_state_dict({"position": first})
            self.close()
            self._drawn_from = sampler
            for _ in range(first, self.steps_per_encoder):
                yield EncoderBatch(encoder, next(sampler), self.seed + encoder)
                position += 1
        raise GraphkitError(
            f"all {self.encoders} encoders have had their {self.epochs} epochs after {self.steps} steps, and the "
            "trainer asks for more; give it task.steps, or the task more epochs"
        )

    def _make_form(self, structure: csr_matrix | None) -> Form:
        if self.form == "full_graph":
            return FullGraphForm(
                self.graph, self.model, self.loss, drop_rate=self.drop_edges, mask_rate=self.mask_features
            )
        assert self.partition is not None  # `batches` has made it
        return CompressedForm(
            self.graph,
            self.partition,
            self.loss,
            pooled_hops=self.pooled_hops,
            weighted_edges=self.weighted_edges,
            inner_edges=self.inner_edges,
            structure=structure,
        )

    # ---- what came of them

    def _embed(self, hat: Tensor, encoder: int) -> Tensor:
        model = self.model
        if encoder < len(self._finished):
            model = copy.deepcopy(self.model)
            model.load_state_dict(self._finished[encoder])
        with torch.no_grad():
            embeddings = model.embed(self.graph.x, hat)
        require_finite(embeddings, f"encoder {encoder} (seed {self.seed + encoder})")
        return embeddings


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}
