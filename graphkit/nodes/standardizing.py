"""Standard forms of a graph, named so that a configuration can ask for them: transforms of PyG, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch_geometric.data import Data
from torch_geometric.transforms import (
    AddRemainingSelfLoops,
    Compose,
    LargestConnectedComponents,
    NormalizeFeatures,
    RemoveDuplicatedEdges,
    RemoveSelfLoops,
    ToUndirected,
)

from graphkit.errors import GraphkitError, did_you_mean
from graphkit.nodes.graph import NodeGraph

Transform = Callable[[Data], Data]

#: What the names in ``standardize`` stand for.
STANDARD_FORMS: dict[str, Callable[[], Transform]] = {
    "largest_component": LargestConnectedComponents,
    "undirected": ToUndirected,
    "no_self_loops": RemoveSelfLoops,
    "self_loops": AddRemainingSelfLoops,
    "no_duplicates": RemoveDuplicatedEdges,
    "normalize_features": NormalizeFeatures,
}


def standardized(graph: NodeGraph, steps: Sequence[str | Transform] | None) -> NodeGraph:
    """Returns a graph after some transforms, checked again; the given one stays as it is.

    Args:
        graph: the graph.
        steps: names out of `STANDARD_FORMS`, transforms of PyG or other functions from `Data` to `Data`, in order.

    Raises:
        GraphkitError: a name is unknown, or the result is no `NodeGraph`.
    """
    if not steps:
        return graph
    if isinstance(steps, str):
        raise GraphkitError(f"standardize is {steps!r}; write a list, such as standardize=[{steps}]")
    return NodeGraph.of(Compose([_named(step) for step in steps])(graph.with_edge_index()))


def _named(step: str | Transform) -> Transform:
    if not isinstance(step, str):
        return step
    if step not in STANDARD_FORMS:
        raise GraphkitError(
            f"there is no standard form {step!r}{did_you_mean(step, STANDARD_FORMS)}; forms: "
            f"{', '.join(STANDARD_FORMS)}"
        )
    return STANDARD_FORMS[step]()
