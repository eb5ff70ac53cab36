"""An attributed graph with planted communities: built in, of any size, the same for the same seed."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.nodes.graph import NodeGraph, undirected

_Ids = NDArray[np.int64]

#: Weights of nodes follow a power law with this exponent, and the heaviest has this many times the weight of the
#: lightest: hubs, but none that is joined to its whole community at once.
_EXPONENT = 2.5
_HEAVIEST = 10.0
#: Draws of edges before the graph counts as too dense: each round draws what is missing.
_ROUNDS = 60


def planted_communities(
    *,
    nodes: int = 2_000,
    edges: int = 10_000,
    features: int = 64,
    communities: int | None = None,
    classes: int = 5,
    mixing: float = 0.2,
    noise: float = 1.0,
    seed: int = 0,
) -> NodeGraph:
    """Makes a graph of small dense communities whose class labels group communities.

    A class is several communities with nothing else in common than the mean of their features. A feature is that mean
    plus noise: one node says little of its class, its neighbourhood much. Edges join nodes of one community, but for a
    share that joins any two; nodes are drawn for them by weights that follow a power law. Ids are in random order.

    Args:
        nodes: N.
        edges: E: undirected edges, exactly; no loops, none twice.
        features: F.
        communities: how many; null makes them of about three times as many nodes as a node has neighbours.
        classes: C: communities are dealt out to classes evenly.
        mixing: share of edges that are drawn between any two nodes.
        noise: standard deviation of a feature, beside class means that have length 1.
        seed: the same seed gives the same graph.

    Returns:
        The graph, with ``community`` (int64[N], the planted community of each node) beside ``y``.

    Raises:
        GraphkitError: a number is out of range, or the edges do not fit.
    """
    if communities is None:
        communities = max(classes, min(nodes // 3, round(nodes**2 / max(1, 6 * edges))))
    _check(nodes, edges, features, communities, classes, mixing, noise)
    random = np.random.default_rng(seed)
    community, ends = _deal(nodes, communities, random)
    pairs = _draw_edges(edges, community, ends, mixing, random)
    class_of = random.permutation(np.arange(communities) % classes)
    place = random.permutation(nodes)  # so that ids tell nothing of communities
    labels, own = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    labels[place], own[place] = class_of[community], community
    means = random.standard_normal((classes, features))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    x = random.standard_normal((nodes, features), dtype=np.float32)
    x *= np.float32(noise)
    x += means.astype(np.float32)[labels]
    data = Data(x=torch.from_numpy(x), edge_index=undirected(torch.from_numpy(place[pairs].T), nodes))
    data.y, data.community = torch.from_numpy(labels), torch.from_numpy(own)
    graph = NodeGraph.of(data)
    graph.name = "planted"
    graph.class_names = [f"class {number}" for number in range(classes)]
    return graph


def _check(nodes: int, edges: int, features: int, communities: int, classes: int, mixing: float, noise: float) -> None:
    least = {"nodes": (nodes, 3), "edges": (edges, 0), "features": (features, 1), "classes": (classes, 1)}
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise GraphkitError(f"{name} is {value}; a planted graph needs at least {smallest}")
    if not classes <= communities <= nodes // 3:
        raise GraphkitError(
            f"communities is {communities}; a planted graph of {nodes:,} nodes and {classes} classes can have "
            f"{classes} to {nodes // 3:,}: one a class at least, and three nodes a community"
        )
    if not 0.0 <= mixing <= 1.0:
        raise GraphkitError(f"mixing is {mixing}; it is a share of the edges, 0 to 1")
    if not 0.0 <= noise < float("inf"):
        raise GraphkitError(f"noise is {noise}; it is a standard deviation, 0 or more")


def _deal(nodes: int, communities: int, random: np.random.Generator) -> tuple[_Ids, _Ids]:
    """Returns the community of each node, ascending, and where each community ends; sizes vary threefold."""
    shares = random.uniform(0.5, 1.5, communities)
    free = nodes - communities  # one node is everybody's
    ends = np.arange(1, communities + 1) + np.round(np.cumsum(shares) / shares.sum() * free).astype(np.int64)
    return np.repeat(np.arange(communities), np.diff(ends, prepend=0)), ends


def _draw_edges(edges: int, community: _Ids, ends: _Ids, mixing: float, random: np.random.Generator) -> _Ids:
    """Returns int64[E, 2] of distinct pairs u < v of nodes in the order of communities."""
    nodes = len(community)
    weights = np.minimum((1 - random.random(nodes)) ** (-1 / (_EXPONENT - 1)), _HEAVIEST)
    total = np.concatenate([[0.0], np.cumsum(weights)])
    low, high = total[np.concatenate([[0], ends[:-1]])], total[ends]
    keys = np.empty(0, np.int64)
    for _ in range(_ROUNDS):
        missing = edges - len(keys)
        if missing <= 0:
            break
        drawn = missing + missing // 4 + 16
        first = _at(total, random.random(drawn) * total[-1])
        inner = random.random(drawn) >= mixing
        start = np.where(inner, low[community[first]], 0.0)
        stop = np.where(inner, high[community[first]], total[-1])
        second = _at(total, start + random.random(drawn) * (stop - start))
        apart = first != second
        pairs = np.minimum(first, second)[apart] * nodes + np.maximum(first, second)[apart]
        keys = np.sort(np.concatenate([keys, pairs]))  # np.unique takes ten times as long
        keys = keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]
    if len(keys) < edges:
        raise GraphkitError(
            f"edges is {edges:,}, and only about {len(keys):,} fit into {len(ends):,} communities of {nodes:,} nodes "
            f"at mixing {mixing}; ask for fewer edges or communities, or for more mixing"
        )
    kept = np.sort(random.permutation(len(keys))[:edges])
    return np.stack([keys[kept] // nodes, keys[kept] % nodes], axis=1)


def _at(total: NDArray[np.float64], points: NDArray[np.float64]) -> _Ids:
    """Returns the node whose stretch of the running total each point lies in."""
    return np.minimum(np.searchsorted(total, points, side="right") - 1, len(total) - 2)
