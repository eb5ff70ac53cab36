"""``graphkit data import-nodes`` and ``list``, and ``graph=FOLDER`` for what they made."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphkit.cli.compose import _graph_overrides
from graphkit.cli.main import main
from graphkit.errors import GraphkitError
from graphkit.nodes import open_store


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return int(str(ended.value.code)), said.out, said.err


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "edges.csv").write_text("ann,bob\nbob,cid\n", encoding="utf-8")
    (tmp_path / "x.csv").write_text("id,age\nann,1\nbob,2\ncid,3\n", encoding="utf-8")
    return ["--edges", str(tmp_path / "edges.csv"), "--features", str(tmp_path / "x.csv")]


def test_an_import_says_what_it_understood_and_what_comes_next(
    tmp_path: Path, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "my graph")
    code, said, _ = run(capsys, "data", "import-nodes", *files, "--out", out)
    assert code == 0
    assert "3 nodes under their own ids, 1 features\n2 undirected edges of 2 rows\nno labels\n" in said
    assert said.splitlines()[-1] == f"next: graphkit train experiment=structcomp graph='{out}' run_dir=RUN"
    assert open_store(out).num_nodes == 3
    code, _, error = run(capsys, "data", "import-nodes", *files, "--out", out)
    assert (code, error) == (
        2,
        f"graphkit: {out} exists already; choose another folder or say overwrite (--overwrite)\n",
    )
    assert run(capsys, "data", "import-nodes", *files, "--out", out, "--overwrite")[0] == 0


def test_a_folder_is_a_graph_for_train(tmp_path: Path, files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "papers"
    run(capsys, "data", "import-nodes", *files, "--out", str(out))
    assert _graph_overrides(f"graph={out}", []) == ["graph=node_store", f"graph.path='{out}'"]
    with pytest.raises(GraphkitError) as error:
        _graph_overrides(f"graph={tmp_path}", [])
    assert str(error.value).startswith(f"graph={tmp_path} exists but is no graph store; named graphs: actor, ")
    assert str(error.value).endswith("; a folder is made by graphkit data import (or import-nodes)")


def test_attributed_graphs_are_listed_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRAPHKIT_DATA", str(tmp_path))
    folder = tmp_path / "node/heterophilous"
    folder.mkdir(parents=True)
    (folder / "texas.npz").touch()
    code, said, _ = run(capsys, "data", "list")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in said.splitlines() if line.startswith("│")]
    listed = {row[0]: row[1:] for row in rows}
    assert code == 0
    assert listed["texas"] == ["183", "279", "1,703", "5", "yes"]
    assert listed["cora"] == ["2,708", "5,278", "1,433", "7", "no"]
    assert listed["wikics"] == ["", "", "", "", "from PyG"]
    assert listed["planted"][-1] == "built in"
    assert listed["wn18"][-1] == "no"
