"""The scripts that measure the engine print what was promised."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
MACHINE = {"measured": {}, "stored": {}, "comparable": False, "reason": "a test", "cores_used_by_others": 0.0}


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes the scripts importable; the machine is not measured."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import calibration

    monkeypatch.setattr(calibration, "calibrate", lambda: MACHINE)
    monkeypatch.setattr(calibration, "lines", lambda _: [])
    yield
    for name in ("calibration", "sparse_optimizers"):
        sys.modules.pop(name, None)


def test_the_optimizer_benchmark_prints_its_promised_object(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sparse_optimizers

    words = "--entities 5000 --dim 33 --rows 700 --rounds 2 --json"
    monkeypatch.setattr(sys, "argv", ["sparse_optimizers", *words.split()])
    threads = torch.get_num_threads()
    assert sparse_optimizers.main() == 0
    assert torch.get_num_threads() == threads
    result = json.loads(capsys.readouterr().out)
    assert result["calibration"] == MACHINE
    assert (result["entities"], result["dim"], result["rows"]) == (5000, 33, 700)
    assert list(result["threads"]) == ["1", "2"]
    for found in result["threads"].values():
        assert found["ratio_sparse_adam"] == pytest.approx(found["torch"]["wall_ms"] / found["graphkit"]["wall_ms"])
        for name, moved in {"adam": 7, "adagrad": 5, "row_adagrad": 3, "sgd": 3, "copy_update": 2}.items():
            moved_gb = 4e-9 * moved * 700 * 33
            assert found[name]["gb_per_s"] == pytest.approx(1e3 * moved_gb / found[name]["wall_ms"])
        assert found["fraction_of_limit"] == pytest.approx(found["adam"]["gb_per_s"] / found["copy_update"]["gb_per_s"])
    for name in ("ratio_sparse_adam", "fraction_of_limit"):
        assert result[name] == min(found[name] for found in result["threads"].values())
    assert result["row_adagrad_ms_1_thread"] == result["threads"]["1"]["row_adagrad"]["wall_ms"]


def test_equal_work_gives_equal_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch counts the steps of the table and we those of a row, which agree where every step names every row."""
    import sparse_optimizers

    tables, generator = sparse_optimizers.Tables(30, 5), torch.Generator().manual_seed(0)
    assert torch.equal(tables.table.weight, tables.embedding.weight)
    for _ in range(4):
        ids = torch.cat([torch.randperm(30, generator=generator), torch.randint(0, 30, (9,), generator=generator)])
        gradient = torch.randn(39, 5, generator=generator)
        tables.torch_step(ids, gradient)
        tables.own_step(ids, gradient)
    torch.testing.assert_close(tables.table.weight, tables.embedding.weight.detach(), rtol=1e-5, atol=1e-6)


def test_sizes_that_cannot_be_drawn_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sparse_optimizers

    monkeypatch.setattr(sys, "argv", ["sparse_optimizers", "--entities", "10", "--rows", "11", "--json"])
    assert sparse_optimizers.main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "sparse_optimizers: rows is 11, entities 10, dim 400 and rounds 9; give positive numbers, and no more rows "
        "than entities\n"
    )
