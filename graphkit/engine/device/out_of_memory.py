"""What is said where a device's memory does not suffice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from graphkit.errors import GraphkitError


@contextmanager
def explained(cache_rows: int) -> Iterator[None]:
    """Says within the block what makes room, where the device has none left.

    Args:
        cache_rows: as the engine was given.

    Raises:
        GraphkitError: torch could not allocate.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise GraphkitError(
            f"the device has too little memory for the batches beside {cache_rows} cached rows with their optimiser's "
            "state; lower engine.cache_rows or sampler.batch_size"
        ) from error
