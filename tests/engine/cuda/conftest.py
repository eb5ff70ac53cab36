"""Every test finds nothing compiled, and nothing remembered of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from graphkit.engine.cuda import launcher, registration


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for remembered in (launcher.back_end, launcher._warn, registration.register, registration._warn_of_chunks):
        remembered.cache_clear()
    yield
    for remembered in (launcher.back_end, launcher._warn, registration.register, registration._warn_of_chunks):
        remembered.cache_clear()
