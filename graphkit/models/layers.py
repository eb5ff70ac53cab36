"""Layers of models."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """A linear layer whose result has the precision of its input, also where autocast rounds its product."""

    def forward(self, input: Tensor) -> Tensor:
        """Returns [..., outputs] for [..., inputs], in the dtype of the input."""
        found = super().forward(input)
        return found.to(input.dtype) if torch.is_autocast_enabled(input.device.type) else found
