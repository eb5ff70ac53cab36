"""Launches that are written to files, for programs that replay them under sanitizers."""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from shim.guarded import spans_of
from torch import Tensor

from graphkit.engine.cuda.launcher import Extent

#: Names the folder that launches are written to, if they are.
FOLDER = "GRAPHKIT_SHIM_CASES"

#: Most launches of a kernel, and of one extent, that are written: enough for every branch on shapes.
_MOST_CASES = 12
_MOST_OF_EXTENTS = 2

#: Larger ones take long to replay, and show no more.
_MOST_BYTES = 2**20

_written: Counter[tuple[object, ...]] = Counter()


def write_case(
    file: str,
    kernel: str,
    grid: Extent,
    block: Extent,
    arguments: Sequence[Tensor | int | float | None],
    shared_bytes: int,
    schedule_seed: int,
) -> None:
    """Writes a launch before it runs, as replay.cpp reads it, unless there are enough like it."""
    folder = os.environ.get(FOLDER)
    spans = spans_of(arguments)
    one, extents = (folder, file, kernel), (folder, file, kernel, grid, block)
    if folder is None or sum(span.end - span.begin for span in spans.values()) > _MOST_BYTES:
        return
    if _written[one] >= _MOST_CASES or _written[extents] >= _MOST_OF_EXTENTS:
        return
    _written.update([one, extents])
    numbers = {storage: number for number, storage in enumerate(spans)}
    lines = [" ".join(map(str, (kernel, *grid, *block, shared_bytes, schedule_seed, len(spans), len(arguments))))]
    lines += [f"{span.begin % 16} {span.end - span.begin}" for span in spans.values()]
    for argument in arguments:
        if isinstance(argument, Tensor):
            storage = argument.untyped_storage().data_ptr()
            lines.append(f"p {numbers[storage]} {argument.data_ptr() - spans[storage].begin}")
        else:
            lines.append("n" if argument is None else f"{'f' if isinstance(argument, float) else 'q'} {argument!r}")
    name = f"{kernel}-{os.getpid()}-{_written[one]}.case"
    target = Path(folder) / file / name
    target.parent.mkdir(parents=True, exist_ok=True)
    memory = b"".join(ctypes.string_at(span.begin, span.end - span.begin) for span in spans.values())
    target.write_bytes("\n".join(lines).encode() + b"\n" + memory)
