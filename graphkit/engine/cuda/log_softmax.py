"""Cross entropy over all rows on a GPU: the operations of `engine.kernels.log_softmax`, whose products are torch's."""

from __future__ import annotations

import torch
from torch import Tensor

from graphkit.engine.cuda.extents import WARP, of_blocks, of_teams
from graphkit.engine.cuda.launcher import Launcher
from graphkit.engine.kernels.log_softmax import cross_entropies_by, gradients_by

_NAMES = {torch.float32: "f32", torch.bfloat16: "bf16"}

#: Pieces that a chunk is cut into, if they are not too short then: several for each multiprocessor of the largest card.
_PIECES = 1024

#: Logits that are worth a block of their own.
_LEAST_OF_PIECE = 4096


class CudaPieces:
    """What is done with the logits of a chunk: see `engine.kernels.log_softmax.Pieces`."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher

    def add_sums(self, logits: Tensor, most: Tensor, totals: Tensor) -> None:
        """Goes on with the largest logit of each row and the sum of e^(logit - largest), in place."""
        rows, columns = logits.shape
        if logits.numel() == 0:
            return
        parts = _parts(rows, columns)
        of_parts = most.new_empty(2, rows, parts)
        self._launch("sums", logits, parts, of_parts[0], of_parts[1])
        grid, block, lanes = of_teams(rows, parts)
        self._launcher.launch(
            "log_softmax",
            "log_softmax_merge",
            grid,
            block,
            [of_parts[0], of_parts[1], rows, parts, lanes, most, totals],
        )

    def weigh(self, logits: Tensor, normalisers: Tensor, weights: Tensor) -> None:
        """Replaces logits by weight · e^(logit - normaliser)."""
        if logits.numel() > 0:
            self._launch("gradients", logits, _parts(*logits.shape), normalisers, weights)

    def _launch(self, kernel: str, logits: Tensor, parts: int, *others: Tensor) -> None:
        rows, columns = logits.shape
        # Four loads of 16 bytes and more a thread.
        grid, block = of_blocks(rows * parts, -(-columns // parts), items_of_thread=64 // logits.element_size())
        self._launcher.launch(
            "log_softmax",
            f"log_softmax_{kernel}_{_NAMES[logits.dtype]}",
            grid,
            (min(block[0], 8 * WARP), 1, 1),
            [logits, rows, columns, parts, *others],
        )


def cross_entropies(
    launcher: Launcher, queries: Tensor, rows: Tensor, targets: Tensor, rounded: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """See `engine.kernels.log_softmax.cross_entropies`."""
    return cross_entropies_by(CudaPieces(launcher), queries, rows, targets, rounded)


def cross_entropy_gradients(
    launcher: Launcher,
    gradient: Tensor,
    queries: Tensor,
    rows: Tensor,
    targets: Tensor,
    normalisers: Tensor,
    kept: Tensor,
    rounded: bool,
) -> tuple[Tensor, Tensor]:
    """See `engine.kernels.log_softmax.cross_entropy_gradients`."""
    return gradients_by(CudaPieces(launcher), gradient, queries, rows, targets, normalisers, kept, rounded)


def _parts(rows: int, columns: int) -> int:
    """Returns how many parts each row is cut into: of shapes alone, since sums depend on it."""
    return max(1, min(-(-_PIECES // rows), columns // _LEAST_OF_PIECE))
