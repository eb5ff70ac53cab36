"""The linear probe equals scikit-learn's classifier on each split, keeps sparse rows sparse, and says what it lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix, issparse
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from torch import Tensor

from graphkit import GraphkitError
from graphkit.evaluation import ProbeResult, linear_probe, no_training, probe
from graphkit.nodes.propagation import normalized
from graphkit.nodes.splits import NodeSplit, random_splits


def labelled(nodes: int = 90, classes: int = 3, width: int = 6, *, noise: float = 1.5) -> tuple[Tensor, Tensor]:
    """Points around one centre for each class, and their classes."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(nodes) % classes
    centres = torch.randn(classes, width, generator=generator)
    return centres[y] + noise * torch.randn(nodes, width, generator=generator), y


def sklearn_accuracies(x: Tensor, y: Tensor, splits: list[NodeSplit], *, c: float = 1.0) -> list[float]:
    fits = [
        OneVsRestClassifier(LogisticRegression(solver="liblinear", C=c, max_iter=400)).fit(x[s.train], y[s.train])
        for s in splits
    ]
    return [float(fit.score(x[s.test], y[s.test])) for fit, s in zip(fits, splits, strict=True)]


def split(train: list[int], test: list[int]) -> NodeSplit:
    return NodeSplit(torch.tensor(train), torch.tensor(test))


@pytest.mark.parametrize("c", [1.0, 0.01])
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("sparse", [False, True])
def test_accuracies_are_those_of_one_vs_rest_liblinear(classes: int, sparse: bool, c: float) -> None:
    x, y = labelled(classes=classes)
    if sparse:
        x = x * (torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.3)
    assert issparse(probe._rows(x)) == sparse
    splits = random_splits(y, number=6, per_class=5)
    found = linear_probe(x, y, splits, c=c)
    assert found.accuracies.tolist() == pytest.approx(sklearn_accuracies(x, y, splits, c=c), abs=1e-12)
    assert len(set(found.accuracies.tolist())) > 1
    assert found.unconverged == 0


def test_the_result_has_the_mean_and_the_population_deviation() -> None:
    result = ProbeResult(np.array([0.5, 0.7, 0.9]), 0)
    assert result.mean == pytest.approx(0.7)
    assert result.std == pytest.approx((0.08 / 3) ** 0.5)


def test_nodes_without_a_label_are_on_neither_side() -> None:
    x, y = labelled()
    everything = split(list(range(0, 90, 2)), list(range(1, 90, 2)))
    hidden = y.clone()
    hidden[[2, 4, 9, 11]] = -1
    train, test = (side[hidden[side] >= 0] for side in (everything.train, everything.test))
    expected = linear_probe(x, y, [NodeSplit(train, test)]).accuracies
    garbage = x.clone()
    garbage[[2, 4, 9, 11]] = 1e6
    assert linear_probe(garbage, hidden, [everything]).accuracies == pytest.approx(expected, abs=0)


def test_a_class_that_training_lacks_counts_as_wrong() -> None:
    x, y = torch.tensor([[-1.0], [1.0], [-2.0], [2.0], [2.0]]), torch.tensor([0, 1, 0, 1, 7])
    assert linear_probe(x, y, [split([0, 1], [2, 3, 4])]).accuracies.tolist() == [2 / 3]


def test_classes_may_have_any_numbers_and_constant_embeddings_a_defined_result() -> None:
    x, y = labelled()
    splits = random_splits(y, number=3, per_class=5)
    one, other = linear_probe(x, y, splits), linear_probe(x, 10 * y + 3, splits)
    assert one.accuracies.tolist() == other.accuracies.tolist()
    assert linear_probe(torch.ones_like(x), y, splits).accuracies.tolist() == pytest.approx([1 / 3] * 3)


def test_fits_that_meet_their_limit_are_counted_and_said() -> None:
    x, y = labelled()
    with pytest.warns(UserWarning) as caught:
        result = linear_probe(x, y, random_splits(y, number=2, per_class=5), max_iter=1)
    assert [str(warning.message) for warning in caught] == [
        "6 classifiers of a linear probe did not converge in 1 iterations"
    ]
    assert result.unconverged == 6


def test_the_rows_without_training_are_features_after_each_hop() -> None:
    x, y = labelled()
    drawn = np.triu(np.random.default_rng(0).random((90, 90)) < 0.1, k=1)
    hat = normalized(csr_matrix((drawn | drawn.T).astype(np.float32)))
    splits = random_splits(y, number=3, per_class=5)
    found = no_training(x, hat, y, splits)
    assert list(found) == ["X", "AX", "A2X", "A3X"]
    for hops, result in enumerate(found.values()):
        features = torch.linalg.matrix_power(hat.to_dense().double(), hops).float() @ x
        assert result.accuracies.tolist() == pytest.approx(sklearn_accuracies(features, y, splits), abs=0.02)


def test_cora_without_training_has_the_measured_accuracies(graphkit_data: Path) -> None:
    """Ten of the fifty splits; StructComp's own gave 0.5804, 0.7667, 0.8050 and 0.8099 (deviation 0.011 to 0.017)."""
    from graphkit.nodes import adjacency, load

    graph = load("cora", root=graphkit_data)
    found = no_training(graph.x, normalized(adjacency(graph)), graph.y, random_splits(graph.y, number=10))
    means = [result.mean for result in found.values()]
    assert means == pytest.approx([0.580, 0.767, 0.805, 0.810], abs=0.015)
    assert all(0.005 < result.std < 0.03 for result in found.values())


# ------------------------------------------------------------------------------------------------------------- errors


def refusal(x: Tensor, y: Tensor, splits: list[NodeSplit]) -> str:
    with pytest.raises(GraphkitError) as error:
        linear_probe(x, y, splits)
    return str(error.value)


def test_embeddings_that_are_not_finite_are_refused_with_their_node() -> None:
    x, y = labelled()
    x[7, 2], x[11, 0] = torch.nan, torch.inf
    assert refusal(x, y, random_splits(y, number=1, per_class=5)) == (
        "the embedding of node 7 is not finite (2 of 90 are not); look for NaN in the features, or lower optimizer.lr"
    )


def test_what_a_probe_cannot_do_without_is_named() -> None:
    x, y = labelled()
    assert refusal(x, y[:80], [split([0], [1])]) == (
        "the probe got 90 embeddings and 80 labels; give one label for each (-1 for none)"
    )
    assert refusal(x, y, []) == "the probe got no splits; give at least one"
    hidden = y.clone()
    hidden[[4, 5]] = -1
    good = split([0, 1], [2, 3])
    lacking = "side of split 1 has no labelled node; at least one is needed"
    assert refusal(x, hidden, [good, split([4, 5], [2])]) == f"the training {lacking}"
    assert refusal(x, hidden, [good, split([0, 1], [4])]) == f"the test {lacking}"
    assert refusal(x, y, [good, split([0, 3], [2])]) == (
        "the training side of split 1 has nodes of class 0 alone; at least 2 classes are needed"
    )
