"""One split: the samples that are trained on, or held back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and their targets, whole, on one device.

    Args:
        x: Inputs, ``(N, *input_shape)`` float32.
        y: Class labels ``(N,)`` int64, or targets ``(N, T)`` float32.
        true_y: What ``y`` was before any corruption; the same tensor as ``y`` if there was none.

    Example:
        >>> y = torch.tensor([0, 1, 1])
        >>> split = Split(torch.zeros(3, 2), y, y)
        >>> len(split), split.take(torch.tensor([2, 0])).y.tolist()
        (3, [1, 0])
    """

    x: Tensor
    y: Tensor
    true_y: Tensor

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device | str) -> Split:
        """Return the split on ``device``; tensors that are there already are not copied."""
        y = self.y.to(device)
        true_y = y if self.true_y is self.y else self.true_y.to(device)
        return Split(self.x.to(device), y, true_y)

    def take(self, indices: Tensor) -> Split:
        """Return the samples at ``indices``, ``(M,)`` int64, in that order."""
        indices = indices.to(self.x.device)
        y = self.y[indices]
        true_y = y if self.true_y is self.y else self.true_y[indices]
        return Split(self.x[indices], y, true_y)
