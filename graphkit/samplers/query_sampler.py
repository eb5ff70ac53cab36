"""`QuerySampler`: batches of queries made ahead of the trainer by native threads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal, get_args

import numpy as np
import torch

from graphkit import _native
from graphkit.errors import GraphkitError
from graphkit.graph import KnowledgeGraph
from graphkit.queries import Structure, structures
from graphkit.queries.execution import program_code
from graphkit.samplers.batch import QueryBatch, Segment
from graphkit.samplers.native_sampler import NativeSampler, as_tensor, require_negatives

NegativeMode = Literal["none", "own", "shared"]
AnswerDraw = Literal["uniform", "degree"]
Corruption = Literal["uniform", "degree", "typed"]
#: All in the order of the native enumerations.
NEGATIVE_MODES: tuple[NegativeMode, ...] = get_args(NegativeMode)
ANSWER_DRAWS: tuple[AnswerDraw, ...] = get_args(AnswerDraw)
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)

#: Walks that are tried for one query before the sampler gives up.
ATTEMPTS = 100_000


@dataclass(frozen=True)
class SamplerOptions:
    """What determines the stream of batches, beside the graph: equal options give equal batches."""

    #: names of query structures or nested tuples, separated by spaces; a structure named twice has two shares, which
    #: are one segment of a batch if they are named side by side
    structures: str = "1p"
    #: B, queries a batch
    batch_size: int = 1024
    #: how negatives are drawn: "own" for each query, "shared" by many, or "none"
    mode: NegativeMode = "own"
    #: K, negatives of a query (own), or candidates that the queries of a chunk share; 0 with "none"
    negatives: int = 128
    #: C, chunks of a batch (shared), of equally many queries; each has candidates of its own. For a few of them: the
    #: candidates are sorted anew at each
    chunks: int = 1
    #: what negatives and candidates are drawn by: "uniform" over the entities, by "degree", or (own ones) "typed", from
    #: the ranges of the relations that lead to the answer; see `QuerySampler`. Their weights are in the batch, for
    #: losses of your own: those of graphkit leave them aside, and `Softmax` is refused
    corruption: Corruption = "uniform"
    #: what the answers of multi-hop queries are drawn by: "uniform" over the entities, or by "degree"
    answers: AnswerDraw = "uniform"
    #: whether a relation may be followed by its own inverse
    backtracking: bool = True
    #: entities, and edges, at most that a step of a query may go along for all of its answers to be listed and counted;
    #: None = any number
    expansion_limit: int | None = 1024
    #: answers that a multi-hop query must have at least, and at most (None = any number); bounds count all answers
    min_answers: int = 1
    max_answers: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for structure in self.parsed:
            if structure.complement:
                raise GraphkitError(
                    f"structures names {structure.name}, whose queries are unbounded: it has nothing but negated "
                    "branches; name a structure with a branch that is not negated, such as 2in"
                )
            if "relation" not in structure.arguments:
                raise GraphkitError(
                    f"structures names {structure.name}, a query without relations, of which there is nothing to "
                    "learn; name structures such as 1p"
                )
        if self.mode not in NEGATIVE_MODES:
            raise GraphkitError(f"mode is {self.mode!r}, and one of {', '.join(NEGATIVE_MODES)} is needed")
        if self.answers not in ANSWER_DRAWS:
            raise GraphkitError(f"answers is {self.answers!r}, and one of {', '.join(ANSWER_DRAWS)} is needed")
        if self.corruption not in CORRUPTIONS:
            raise GraphkitError(f"corruption is {self.corruption!r}, and one of {', '.join(CORRUPTIONS)} is needed")
        for name in ("batch_size", "negatives", "chunks"):
            if type(getattr(self, name)) is not int:
                raise GraphkitError(f"{name} is {getattr(self, name)!r}, and a whole number is needed")
        if self.batch_size < 1:
            raise GraphkitError(f"batch_size is {self.batch_size}, and at least 1 is needed")
        if self.batch_size >= 2**31:
            raise GraphkitError(f"batch_size is {self.batch_size}, and at most 2**31 - 1 is allowed; give fewer")
        require_negatives(self.batch_size, self.negatives, "queries", shared=self.mode == "shared")
        if self.mode == "none" and self.negatives != 0:
            raise GraphkitError(f"negatives is {self.negatives} with mode none; give 0, or mode own or shared")
        if self.mode != "none" and self.negatives < 1:
            raise GraphkitError(f"negatives is {self.negatives} with mode {self.mode}, and at least 1 is needed")
        self._require_mode()
        for name in ("expansion_limit", "min_answers", "max_answers"):
            value = getattr(self, name)
            if type(value) is not int and (value is not None or name == "min_answers"):
                raise GraphkitError(f"{name} is {value!r}, and a whole number is needed")
        if self.expansion_limit is not None and not 0 <= self.expansion_limit < 2**63:
            raise GraphkitError(
                f"expansion_limit is {self.expansion_limit}, and a number from 0 to 2**63 - 1 or null is needed"
            )
        if not 1 <= self.min_answers <= (2**63 - 1 if self.max_answers is None else self.max_answers) < 2**63:
            raise GraphkitError(
                f"min_answers is {self.min_answers} and max_answers {self.max_answers}, and numbers from 1 to 2**63 "
                "- 1 in this order are needed, or null for no upper bound"
            )
        if not 0 <= self.seed < 2**63:
            raise GraphkitError(f"seed is {self.seed}, and a number from 0 to 2**63 - 1 is needed")

    def _require_mode(self) -> None:
        """Makes sure that chunks and corruption go with the mode."""
        if not 1 <= self.chunks <= self.batch_size:
            raise GraphkitError(
                f"chunks is {self.chunks}, and a number from 1 to batch_size, {self.batch_size}, is needed"
            )
        if self.mode != "shared" and self.chunks != 1:
            raise GraphkitError(f"chunks is {self.chunks} with mode {self.mode}; give 1, or mode shared")
        if self.mode == "none" and self.corruption != "uniform":
            raise GraphkitError(
                f"corruption is {self.corruption} with mode none, which draws no negatives; give uniform, or mode own "
                "or shared"
            )
        if self.mode == "shared" and self.corruption == "typed":
            raise GraphkitError(
                "corruption is typed with mode shared, and candidates of all queries have no relation to be typed by; "
                "give mode own, or corruption degree or uniform"
            )

    @cached_property
    def parsed(self) -> tuple[Structure, ...]:
        """The structures that `structures` names, in their order."""
        return structures(self.structures)


class CannotDraw(GraphkitError):
    """A structure cannot be drawn from a graph; ``reason`` says what its walks met."""

    def __init__(self, structure: Structure, reason: str) -> None:
        super().__init__(
            f"queries of the structure {structure.name} cannot be drawn from this graph: {reason}; leave the structure "
            "out of structures"
        )
        self.reason = reason


@dataclass(frozen=True)
class SamplingStatistics:
    """What became of the attempts to draw queries of one structure."""

    drawn: int = 0
    #: the walk came to an entity without edges
    dead_ends: int = 0
    #: two branches of an intersection or union were the same
    repeated: int = 0
    #: a relation was followed by its inverse, and `SamplerOptions.backtracking` is off
    backtracked: int = 0
    #: the entity that the walk began at is no answer, because a negated branch holds for it
    refuted: int = 0
    #: every entity is an answer
    everything: int = 0
    #: it has fewer answers than `SamplerOptions.min_answers`, or more than `max_answers`
    out_of_bounds: int = 0

    @property
    def attempts(self) -> int:
        """All of them."""
        return sum(getattr(self, field.name) for field in fields(self))

    @property
    def accept_rate(self) -> float:
        """Share of attempts that gave a query; NaN before the first."""
        return self.drawn / self.attempts if self.attempts else math.nan

    def __add__(self, other: SamplingStatistics) -> SamplingStatistics:
        return SamplingStatistics(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


class QuerySampler(NativeSampler[QueryBatch]):
    """An endless, resumable stream of `QueryBatch` over the training edges of a graph.

    Structures have equal shares of the stream: query g (B times the batch's number plus its place) has the structure g
    modulo their number, and a batch holds the queries of a structure side by side.

    *What is drawn.* One-hop queries visit every directed edge once an epoch, in an order keyed by (seed, epoch). Any
    other query is a walk from an answer back to the anchors (Ren et al., KDD 2022, section 3): an answer is
    drawn (uniformly from the entities, or in proportion to their number of edges), then at each projection one of the
    edges that end in the entity reached, uniformly; an intersection takes the entity to all of its branches; a union
    takes it to one of them, drawn uniformly, and draws entities for the others as the answer was drawn; so does a
    negation, but for two in a row, which count as none. Walks are rejected and drawn again where they come to a dead
    end, have two equal branches, follow a relation by its inverse (if that is excluded), or where the entity that they
    began at is no answer because a negated branch holds for it, or where every entity is known to be one,
    or where there are fewer or more answers than wanted.
    `QueryBatch.log_probs` is the logarithm of the probability of the walk, the product of what was just said, before
    rejection: among the queries of one structure it is the probability of the draw up to a constant, the accept rate.
    Several walks may lead to the same query and answer.

    *Answers.* Positives and negatives are verified exactly: a positive is an answer, and no masked-in negative is ever
    one. Negatives are uniform over the entities that are no answer (own; with repetition, and masked out where there
    are none), or uniform over all entities with a mask (shared), unless `SamplerOptions.corruption` says otherwise.
    Shared candidates are drawn without replacement, chunk after chunk and batch after batch: they visit every entity
    once an epoch of their own (by degree: the end of every directed edge), in an order keyed by (seed, epoch). So a
    list names an entity twice only where it reaches into another epoch (by degree: or where that has several edges).
    Most queries are executed forwards from their anchors, which lists and counts their answers. Where that would lead
    through a hub, entities are tested backwards instead, one by one, and the answers are not counted but estimated
    (`QueryBatch.counted`). A step along a relation is listed when it leads from one entity, or from at most
    `SamplerOptions.expansion_limit` of them along at most as many edges; an intersection, when a branch is listed with
    at most as many entities; a union, when all of its branches are, with at most as many together. A query that most
    candidates answer is listed after all, and so is every multi-hop query if their number of answers is bounded;
    without a limit a thread may hold as many entities as the graph has for each of 256 queries.

    *Corruption* is PyKEEN's word for what negatives are drawn by. With "degree" they are drawn in proportion to their
    number of edges. With "typed" (PyKEEN: pseudo-typed; Krompass et al., ISWC 2015) one of the relations that lead to
    the answer is drawn uniformly for each negative, then uniformly one of the entities that it leads to from anywhere.
    These relations are the last ones of a query that are not negated: of 2p the second, of 2i and 2u both, of 2in the
    first; in general those with no relation above them in the query tree, and an even number of negations. Where there
    are none, negatives are uniform. Draws that are answers are drawn again, up to 64 times. If one of the negatives of
    a query is an answer even then (most often because all that may be drawn are answers) all negatives of this query
    are drawn uniformly instead. `QueryBatch.log_weights` weighs each against a uniform draw, by the draw that it comes
    from: exactly, and 0 where a query fell back. "degree" keeps 4 bytes an entity in memory, "typed" 4 bytes a run.

    Every draw is a function of (seed, batch, lane), or of the seed and a place in an epoch: batches do not depend on
    the number of threads, and a stream that starts at batch n equals the rest of one that started at 0.

    Args:
        graph: the graph; its training edges are the truth that negatives are checked against.
        options: what determines the stream.
        threads: native threads that make batches; they run without the interpreter's lock.
        ahead: how many batches may wait for the trainer.

    Raises:
        GraphkitError: the graph has no edges, there are more negatives than entities, or an option is out of range.
        CannotDraw: when a batch is asked for: a structure cannot be drawn on this graph; with the statistics.
    """

    def __init__(
        self, graph: KnowledgeGraph, options: SamplerOptions | None = None, *, threads: int = 1, ahead: int = 4
    ) -> None:
        super().__init__(threads=threads, ahead=ahead)
        if graph.num_edges == 0:
            raise GraphkitError("the graph has no training triples to draw queries from; give it some")
        self.graph = graph
        self.options = options or SamplerOptions()
        if self.options.negatives > graph.num_entities:
            raise GraphkitError(
                f"negatives is {self.options.negatives}, and the graph has {graph.num_entities} entities, so that no "
                "query has as many non-answers; give fewer, or mode=none with a loss over all entities"
            )
        self._outcomes = np.zeros((len(self.options.parsed), len(fields(SamplingStatistics))), dtype=np.int64)

    @property
    def batches_per_epoch(self) -> int:
        """Batches that hold as many queries as there are directed edges, rounded up."""
        return math.ceil(2 * self.graph.num_edges / self.options.batch_size)

    @property
    def statistics(self) -> dict[str, SamplingStatistics]:
        """What became of the attempts of the batches delivered by this sampler, by structure."""
        merged: dict[str, SamplingStatistics] = {}
        for structure, counted in zip(self.options.parsed, self._outcomes.tolist(), strict=True):
            merged[structure.name] = merged.get(structure.name, SamplingStatistics()) + SamplingStatistics(*counted)
        return merged

    def _made(self, parts: Any) -> QueryBatch:
        number, sizes, rows, positives, counts, counted, log_probs, *negatives, outcomes, failed = parts
        candidates, mask, log_weights = map(as_tensor, negatives)
        if failed >= 0:
            self.close()  # whoever asks again starts at the same batch
            raise _cannot_draw(self.options.parsed[failed], SamplingStatistics(*outcomes[failed].tolist()))
        self._outcomes += outcomes
        return QueryBatch(
            number=number,
            segments=tuple(_segments(self.options.parsed, sizes.tolist(), torch.from_numpy(rows))),
            positives=torch.from_numpy(positives),
            answer_counts=torch.from_numpy(counts),
            counted=torch.from_numpy(counted),
            log_probs=torch.from_numpy(log_probs),
            negatives=candidates,
            mask=mask,
            log_weights=log_weights,
        )

    def _start(self) -> Any:
        options = self.options
        return _native.QueryStream(
            self.graph.index.native,
            structures=[(program_code(structure), structure.width) for structure in options.parsed],
            batch_size=options.batch_size,
            negatives=options.negatives,
            chunks=options.chunks,
            mode=NEGATIVE_MODES.index(options.mode),
            corruption=CORRUPTIONS.index(options.corruption),
            answers=ANSWER_DRAWS.index(options.answers),
            backtracking=options.backtracking,
            expansion_limit=2**63 - 1 if options.expansion_limit is None else options.expansion_limit,
            min_answers=options.min_answers,
            max_answers=2**63 - 1 if options.max_answers is None else options.max_answers,
            attempts=ATTEMPTS,
            seed=options.seed,
            threads=self.threads,
            ahead=self.ahead,
            first=self.position,
        )


def _cannot_draw(structure: Structure, counted: SamplingStatistics) -> CannotDraw:
    reasons = {
        "an entity without edges": counted.dead_ends,
        "two equal branches": counted.repeated,
        "a relation followed by its inverse": counted.backtracked,
        "an answer that a negated branch refutes": counted.refuted,
        "all entities as answers": counted.everything,
        "fewer or more answers than wanted": counted.out_of_bounds,
    }
    met = ", ".join(f"{number:,} times {reason}" for reason, number in reasons.items() if number)
    return CannotDraw(
        structure, f"{counted.drawn:,} of {counted.attempts:,} attempts gave one, and the others met {met}"
    )


def _segments(parsed: tuple[Structure, ...], sizes: list[int], rows: torch.Tensor) -> Iterator[Segment]:
    """Yields the segments as views of the ids of all; neighbouring queries of one structure are one segment."""
    lane = place = 0
    drawn = ((structure, size) for structure, size in zip(parsed, sizes, strict=True) if size > 0)
    for structure, shares in groupby(drawn, key=itemgetter(0)):
        size = sum(queries for _, queries in shares)
        ids = size * structure.width
        yield Segment(structure, slice(lane, lane + size), rows[place : place + ids].view(size, structure.width))
        lane, place = lane + size, place + ids
