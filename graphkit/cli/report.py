"""``graphkit report``: a page of what node runs measured."""

from __future__ import annotations

from collections.abc import Sequence

from graphkit.report import write_report


def run_report(folders: Sequence[str], *, out: str | None, overwrite: bool) -> int:
    """Writes the page and prints where it lies."""
    print(write_report(folders, out, overwrite=overwrite))
    return 0
