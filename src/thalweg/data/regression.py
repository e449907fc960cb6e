"""Regression on a hundred Gaussian features."""

from __future__ import annotations

import torch
from torch import Tensor

SAMPLES, FEATURES = 1000, 100


def hundred_features(generator: torch.Generator, *, per_sample: bool) -> tuple[Tensor, Tensor]:
    """Return features x ~ N(0, I) and the target s² + s of their scaled sum s.

    Args:
        generator: Seeded with k, it gives the features that ``torch.manual_seed(k)`` followed by
            ``torch.randn(1000, 100)`` gives.
        per_sample: Whether s sums the first 50 features of each sample, over 10. If not, it sums
            them over all samples: one target for all, as the exercise is often printed.

    Returns:
        Features ``(1000, 100)`` and targets ``(1000, 1)``, both float32.

    Example:
        >>> x, y = hundred_features(torch.Generator().manual_seed(7), per_sample=False)
        >>> y.shape, len(y.unique())
        (torch.Size([1000, 1]), 1)
    """
    x = torch.randn(SAMPLES, FEATURES, generator=generator)
    terms = x[:, : FEATURES // 2] / 10
    s = terms.sum(dim=1, keepdim=True) if per_sample else terms.sum()
    return x, (s**2 + s).expand(SAMPLES, 1).contiguous()
