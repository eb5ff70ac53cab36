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
    for path in SCRIPTS.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_the_optimizer_benchmark_prints_its_promised_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sparse_optimizers

    files = f"--out {tmp_path / 'result.json'} --picture {tmp_path / 'bars.svg'}"
    words = f"--entities 5000 --dim 33 --rows 700 --rounds 2 --json {files}"
    monkeypatch.setattr(sys, "argv", ["sparse_optimizers", *words.split()])
    threads = torch.get_num_threads()
    assert sparse_optimizers.main() == 0
    assert torch.get_num_threads() == threads
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((tmp_path / "result.json").read_text())
    assert (tmp_path / "bars.svg").exists()
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
        "sparse_optimizers: rows is 11, entities 10, dim 400, rounds 9 and threads 2; give positive numbers, and no "
        "more rows than entities\n"
    )


@pytest.fixture
def _two_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """The narrowest instruction set and the widest stand for all, where there are two."""
    from graphkit import _native

    paths = _native.kernel_paths()
    monkeypatch.setattr(_native, "kernel_paths", lambda: list(dict.fromkeys([paths[0], paths[-1]])))


@pytest.mark.usefixtures("_two_paths")
def test_the_kernel_benchmark_prints_its_promised_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import kernels

    from graphkit import _native

    words = f"--shrink 64 --dim 8 --rounds 1 --json --picture {tmp_path / 'bars.svg'}"
    monkeypatch.setattr(sys, "argv", ["kernels", *words.split()])
    assert kernels.main() == 0
    streams = capsys.readouterr()
    assert streams.err
    result = json.loads(streams.out)
    assert (tmp_path / "bars.svg").exists()
    pairs = [
        f"pair_scores {kind} {mode}" for mode in ("own", "shared") for kind in ("dot", "l1", "l2", "rotate", "box")
    ]
    others = ["cross_entropy fp32", "cross_entropy bf16", "softplus_terms", "beta_moments", "count_pairs l1"]
    assert list(result["kernels"]) == pairs + others
    paths = _native.kernel_paths()
    for name, parts in result["kernels"].items():
        assert list(parts) == (["forward"] if name == "count_pairs l1" else ["forward", "backward"])
        every_path = name in pairs and name != "pair_scores dot shared"
        for row in parts.values():
            assert list(row["paths"]) == (paths if every_path else paths[-1:])
    # 16 queries of 4 candidates each, 8 wide: 5 flop each backwards, and a real of 4 bytes read.
    row = result["kernels"]["pair_scores l1 own"]["backward"]
    assert (row["flop"], row["bytes"]) == (5 * 16 * 4 * 8, 4 * 16 * 4 * 8)
    least = {
        "gemm_fp32_gflop_per_s": 1e-6 * row["flop"] / result["limits"]["gemm_fp32_gflop_per_s"],
        "random_rows_gb_per_s": 1e-6 * row["bytes"] / result["limits"]["random_rows_gb_per_s"],
    }
    assert row["limit"] == max(least, key=lambda name: least[name])
    for figures in row["paths"].values():
        assert figures["gflop_per_s"] == pytest.approx(1e-6 * row["flop"] / figures["wall_ms"])
        assert figures["gb_per_s"] == pytest.approx(1e-6 * row["bytes"] / figures["wall_ms"])
        assert figures["share_of_limit"] == pytest.approx(least[row["limit"]] / figures["wall_ms"])
        assert figures["ratio_twin"] == pytest.approx(row["twin"]["wall_ms"] / figures["wall_ms"])


def test_a_kernel_and_its_twin_do_equal_work(monkeypatch: pytest.MonkeyPatch) -> None:
    import kernel_cases

    for parts in ("PAIR_PARTS", "COUNT_PARTS", "MOMENT_PARTS"):
        monkeypatch.setattr(kernel_cases, parts, 1)
    sizes = kernel_cases.Sizes.shrunk(6, 100)
    for case in kernel_cases.cases(sizes, torch.Generator().manual_seed(0)):
        one, other = case.native.run(), case.twin.run()
        assert [found.shape for found in one] == [found.shape for found in other]
        if case.name.startswith(("cross_entropy", "softplus_terms")):  # their data are the same
            torch.testing.assert_close(one[0], other[0], rtol=2e-2 if "bf16" in case.name else 1e-5, atol=1e-5)
        ours, theirs = ({part: run() for part, run in side.passes()} for side in (case.native, case.twin))
        assert list(ours) == list(theirs) == ["forward", *(["backward"] if case.native.inputs else [])]
        for found, expected in zip(ours.get("backward", ()), theirs.get("backward", ()), strict=True):
            assert found.shape == expected.shape
            assert found.isfinite().all()


@pytest.mark.parametrize(("name", "axis"), [("pair_scores l1 own", 0), ("beta_moments", 0), ("count_pairs l1", 1)])
def test_a_twin_is_scaled_by_the_part_of_the_work_that_it_does(name: str, axis: int) -> None:
    import kernel_cases

    sizes = kernel_cases.Sizes.shrunk(6, 100)
    made = {case.name: case for case in kernel_cases.cases(sizes, torch.Generator().manual_seed(0))}[name]
    assert made.native.run()[0].shape[axis] == made.twin_parts * made.twin.run()[0].shape[axis]
    assert made.twin_parts > 1


def test_instruction_sets_are_put_back_after_a_failure() -> None:
    import kernels

    from graphkit import _native

    chosen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_native, "choose_kernels", chosen.append)
        with pytest.raises(ValueError, match="stop"), kernels.chosen("portable"):
            raise ValueError("stop")
    assert chosen == ["portable", _native.kernel_paths()[-1]]


def test_sizes_of_the_kernel_benchmark_that_cannot_be_run_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import kernels

    monkeypatch.setattr(sys, "argv", ["kernels", "--dim", "7", "--json"])
    assert kernels.main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == ("kernels: dim is 7, rounds 5 and shrink 1; give numbers of 1 or more, and an even dim\n")
