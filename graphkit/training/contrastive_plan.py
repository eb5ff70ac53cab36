"""What a configuration of contrastive training has to be, and the settings that it leaves open."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, get_args, get_type_hints

from torch_geometric.data import Data

from graphkit.engine import CPU, Engine
from graphkit.errors import GraphkitError
from graphkit.losses import ContrastiveLoss
from graphkit.models import Encoder
from graphkit.nodes.graph import NodeGraph
from graphkit.nodes.partitioning import METHODS
from graphkit.samplers import ClusterOptions
from graphkit.samplers.native_sampler import require_threads
from graphkit.training.plan import CHECKPOINT_STEPS, ONE_THREAD_FLOP
from graphkit.training.targets import Config, check_settings, find_target, shown
from graphkit.training.trainer import Schedule

if TYPE_CHECKING:
    from dgl import DGLGraph

    from graphkit.training.contrastive import ContrastiveTask

FormName = Literal["compressed", "full_graph"]

#: Nodes of a cluster where nothing is said: the compression that StructComp has on Cora.
NODES_PER_CLUSTER = 9
#: Edges up to which METIS partitions where nothing is said. It takes some 6 s of CPU for a million edges, and heavy
#: edges a twentieth of that.
METIS_EDGES = 500_000
#: Entries of the loss curve of an encoder.
LOG_ENTRIES = 50

_OPEN_TRAINER_SETTINGS = ("max_steps", "validate_every", "checkpoint_every", "log_every", "threads")


@dataclass(frozen=True)
class ClusterSampling:
    """How batches of clusters are drawn."""

    #: B, clusters a batch; None = all of them. Of the full graph, every batch is all nodes
    batch_size: int | None = None
    #: share of its members that DropMember leaves out of each cluster, for losses of two views
    drop_rate: float = 0.5
    #: native threads that make batches, and how many batches may wait
    threads: int = 1
    ahead: int = 4

    def __post_init__(self) -> None:
        require_threads(self.threads, self.ahead)


def goes_with(config: Config) -> str:
    """Returns which choices of groups contrastive training is made of."""
    part = config.get("graph") or {}
    graph = part.get("name") or part.get("path") or "NAME"
    return (
        "task=contrastive goes with sampler=clusters, model=sgc_encoder or gcn_encoder, loss=sce, coles, cca_ssg or "
        "grace, optimizer=torch_adam, engine=cpu and trainer=compressed or full_graph, all of which graphkit train "
        f"experiment=structcomp graph={graph} chooses"
    )


def node_graph(graph: NodeGraph | Data | DGLGraph) -> NodeGraph:
    """Returns a graph as `NodeGraph`, whether it is one, a `Data` of PyG or a DGLGraph; tensors are shared.

    Raises:
        GraphkitError: it is something else, or its parts do not agree.
    """
    if isinstance(graph, NodeGraph):
        return graph
    if isinstance(graph, Data):
        return NodeGraph.of(graph)
    if type(graph).__module__.partition(".")[0] == "dgl":
        from graphkit.dgl import from_dgl

        return from_dgl(graph)
    raise GraphkitError(
        f"the graph is a {type(graph).__name__}, and a NodeGraph, a Data of PyG or a DGLGraph is needed; "
        "graphkit.nodes.load and graphkit data import-nodes make one"
    )


def check_groups(config: Config) -> None:
    """Checks the groups without a ``_target_``, and that nothing asks for a device.

    Raises:
        GraphkitError: a group is one of another task's, or a setting is unknown or of another type.
    """
    for group, own in (("sampler", "drop_rate"), ("trainer", "form")):
        part = config[group]
        if not isinstance(part, dict):
            raise GraphkitError(f"{group} is {shown(part)}, and settings are needed; choose {group}=NAME")
        if own not in part:
            raise GraphkitError(
                f"{group} is a choice for knowledge graphs (it has no {group}.{own}); {goes_with(config)}"
            )
    check_settings("sampler", config["sampler"], get_type_hints(ClusterSampling))
    schedule = get_type_hints(Schedule)
    schedule |= {key: schedule[key] | None for key in _OPEN_TRAINER_SETTINGS} | {"max_epochs": int, "form": str}
    check_settings("trainer", config["trainer"], schedule)
    engine = find_target(config, "engine", Engine) if "engine" in config else CPU
    if engine is not CPU:
        name = config["engine"]["_target_"]
        raise GraphkitError(f"the engine {name} computes on a device, and this task on the CPU; {goes_with(config)}")


def require_parts(model: object, loss: object | None) -> None:
    """Makes sure that parts are objects, where a name as of a configuration may have been given.

    Raises:
        GraphkitError: one is none.
    """
    if not isinstance(model, Encoder):
        raise GraphkitError(f"model is {model!r}, and an encoder is needed, such as graphkit.models.GCNEncoder(…)")
    if loss is not None and not isinstance(loss, ContrastiveLoss):
        raise GraphkitError(f"loss is {loss!r}, and a contrastive loss is needed, such as graphkit.losses.SCE(…)")


def require_settings(task: ContrastiveTask) -> None:
    """Checks the settings of a task, before anything is computed.

    Raises:
        GraphkitError: one is out of range, or parts do not go together.
    """
    nodes = task.num_nodes
    if task.form not in get_args(FormName):
        raise GraphkitError(f"trainer.form is {task.form!r}, and compressed or full_graph is needed")
    if task.pooled_hops < 0:
        raise GraphkitError(f"task.pooled_hops is {task.pooled_hops}, and 0 (features as they are) or more is needed")
    for name, value in (("task.encoders", task.encoders), ("trainer.max_epochs", task.epochs)):
        if value < 1:
            raise GraphkitError(f"{name} is {value}, and at least 1 is needed")
    for name, share in (("task.drop_edges", task.drop_edges), ("task.mask_features", task.mask_features)):
        if not 0 <= share < 1:
            raise GraphkitError(f"{name} is {share}, and a share from 0 up to but not 1 is needed")
    if not 0 <= task.seed <= 2**63 - task.encoders:
        why = "" if task.encoders == 1 else f", since the {task.encoders} encoders count on from it"
        raise GraphkitError(f"seed is {task.seed}, and a number from 0 to 2**63 - {task.encoders} is needed{why}")
    if task.model.num_features != task.graph.num_features or task.loss.dim != task.model.dim:
        raise GraphkitError(
            f"the graph has {task.graph.num_features} features, the model takes {task.model.num_features} and "
            f"gives {task.model.dim} columns, and the loss takes {task.loss.dim}; make one fit the other"
        )
    if nodes < 2:
        raise GraphkitError(
            f"the graph has {nodes} node, and a contrastive loss compares at least 2; give a larger graph"
        )
    if task.form == "full_graph" and task.sampling.batch_size is not None:
        raise GraphkitError(
            f"sampler.batch_size is {task.sampling.batch_size}, and a step over the full graph takes all nodes; "
            "leave it null, or choose trainer=compressed"
        )
    if task.form == "compressed" and not 2 <= task.clusters <= nodes:
        raise GraphkitError(
            f"task.clusters is {task.clusters}, and the graph has {nodes} nodes; give a number from 2 to {nodes}"
        )
    if task.method not in (*METHODS, "given"):
        raise GraphkitError(f"task.partition is {task.method!r}, and one of {', '.join(METHODS)} or null is needed")
    if task.form == "compressed" and task.method in ("metis", "heavy_edge") and num_entries(task.graph) == 0:
        raise GraphkitError(
            f"the graph has no edges, which task.partition={task.method} follows; take task.partition=random"
        )
    ClusterOptions(batch_size=task.sampling.batch_size, drop_rate=task.sampling.drop_rate)


def num_entries(graph: NodeGraph) -> int:
    """Returns how many edges a graph is given by: both directions of an undirected one, repeated ones and loops."""
    return int(graph.edge_index.shape[1] if graph.edge_index is not None else len(graph.adj_t.values()))


def open_clusters(graph: NodeGraph) -> int:
    """Returns how many clusters are made where nothing is said."""
    nodes = len(graph.x)
    return min(nodes, max(2, round(nodes / NODES_PER_CLUSTER)))


def open_method(graph: NodeGraph) -> str:
    """Returns how they are made where nothing is said."""
    entries = num_entries(graph)
    if entries == 0:
        return "random"
    return "metis" if entries <= 2 * METIS_EDGES else "heavy_edge"


def complete_trainer(
    trainer: Config, *, steps: int, steps_per_encoder: int, rows: int, model: Encoder, loss: ContrastiveLoss
) -> Config:
    """Returns the trainer's settings with those that were left open filled in.

    Args:
        trainer: the settings.
        steps: of all encoders.
        steps_per_encoder: of one.
        rows: B of a batch.
        model: its width says what a step costs.
        loss: its views and its own work likewise.

    Raises:
        GraphkitError: more steps than all encoders take.
    """
    given = trainer["max_steps"]
    if given is not None and given > steps:
        raise GraphkitError(
            f"trainer.max_steps is {given}, and all encoders together take {steps} steps; give at most that, or "
            "raise trainer.max_epochs"
        )
    # Six operations a real: a product forward, and two backward.
    flop = 6.0 * rows * model.num_features * model.dim * loss.views + loss.flop(rows)
    decided = {
        "max_steps": steps,
        "validate_every": 0,
        "checkpoint_every": min(steps_per_encoder, CHECKPOINT_STEPS),
        "log_every": max(1, steps_per_encoder // LOG_ENTRIES),
        "threads": 1 if flop < ONE_THREAD_FLOP else len(os.sched_getaffinity(0)),
    }
    return {key: decided[key] if value is None and key in decided else value for key, value in trainer.items()}


def require_schedule(config: Config) -> None:
    """Checks that the trainer's settings make a schedule, before anything else is computed for it.

    Raises:
        GraphkitError: one is out of range, as `Schedule` says.
    """
    names = {field.name for field in fields(Schedule)}
    Schedule(**{key: value for key, value in config["trainer"].items() if key in names})
