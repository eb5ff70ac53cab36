"""Splits: equally many training nodes of each class, all others for testing, the same for the same seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphkit.errors import GraphkitError
from graphkit.nodes import NodeGraph, NodeSplit, mask_splits, random_splits


@given(
    counts=st.lists(st.integers(4, 9), min_size=1, max_size=4),
    unlabelled=st.integers(0, 5),
    per_class=st.integers(1, 3),
    seed=st.integers(0, 3),
)
def test_a_split_takes_the_same_number_of_each_class_and_tests_all_others(
    counts: list[int], unlabelled: int, per_class: int, seed: int
) -> None:
    classes = torch.repeat_interleave(torch.arange(len(counts)) * 2, torch.tensor(counts))  # classes need not be dense
    y = torch.cat([classes, torch.full((unlabelled,), -1)])
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))]
    splits = random_splits(y, number=3, per_class=per_class, seed=seed)
    assert len(splits) == 3
    for split in splits:
        assert [int((y[split.train] == 2 * label).sum()) for label in range(len(counts))] == [per_class] * len(counts)
        assert torch.equal(torch.cat([split.train, split.test]).sort().values, (y >= 0).nonzero().flatten())
        assert torch.equal(split.train, split.train.sort().values)
        assert torch.equal(split.test, split.test.sort().values)


def test_splits_depend_on_the_seed_and_their_place_alone() -> None:
    y = torch.arange(200) % 4
    few, many = random_splits(y, number=2), random_splits(y, number=5)
    assert all(torch.equal(a.train, b.train) for a, b in zip(few, many, strict=False))
    trains = [tuple(split.train.tolist()) for seed in (0, 1) for split in random_splits(y, number=5, seed=seed)]
    assert len(set(trains)) == 10


def test_every_node_of_a_class_is_drawn_equally_often() -> None:
    y = torch.zeros(10, dtype=torch.int64)
    drawn = torch.cat([split.train for split in random_splits(y, number=2_000, per_class=3)])
    counts = torch.bincount(drawn, minlength=10)
    assert (counts - 600).abs().max() < 100  # five standard deviations


@pytest.mark.parametrize(
    ("y", "settings", "expected"),
    [
        (
            [0] * 30 + [1] * 12,
            {},
            "class 1 has 12 labelled nodes, and splits need 20 to train and at least one more to test; take fewer "
            "(task.labels_per_class=11), or label more nodes",
        ),
        ([-1, -1], {}, "no node has a label; splits need labels, so give y (or import with --labels)"),
        ([], {}, "no node has a label; splits need labels, so give y (or import with --labels)"),
        ([0, 0], {"per_class": 0}, "per_class is 0; at least 1 is needed"),
        ([0, 0], {"number": 0}, "the number of splits is 0; at least 1 is needed"),
    ],
)
def test_what_cannot_be_split_is_refused(y: list[int], settings: dict[str, int], expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        random_splits(torch.tensor(y, dtype=torch.int64), **settings)
    assert str(error.value) == expected


def masked(**masks: Any) -> NodeGraph:
    data = Data(x=torch.ones(5, 1), edge_index=torch.empty(2, 0), y=torch.tensor([0, 1, 0, 1, -1]))
    for key, value in masks.items():
        data[key] = value if isinstance(value, torch.Tensor) or value is None else torch.tensor(value, dtype=torch.bool)
    graph = NodeGraph.of(data)
    graph.name = "five"
    return graph


def listed(splits: list[NodeSplit]) -> list[tuple[list[int], list[int]]]:
    return [(split.train.tolist(), split.test.tolist()) for split in splits]


def test_masks_give_one_split_a_column_without_unlabelled_nodes() -> None:
    one = masked(train_mask=[1, 1, 0, 0, 1], test_mask=[0, 0, 1, 1, 0])
    assert listed(mask_splits(one)) == [([0, 1], [2, 3])]
    several = masked(
        train_mask=[[1, 0], [1, 0], [0, 1], [0, 0], [0, 1]], test_mask=[[0, 0], [0, 0], [0, 0], [1, 1], [0, 0]]
    )
    assert listed(mask_splits(several)) == [([0, 1], [3]), ([2], [3])]
    shared = masked(train_mask=[[1, 0], [0, 1], [0, 0], [0, 0], [0, 0]], test_mask=[0, 0, 1, 1, 1])  # as WikiCS has it
    assert listed(mask_splits(shared)) == [([0], [2, 3]), ([1], [2, 3])]


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        (
            {},
            "five has no train_mask and no test_mask, so it has no splits of its own; draw random ones "
            "(task.labels_per_class=20), or give it masks",
        ),
        (
            {"train_mask": [1, 0, 0, 0, 0], "test_mask": [0, 1, 0, 0, 0], "y": None},
            "five has no y, so it has no splits of its own; draw random ones (task.labels_per_class=20), or give it "
            "masks",
        ),
        (
            {"train_mask": [[1, 0]] * 5, "test_mask": [[0, 1, 0]] * 5},
            "train_mask of five has 2 splits and test_mask 3; they must agree",
        ),
        (
            {"train_mask": [1, 0, 0, 0, 0], "test_mask": [0, 0, 0, 0, 1]},
            "split 0 of test_mask of five has no labelled node; mend the mask",
        ),
        (
            {"train_mask": [[1, 1], [0, 0], [0, 0], [0, 0], [0, 0]], "test_mask": [[0, 1], [1, 0]] + [[0, 0]] * 3},
            "node 0 of five is in train_mask and in test_mask of split 1; take it out of one",
        ),
    ],
)
def test_masks_that_make_no_split_are_refused(masks: dict[str, Any], expected: str) -> None:
    with pytest.raises(GraphkitError) as error:
        mask_splits(masked(**masks))
    assert str(error.value) == expected
