"""Files and folders that appear whole or not at all: written under a temporary name beside the goal, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graphkit.errors import GraphkitError


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_error(goal: Path, error: OSError) -> GraphkitError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GraphkitError(
            f"{goal} was not written: the disk is full; what stood there before is untouched; free some space "
            "and run the same command again"
        )
    return GraphkitError(f"{goal} was not written: {error.strerror or error}; choose another folder or its permissions")


@contextmanager
def new_folder(goal: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields an empty folder to fill; when the block ends well it becomes `goal`, else it vanishes.

    Args:
        goal: the folder to make; its parents are made too.
        overwrite: replace an existing `goal` instead of refusing.

    Raises:
        GraphkitError: `goal` exists and `overwrite` is false, or it cannot be written (disk full, permissions).
    """
    if goal.exists() and not overwrite:
        raise GraphkitError(f"{goal} exists already; choose another folder or say overwrite (--overwrite)")
    part = goal.parent / f".{goal.name}.part-{os.getpid()}"
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        for path in sorted(part.rglob("*")):
            if path.is_file():
                _fsync(path)
        if goal.exists():
            old = goal.parent / f".{goal.name}.old-{os.getpid()}"
            goal.rename(old)
            part.rename(goal)
            shutil.rmtree(old)
        else:
            part.rename(goal)
        _fsync(goal.parent)
    except OSError as error:
        raise _write_error(goal, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_text(goal: Path, text: str) -> None:
    """Writes `text` (UTF-8) to `goal`, which holds either its old content or all of the new.

    Raises:
        GraphkitError: the file cannot be written (disk full, permissions).
    """
    part = goal.with_name(f".{goal.name}.part-{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        _fsync(part)
        part.replace(goal)
    except OSError as error:
        raise _write_error(goal, error) from error
    finally:
        part.unlink(missing_ok=True)
