"""Arrays out of npz archives, of publishers and of users; arrays of Python objects are never read."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphkit.errors import GraphkitError


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Returns named arrays of an archive; those that nobody asks for are not looked at.

    Raises:
        GraphkitError: it is no npz archive, is damaged, lacks one of the arrays, or one is made of Python objects.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive]
            if missing:
                raise GraphkitError(
                    f"{path} lacks the arrays {', '.join(missing)}; it has {', '.join(archive.files) or 'none'}"
                )
            return {name: archive[name] for name in names}
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        # TypeError and AttributeError: np.load returns a plain array for a file of one, which is no context.
        raise GraphkitError(f"{path} cannot be read as an npz archive: {brief(error)}; fetch it again") from error


def brief(error: BaseException) -> str:
    """Returns what another library said of an error, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
