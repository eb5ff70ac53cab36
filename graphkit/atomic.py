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


def _exists(goal: Path) -> GraphkitError:
    return GraphkitError(f"{goal} exists already; choose another folder or say overwrite (--overwrite)")


def require_new(goal: Path, *, overwrite: bool) -> None:
    """Makes sure that `goal` may be written, before any work is done for it.

    Raises:
        GraphkitError: it exists and `overwrite` is false.
    """
    if goal.exists() and not overwrite:
        raise _exists(goal)


def write_error(goal: Path, error: OSError) -> GraphkitError:
    """Returns what to tell the user who wanted `goal` when the system refused to write."""
    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
        return _exists(goal)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return GraphkitError(
            f"{goal} was not written: the disk is full; what stood there before is untouched; free some space "
            "and try again"
        )
    return GraphkitError(
        f"{goal} was not written: {error.strerror or error}; choose another folder or change its permissions"
    )


def _remove_leftovers(goal: Path) -> None:
    """Removes what processes left that were killed while they wrote `goal`: parts, and what they had replaced."""
    replaced = goal.parent.glob(f".{goal.name}.old-*") if goal.exists() else ()
    for part in (*goal.parent.glob(f".{goal.name}.part-*"), *replaced):
        number = part.name.rpartition("-")[2]
        if not number.isdecimal() or int(number) == os.getpid() or not Path(f"/proc/{number}").exists():
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)


@contextmanager
def new_folder(goal: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields an empty folder to fill; when the block ends well it becomes `goal`, else it vanishes.

    Args:
        goal: the folder to make; its parents are made too.
        overwrite: replace an existing `goal` instead of refusing.

    Raises:
        GraphkitError: `goal` exists and `overwrite` is false, or it cannot be written (disk full, permissions).
    """
    require_new(goal, overwrite=overwrite)
    goal = goal.resolve() if goal.is_symlink() else goal
    part = goal.parent / f".{goal.name}.part-{os.getpid()}"
    try:
        _remove_leftovers(goal)
        part.mkdir(parents=True)
        yield part
        for path in sorted(part.rglob("*")):
            if path.is_file():
                _fsync(path)
        if overwrite and goal.exists():
            old = goal.parent / f".{goal.name}.old-{os.getpid()}"
            shutil.rmtree(old, ignore_errors=True)  # of a killed process that had the same number
            goal.rename(old)
            try:
                part.rename(goal)
            except OSError:
                old.rename(goal)
                raise
            shutil.rmtree(
                old, ignore_errors=True
            )  # what cannot be removed is no reason to say that nothing was written
        else:
            part.rename(goal)  # fails on a folder that another process has filled meanwhile
        _fsync(goal.parent)
    except OSError as error:
        raise write_error(goal, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def new_file(goal: Path) -> Iterator[Path]:
    """Yields the name of a file to write; when the block ends well it becomes `goal`, else it vanishes.

    Args:
        goal: the file to make; one that is there is replaced.

    Raises:
        GraphkitError: the file cannot be written (disk full, permissions).
    """
    part = goal.with_name(f".{goal.name}.part-{os.getpid()}")
    try:
        _remove_leftovers(goal)
        yield part
        _fsync(part)
        part.replace(goal)
    except OSError as error:
        raise write_error(goal, error) from error
    finally:
        part.unlink(missing_ok=True)


def write_text(goal: Path, text: str) -> None:
    """Writes `text` (UTF-8) to `goal`, which holds either its old content or all of the new.

    Raises:
        GraphkitError: the file cannot be written (disk full, permissions).
    """
    with new_file(goal) as part:
        part.write_text(text, encoding="utf-8")
