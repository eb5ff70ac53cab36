"""Buffers: memory of large tensors comes back."""

from __future__ import annotations

import torch

from graphkit.engine import buffers


def test_a_tensor_has_the_shape_asked_for_and_can_be_written() -> None:
    for shape in ((3,), (0, 7), (1000, 400), (2, 300, 500)):
        found = buffers.empty(*shape)
        assert (found.dtype, found.shape, found.is_contiguous()) == (torch.float32, shape, True)
        found.fill_(2)
        assert (found == 2).all()


def test_memory_of_a_large_tensor_is_used_again_and_that_of_two_is_apart() -> None:
    one = buffers.empty(1000, 1234)
    other = buffers.empty(1000, 1234)
    assert one.data_ptr() != other.data_ptr()
    place = one.data_ptr()
    del one
    assert buffers.empty(999, 1234).data_ptr() == place
    other.fill_(3)
    assert (other == 3).all()


def test_a_view_keeps_the_memory() -> None:
    row = buffers.empty(1000, 1111).fill_(5)[7]
    others = [buffers.empty(1000, 1111).fill_(6) for _ in range(3)]
    assert (row == 5).all()
    assert len(others) == 3
