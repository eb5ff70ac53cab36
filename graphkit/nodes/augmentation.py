"""Random views of a graph for contrastive training over all nodes: edges dropped, columns of features masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphkit.errors import GraphkitError
from graphkit.nodes.propagation import normalized

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def drop_edges(adjacency: csr_matrix, rate: float, generator: torch.Generator) -> Tensor:
    """Drops undirected edges and normalises what is left (GRACE: Zhu et al., 2020, section 3.2.1).

    Args:
        adjacency: [N, N], symmetric, without loops.
        rate: the probability that an edge is dropped, both directions at once.
        generator: decides.

    Returns:
        Sparse CSR float32[N, N], Â of the kept edges.

    Raises:
        GraphkitError: a rate that is no probability.
    """
    from scipy.sparse import triu

    _require_probability(rate, "dropping edges")
    upper = triu(adjacency, k=1, format="csr")
    kept = torch.rand(upper.nnz, generator=generator).numpy() >= rate
    upper.data *= kept
    upper.eliminate_zeros()
    return normalized((upper + upper.T).tocsr())


def mask_features(x: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Sets whole columns to 0 (GRACE: Zhu et al., 2020, section 3.2.2).

    Args:
        x: float32[N, F].
        rate: the probability that a column is masked, in all rows at once.
        generator: decides.

    Returns:
        float32[N, F], a copy.

    Raises:
        GraphkitError: a rate that is no probability.
    """
    _require_probability(rate, "masking features")
    return x * (torch.rand(x.shape[1], generator=generator) >= rate)


def _require_probability(rate: float, what: str) -> None:
    if not 0 <= rate <= 1:
        raise GraphkitError(f"the rate of {what} is {rate}, and 0 to 1 is allowed")
