"""Layers of models keep the precision of what they are given."""

from __future__ import annotations

import torch

from graphkit.models.layers import Linear


def test_results_have_the_precision_of_the_input_with_and_without_autocast() -> None:
    layer, x = Linear(64, 32), torch.randn(5, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = layer(x)
    assert rounded.dtype == layer(x).dtype == torch.float32
    assert layer.double()(x.double()).dtype == torch.float64


def test_autocast_rounds_the_product() -> None:
    layer, x = Linear(64, 32), torch.randn(5, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = layer(x)
    factors = (x.bfloat16(), layer.weight.bfloat16(), layer.bias.bfloat16())
    assert torch.equal(rounded, torch.nn.functional.linear(*factors).float())
    assert not torch.equal(rounded, layer(x))
