"""The operations that kernels.py measures: their data, their plain twins, and the work that they are counted with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from graphkit.engine import kernels
from graphkit.engine.kernels.beta_moments import reference as reference_moments
from graphkit.engine.kernels.log_softmax import reference as reference_cross_entropy
from graphkit.engine.kernels.negative_terms import reference_softplus_terms
from graphkit.engine.kernels.pair_scores import reference as reference_scores
from graphkit.engine.kernels.rank_counts import reference_counts

#: Floating-point operations of a pair and a real dimension; roots of RotatE are not counted.
FORWARD_FLOP = {"dot": 2.0, "l1": 3.0, "l2": 3.0, "rotate": 3.5, "box": 8.0}
BACKWARD_FLOP = {"dot": 4.0, "l1": 5.0, "l2": 5.0, "rotate": 5.0, "box": 8.0}
PARTS = ("forward", "backward")

#: A twin of pair scores does a share of the work, since it holds [V, K, D] several times; as many parts make up all.
PAIR_PARTS = 8
#: The twin of counts holds [V, N, D].
COUNT_PARTS = 128
MOMENT_PARTS = 8


@dataclass(frozen=True)
class Sizes:
    """Numbers of rows, and their width."""

    dim: int
    queries: int
    negatives: int
    entities: int
    #: of the cross entropy
    targets: int
    classes: int
    #: of the moments
    betas: int
    #: of the counts
    ranked: int

    @classmethod
    def shrunk(cls, dim: int, divisor: int) -> Sizes:
        """Returns the sizes of a training step, all but the width divided, and at least 1."""
        full = {
            "queries": 1024,
            "negatives": 256,
            "entities": 40_943,
            "targets": 1000,
            "classes": 14_505,
            "betas": 10_000,
            "ranked": 512,
        }
        return cls(dim=dim, **{name: _part(size, divisor) for name, size in full.items()})


@dataclass(frozen=True)
class Operation:
    """An operation on given data."""

    run: Callable[[], tuple[Tensor, ...]]
    #: what gradients are taken of; without any there is no backward pass
    inputs: tuple[Tensor, ...] = ()

    def passes(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yields each pass by its name; that of the gradients takes what the forward pass returned, and follows it."""
        outputs: tuple[Tensor, ...] = ()

        def forward() -> None:
            nonlocal outputs
            outputs = self.run()

        yield "forward", forward
        if self.inputs:
            some = tuple(output for output in outputs if output.requires_grad)
            gradients = [torch.randn_like(output) for output in some]
            yield "backward", lambda: torch.autograd.grad(some, self.inputs, gradients)


@dataclass(frozen=True)
class Case:
    """An operation, its twin, and what is counted of both parts."""

    name: str
    native: Operation
    twin: Operation
    #: how many times the twin's work makes up the operation's
    twin_parts: float = 1.0
    flop: dict[str, float] = field(default_factory=dict)
    #: bytes
    moved: dict[str, float] = field(default_factory=dict)
    #: the limits of both, by their names in `machine_limits`
    flop_limit: str = "gemm_fp32_gflop_per_s"
    moved_limit: str = "copy_gb_per_s"
    #: whether every instruction set is measured, or the widest alone
    every_path: bool = False


def cases(sizes: Sizes, generator: torch.Generator) -> Iterator[Case]:
    """Makes the cases one after the other, so that the data of one are held at a time."""
    for mode in ("own", "shared"):
        for kind in FORWARD_FLOP:
            yield _pair_case(kind, mode, sizes, generator)
    for rounded in (False, True):
        yield _cross_entropy_case(rounded, sizes, generator)
    yield _softplus_case(sizes, generator)
    yield _moments_case(sizes, generator)
    yield _counts_case(sizes, generator)


def _pair_case(kind: kernels.Kind, mode: str, sizes: Sizes, generator: torch.Generator) -> Case:
    def operation(score: Callable[..., Tensor], parts: int) -> Operation:
        count = _part(sizes.queries, parts)
        # As many candidates for each row as of the whole, so that gradients of rows weigh as much.
        size = _part(sizes.entities, parts) if mode == "own" else sizes.negatives
        queries = _randn(generator, count, (2 if kind == "box" else 1) * sizes.dim).requires_grad_()
        rows = _randn(generator, size, sizes.dim).requires_grad_()
        places = torch.randint(0, size, (count, sizes.negatives), generator=generator) if mode == "own" else None
        return Operation(lambda: (score(kind, queries, rows, places, inside=0.02),), (queries, rows))

    numbers = float(sizes.queries * sizes.negatives * sizes.dim)
    return Case(
        f"pair_scores {kind} {mode}",
        operation(kernels.pair_scores, 1),
        operation(reference_scores, PAIR_PARTS),
        twin_parts=sizes.queries / _part(sizes.queries, PAIR_PARTS),
        flop={"forward": FORWARD_FLOP[kind] * numbers, "backward": BACKWARD_FLOP[kind] * numbers},
        # A row of its own for each pair; of shared rows, which stay in a cache, none are counted.
        moved={"forward": 4 * numbers, "backward": 4 * numbers} if mode == "own" else {},
        moved_limit="random_rows_gb_per_s",
        # Products with shared rows are torch's on every path.
        every_path=(kind, mode) != ("dot", "shared"),
    )


def _cross_entropy_case(rounded: bool, sizes: Sizes, generator: torch.Generator) -> Case:
    # Logits of unit variance, as far as their width allows.
    queries = (_randn(generator, sizes.targets, sizes.dim) * sizes.dim**-0.5).requires_grad_()
    rows = _randn(generator, sizes.classes, sizes.dim).requires_grad_()
    targets = torch.randint(0, sizes.classes, (sizes.targets,), generator=generator)

    def twin() -> tuple[Tensor, ...]:
        with torch.autocast(queries.device.type, torch.bfloat16, enabled=rounded):
            return (reference_cross_entropy(queries, rows, targets),)

    product = 2.0 * sizes.targets * sizes.classes * sizes.dim
    dtype = "bf16" if rounded else "fp32"
    return Case(
        f"cross_entropy {dtype}",
        Operation(lambda: (kernels.cross_entropy(queries, rows, targets, rounded=rounded),), (queries, rows)),
        Operation(twin, (queries, rows)),
        flop={"forward": product, "backward": 2 * product},
        flop_limit=f"gemm_{dtype}_gflop_per_s",
    )


def _softplus_case(sizes: Sizes, generator: torch.Generator) -> Case:
    negative = _randn(generator, sizes.queries, sizes.negatives).requires_grad_()
    mask = torch.rand(negative.shape, generator=generator) > 0.01

    def operation(terms: Callable[..., Tensor]) -> Operation:
        return Operation(lambda: (terms(negative, mask, sharpness=1.0),), (negative,))

    logits = float(negative.numel())
    return Case(
        "softplus_terms",
        operation(kernels.softplus_terms),
        operation(reference_softplus_terms),
        # A logit and its mask are read and a slope written; then a slope is read and a gradient written.
        moved={"forward": 9 * logits, "backward": 8 * logits},
    )


def _moments_case(sizes: Sizes, generator: torch.Generator) -> Case:
    def operation(moments: Callable[[Tensor], tuple[Tensor, Tensor]], parts: int) -> Operation:
        size = _part(sizes.betas, parts), 2 * sizes.dim
        parameters = torch.rand(size, generator=generator).mul_(10).add_(0.05).requires_grad_()
        return Operation(lambda: moments(parameters), (parameters,))

    numbers = 2.0 * sizes.betas * sizes.dim
    return Case(
        "beta_moments",
        operation(kernels.beta_moments, 1),
        operation(reference_moments, MOMENT_PARTS),
        twin_parts=sizes.betas / _part(sizes.betas, MOMENT_PARTS),
        # A parameter is read and an expectation written; then both and a gradient are read, and one is written.
        moved={"forward": 8 * numbers, "backward": 16 * numbers},
    )


def _counts_case(sizes: Sizes, generator: torch.Generator) -> Case:
    rows = _randn(generator, sizes.entities, sizes.dim)
    distance = kernels.PairDistance("l1", 0.0)
    none = torch.zeros(0, dtype=torch.int64)

    def data(count: int) -> tuple[Tensor, kernels.Answers]:
        queries = _randn(generator, count, sizes.dim)
        places = torch.randint(0, sizes.entities, (count, 1), generator=generator)
        scores = distance.scores(queries, rows, places).squeeze(1)
        return queries, kernels.Answers(scores, torch.arange(count + 1), none, none.new_zeros(count + 1))

    def twin() -> tuple[Tensor, ...]:
        scores = -reference_scores("l1", some, rows)
        parts = few.offsets, few.known, few.known_offsets
        return reference_counts(scores, few.scores, *parts, 0)

    queries, answers = data(sizes.ranked)
    some, few = data(_part(sizes.ranked, COUNT_PARTS))
    return Case(
        "count_pairs l1",
        Operation(lambda: kernels.count_pairs(distance, queries, rows, answers, first=0)),
        Operation(twin),
        twin_parts=sizes.ranked / len(some),
        flop={"forward": FORWARD_FLOP["l1"] * sizes.ranked * sizes.entities * sizes.dim},
    )


def _part(size: int, parts: int) -> int:
    return max(1, size // parts)


def _randn(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator)
