"""What is compiled at run time, kernels of one kind and dtype, has the kernel that is launched, and together all."""

from __future__ import annotations

import pytest
from shim.build import source_of
from shim.kernels import kernels_in

from graphkit.engine.cuda.sources import read_source


@pytest.mark.parametrize(("file", "each"), [("pair_scores", 6), ("rank_counts", 1)])
def test_every_kernel_is_among_the_few_of_its_kind_and_dtype(file: str, each: int) -> None:
    source, path = read_source(file), source_of(file)
    everything = kernels_in(path)
    parts: dict[tuple[str, ...], dict[str, int | None]] = {}
    for kernel in everything:
        defines = source.defines(kernel)
        parts[defines] = kernels_in(path, *defines)
        assert kernel in parts[defines]
        assert len(parts[defines]) <= each
    assert sum(map(len, parts.values())) == len(everything)
    assert {name: bound for part in parts.values() for name, bound in part.items()} == everything
