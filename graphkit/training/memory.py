"""Peak memory of the process, anonymous pages and mapped file pages apart."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType

_STATUS = Path("/proc/self/status")
_INTERVAL_SECONDS = 0.2


def _resident_mib() -> tuple[float, float]:
    """Returns anonymous (with shared) and file-backed resident memory in MiB; zeros where the system has no /proc."""
    if not _STATUS.exists():
        return 0.0, 0.0
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
    kib = {key: int(fields.get(key, "0 kB").split()[0]) for key in ("RssAnon", "RssShmem", "RssFile")}
    return (kib["RssAnon"] + kib["RssShmem"]) / 1024, kib["RssFile"] / 1024


class MemoryWatch:
    """Samples the memory of the process while a block runs: the kernel keeps no peak of anonymous pages alone."""

    def __init__(self) -> None:
        self.peak_anon_mib = 0.0
        self.peak_file_mib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="graphkit-memory", daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL_SECONDS):
            self._sample()

    def _sample(self) -> None:
        anon, file = _resident_mib()
        self.peak_anon_mib = max(self.peak_anon_mib, anon)
        self.peak_file_mib = max(self.peak_file_mib, file)
