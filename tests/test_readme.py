"""What README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def block_with(name: str) -> str:
    (found,) = [block for block in BLOCKS if name in block]
    return found


def test_the_library_examples_have_at_most_ten_lines() -> None:
    assert len(BLOCKS) == 3
    assert all(len([line for line in block.splitlines() if line]) <= 10 for block in BLOCKS)


def test_the_sampler_example_prints_a_pattern_for_each_structure(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block_with("QuerySampler("), "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3
    assert all(line.startswith("?x : ") for line in printed)
    assert "not " in printed[1]


def test_the_library_example_trains_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block_with("LinkTask("), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.count("Answer(") == printed.count("known=True") + 5
    assert "known=True" in printed
    assert (tmp_path / "library-run" / "metrics.json").is_file()


def test_the_example_of_nodes_embeds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block_with("ContrastiveTask("), "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("torch.Size([2000, 512])\n")
    assert (tmp_path / "nodes-run" / "embeddings.parquet").is_file()


def test_the_documented_make_targets_exist() -> None:
    makefile = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z-]+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
