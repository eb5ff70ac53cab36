"""Encoders of nodes that are trained without a graph and used with one.

Training sees pooled rows alone, so there the encoder is an MLP; inference is the GNN of the same tensors over Â
(StructComp: Zhang et al., ICLR 2024; the shapes are those of its released code)::

    z = encoder(x)                       float32 [B, dim]   of float32 [B, F], rows of clusters
    z = encoder.embed(x, adjacency)      float32 [N, dim]   of float32 [N, F] and Â, all nodes
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from graphkit.errors import GraphkitError
from graphkit.nodes.propagation import propagate


class Encoder(nn.Module, ABC):
    """Base class of the encoders of nodes.

    Args:
        num_features: F, columns of the features.
        dim: D, columns of the embeddings.

    Raises:
        GraphkitError: either is below 1.
    """

    def __init__(self, num_features: int, *, dim: int) -> None:
        super().__init__()
        if num_features < 1:
            raise GraphkitError(f"the nodes have {num_features} features, and an encoder needs at least 1")
        if dim < 1:
            raise GraphkitError(
                f"model.dim is {dim}, and at least 1 is needed; give the number of columns of an embedding"
            )
        self.num_features = num_features
        self.dim = dim

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Encodes pooled rows: float32 [B, F] to float32 [B, dim].

        Raises:
            GraphkitError: rows of another width.
        """

    @abstractmethod
    def embed(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Embeds all nodes over the graph.

        Args:
            x: float32 [N, F].
            adjacency: sparse CSR float32 [N, N], Â of `graphkit.nodes.propagation.normalized`.

        Returns:
            float32 [N, dim].

        Raises:
            GraphkitError: rows of another width, or another number of rows than the adjacency has.
        """

    @abstractmethod
    def gnn(self) -> nn.Module:
        """Returns a PyG module ``gnn(x, edge_index)`` that equals `embed`, with copies of the weights."""

    @abstractmethod
    def initialize(self, generator: torch.Generator) -> None:
        """Draws fresh values for all parameters."""

    def _check(self, x: Tensor) -> None:
        if x.shape[1] != self.num_features:
            raise GraphkitError(
                f"the features have {x.shape[1]} columns and the encoder was made for {self.num_features}; give "
                "features of the graph that it was made for"
            )


def _linear(columns: int, dim: int) -> nn.Linear:
    """Returns a layer whose values are still to be drawn."""
    return nn.Linear(columns, dim, device="meta").to_empty(device="cpu")


def _over_graph(layer: nn.Linear, x: Tensor, adjacency: Tensor, hops: int) -> Tensor:
    """Returns (Â^hops X) W + b, where the narrower of X and X W is propagated."""
    narrow_input = layer.in_features <= layer.out_features
    if not narrow_input:
        x = x @ layer.weight.T
    for _ in range(hops):
        x = propagate(adjacency, x)
    return layer(x) if narrow_input else x + layer.bias


class SGCEncoder(Encoder):
    """A linear layer: X W + b in training, (Â^hops X) W + b over the graph (SGC: Wu et al., ICML 2019, eq. 8).

    The encoder of SCE and COLES. Fresh weights are uniform in ±1/√F, as those of `torch.nn.Linear`.

    Args:
        num_features: F.
        dim: D, columns of the embeddings.
        hops: how often features are propagated.

    Raises:
        GraphkitError: a number below 1.
    """

    def __init__(self, num_features: int, *, dim: int = 512, hops: int = 2) -> None:
        super().__init__(num_features, dim=dim)
        if hops < 1:
            raise GraphkitError(f"model.hops is {hops}, and at least 1 is needed")
        self.hops = hops
        self.layer = _linear(num_features, dim)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102  # as in the base class
        self._check(x)
        encoded: Tensor = self.layer(x)
        return encoded

    def embed(self, x: Tensor, adjacency: Tensor) -> Tensor:  # noqa: D102
        self._check(x)
        return _over_graph(self.layer, x, adjacency, self.hops)

    def gnn(self) -> nn.Module:  # noqa: D102
        from torch_geometric.nn import SGConv

        module: nn.Module = SGConv(self.num_features, self.dim, K=self.hops)
        module.load_state_dict({f"lin.{key}": value for key, value in self.layer.state_dict().items()})
        return module

    def initialize(self, generator: torch.Generator) -> None:  # noqa: D102
        bound = self.num_features**-0.5
        nn.init.uniform_(self.layer.weight, -bound, bound, generator=generator)
        nn.init.uniform_(self.layer.bias, -bound, bound, generator=generator)


class GCNEncoder(Encoder):
    """Layers of a GCN without activation in between, and a PReLU with one slope a column at the end.

    PReLU((X W₁ + b₁) W₂ + b₂) in training, PReLU(Â (Â X W₁ + b₁) W₂ + b₂) over the graph (GCN: Kipf and Welling, ICLR
    2017, eq. 2). The encoder of GRACE (one layer) and CCA-SSG (two). Fresh weights are those of PyG's `GCNConv`:
    uniform by Glorot and Bengio (AISTATS 2010, eq. 16), biases 0; slopes 0.25.

    Args:
        num_features: F.
        dim: D, columns of the embeddings, and of what lies between layers.
        layers: how many, each of which propagates once.

    Raises:
        GraphkitError: a number below 1.
    """

    def __init__(self, num_features: int, *, dim: int = 512, layers: int = 1) -> None:
        super().__init__(num_features, dim=dim)
        if layers < 1:
            raise GraphkitError(f"model.layers is {layers}, and at least 1 is needed")
        widths = [num_features] + [dim] * layers
        self.layers = nn.ModuleList(_linear(*widths[place : place + 2]) for place in range(layers))
        self.activation = nn.PReLU(dim)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        self._check(x)
        for layer in self.layers:
            x = layer(x)
        encoded: Tensor = self.activation(x)
        return encoded

    def embed(self, x: Tensor, adjacency: Tensor) -> Tensor:  # noqa: D102
        self._check(x)
        for layer in self._linears:
            x = _over_graph(layer, x, adjacency, 1)
        embedded: Tensor = self.activation(x)
        return embedded

    def gnn(self) -> nn.Module:  # noqa: D102
        from torch_geometric.nn import GCNConv, Sequential

        parts: list[object] = []
        for layer in self._linears:
            convolution = GCNConv(layer.in_features, layer.out_features)
            convolution.load_state_dict({"lin.weight": layer.weight, "bias": layer.bias})
            parts.append((convolution, "x, edge_index -> x"))
        activation = nn.PReLU(self.dim)
        activation.load_state_dict(self.activation.state_dict())
        module: nn.Module = Sequential("x, edge_index", [*parts, activation])
        return module

    def initialize(self, generator: torch.Generator) -> None:  # noqa: D102
        for layer in self._linears:
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.activation.weight, 0.25)

    @property
    def _linears(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]
