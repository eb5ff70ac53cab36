"""What the shim's errors name by numbers: lines and shared arrays."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


def explained(error: str, library: Path) -> str:
    """Returns an error with names where the shim left places in braces.

    Args:
        error: with ``{place N}``, a place in the library's code, and ``{fixed N}``, one among its shared arrays.
        library: that of the kernel, with its symbols.
    """
    error = re.sub(r"\{place (\d+)\}", lambda found: _line(int(found[1]), library), error)
    return re.sub(r"\{fixed (\d+)\}", lambda found: _shared_array(int(found[1]), library), error)


def _line(place: int, library: Path) -> str:
    """Returns the number of the line outside of the shim that a return address leads to."""
    # The call itself is before its return address. -i: those that it was inlined into follow.
    lines = _output("addr2line", "-i", "-e", str(library), hex(place - 1)).splitlines()
    shim = str(Path(__file__).parent)
    return next((line.split()[0].rpartition(":")[2] for line in lines if not line.startswith(shim)), "?")


def _shared_array(place: int, library: Path) -> str:
    for line in _output("readelf", "-sWC", str(library)).splitlines():
        parts = line.split(maxsplit=7)
        if len(parts) != 8 or parts[3] != "TLS":
            continue
        begin = int(parts[1], 16)
        if begin <= place < begin + int(parts[2], 0):
            return f"byte {place - begin} of {parts[7].rpartition('::')[2]}"
    return f"byte {place} of shared arrays"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
