"""`QuerySampler`: batches of queries made ahead of the trainer by native threads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from numpy.typing import NDArray

from graphkit import _native
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.queries import ONE_HOP, Structure, structures
from graphkit.samplers.batch import QueryBatch, Segment

NegativeMode = Literal["none", "own", "shared"]
#: In the order of the native enumeration.
NEGATIVE_MODES: tuple[NegativeMode, ...] = get_args(NegativeMode)


@dataclass(frozen=True)
class SamplerOptions:
    """What determines the stream of batches, beside the graph: equal options give equal batches."""

    #: names of query structures, separated by spaces
    structures: str = "1p"
    #: B, queries a batch
    batch_size: int = 1024
    #: how negatives are drawn: "own" for each query, "shared" by the batch, or "none"
    mode: NegativeMode = "own"
    #: K, negatives a query (own) or candidates a batch (shared); 0 with "none"
    negatives: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        for structure in structures(self.structures):
            if structure != ONE_HOP:
                raise GraphkitError(
                    f"the sampler draws {ONE_HOP.name} queries only, and structures names {structure.name}; give "
                    f"structures={ONE_HOP.name}"
                )
        if self.mode not in NEGATIVE_MODES:
            raise GraphkitError(f"mode is {self.mode!r}, and one of {', '.join(NEGATIVE_MODES)} is needed")
        if self.batch_size < 1:
            raise GraphkitError(f"batch_size is {self.batch_size}, and at least 1 is needed")
        if self.mode == "none" and self.negatives != 0:
            raise GraphkitError(f"negatives is {self.negatives} with mode none; give 0, or mode own or shared")
        if self.mode != "none" and self.negatives < 1:
            raise GraphkitError(f"negatives is {self.negatives} with mode {self.mode}, and at least 1 is needed")
        if not 0 <= self.seed < 2**63:
            raise GraphkitError(f"seed is {self.seed}, and a number from 0 to 2**63 - 1 is needed")

    @property
    def parsed(self) -> tuple[Structure, ...]:
        """The structures that `structures` names."""
        return structures(self.structures)


class QuerySampler:
    """An endless, resumable stream of `QueryBatch` over the training edges of a graph.

    One-hop queries visit every directed edge once an epoch, in an order keyed by (seed, epoch): query b of batch n has
    position nB + b in the stream, and 2E positions are an epoch. Negatives are uniform over the entities that are no
    answer (own), or uniform over all entities with a mask (shared); they are verified exactly, never guessed.

    Every draw is a function of (seed, batch, lane): batches do not depend on the number of threads, and a stream that
    starts at batch n equals the rest of one that started at 0.

    Args:
        graph: the graph; its training edges are the truth that negatives are checked against.
        options: what determines the stream.
        threads: native threads that make batches; they run without the interpreter's lock.
        ahead: how many batches may wait for the trainer.

    Raises:
        GraphkitError: the graph has no edges, or an option is out of range.
    """

    def __init__(
        self, graph: KnowledgeGraph, options: SamplerOptions | None = None, *, threads: int = 1, ahead: int = 4
    ) -> None:
        if threads < 1 or ahead < 1:
            raise GraphkitError(
                f"the sampler has threads={threads} and ahead={ahead}, and at least 1 of each is needed"
            )
        if graph.num_edges == 0:
            raise GraphkitError("the graph has no training triples to draw queries from; give it some")
        self.graph = graph
        self.options = options or SamplerOptions()
        self.threads = threads
        self.ahead = ahead
        self.position = 0
        self._stream: Any = None

    @property
    def batches_per_epoch(self) -> int:
        """Batches that cover every directed edge, rounded up."""
        return math.ceil(2 * self.graph.num_edges / self.options.batch_size)

    def __iter__(self) -> Iterator[QueryBatch]:
        return self

    def __next__(self) -> QueryBatch:
        if self._stream is None:
            self._stream = _native.LinkStream(
                self.graph.index.native,
                batch_size=self.options.batch_size,
                negatives=self.options.negatives,
                mode=NEGATIVE_MODES.index(self.options.mode),
                seed=self.options.seed,
                threads=self.threads,
                ahead=self.ahead,
                first=self.position,
            )
        number, queries, positives, counts, negatives, mask = self._stream.next()
        self.position = number + 1
        rows = torch.from_numpy(queries)
        return QueryBatch(
            number=number,
            segments=(Segment(ONE_HOP, slice(0, len(rows)), rows),),
            positives=torch.from_numpy(positives),
            answer_counts=torch.from_numpy(counts),
            negatives=_tensor(negatives),
            mask=_tensor(mask),
        )

    def state_dict(self) -> dict[str, int]:
        """Returns the position in the stream: the number of the next batch."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues at a saved position."""
        self.position = state["position"]
        self._stream = None

    def close(self) -> None:
        """Stops the threads; the next batch starts them again."""
        self._stream = None


def _tensor(array: NDArray[Any] | None) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(array)
