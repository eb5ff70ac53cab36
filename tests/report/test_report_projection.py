"""Projections are principal components of rows of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import write_embeddings

from graphkit.errors import GraphkitError
from graphkit.report.projection import principal_components, project


def rows_of(folder: Path) -> np.ndarray:
    return np.array(pq.read_table(folder / "embeddings.parquet")["embedding"].to_pylist())


@given(st.integers(2, 30), st.integers(2, 8), st.integers(0, 99))
def test_components_are_those_of_a_singular_value_decomposition(count: int, dim: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((count, dim))
    points, explained = principal_components(rows)
    u, s, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    k = min(2, len(s))
    np.testing.assert_allclose(np.abs(points[:, :k]), np.abs(u[:, :k] * s[:k]), atol=1e-6)
    assert explained[:k] == pytest.approx((s**2 / (s**2).sum())[:k], abs=1e-6)


def test_the_sign_of_a_component_is_fixed() -> None:
    rows = np.array([[0.0, 0.0], [4.0, 0.1], [8.0, -0.1]])
    points, _ = principal_components(rows)
    mirrored, _ = principal_components(rows[::-1])
    assert points[0, 0] < points[2, 0]
    np.testing.assert_allclose(points, mirrored[::-1], atol=1e-9)


@pytest.mark.parametrize("rows", [np.ones((5, 3)), np.arange(4.0)[:, None]], ids=["equal rows", "one column"])
def test_rows_without_a_second_component_lie_on_a_line(rows: np.ndarray) -> None:
    points, explained = principal_components(rows)
    assert points.shape == (len(rows), 2)
    np.testing.assert_allclose(points[:, 1], 0, atol=1e-9)
    assert explained[1] == pytest.approx(0)


def test_all_nodes_are_drawn_where_there_are_few(tmp_path: Path) -> None:
    write_embeddings(tmp_path, 50, ["a", None, "b"], 6, np.random.default_rng(0))
    found = project(tmp_path, most=50)
    labels = pq.read_table(tmp_path / "embeddings.parquet")["label"].to_pylist()
    np.testing.assert_allclose(found.points, principal_components(rows_of(tmp_path))[0], atol=1e-5)
    assert found.labels == [label or "" for label in labels]
    assert found.nodes == 50


def test_a_sample_is_of_distinct_nodes_and_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import graphkit.report.projection as module

    monkeypatch.setattr(module, "_BLOCK", 17)  # a sample spans blocks
    write_embeddings(tmp_path, 100, list(range(100)), 4, np.random.default_rng(1))
    labels = [str(label) for label in pq.read_table(tmp_path / "embeddings.parquet")["label"].to_pylist()]
    one, again, other = (project(tmp_path, most=30, seed=seed) for seed in (3, 3, 4))
    drawn = np.sort(np.random.default_rng(3).choice(100, 30, replace=False))
    assert one.labels == [labels[i] for i in drawn]
    np.testing.assert_allclose(one.points, principal_components(rows_of(tmp_path)[drawn])[0], atol=1e-5)
    np.testing.assert_array_equal(one.points, again.points)
    assert one.labels != other.labels
    assert one.nodes == 100


def test_labels_below_zero_are_none_at_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_embeddings(tmp_path, 20, [-1], 4, rng)
    assert project(tmp_path, most=20).labels is None
    write_embeddings(tmp_path, 20, None, 4, rng)
    assert project(tmp_path, most=20).labels is None


def test_damaged_embeddings_are_named(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(GraphkitError) as refused:
        project(tmp_path, most=9)
    assert str(refused.value) == (
        f"{path} is missing or damaged; restore it from a copy, or train again with another run_dir"
    )
