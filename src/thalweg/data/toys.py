"""Six sets of points in the plane, after TensorFlow Playground (Smilkov et al. 2017).

Every function returns points ``(n, 2)`` and their targets, in order of making: labels ``(n,)``
int64, of which 1 is the Playground's + (and 0 its −, −1 there), or values ``(n, 1)`` float32.
``noise`` is the Playground's ν, from 0 to 0.5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CLASSIFICATION_SAMPLES = 500
REGRESSION_SAMPLES = 1200


def circle(noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A disc inside a ring; noise moves only the point whose label is read.

    Example:
        >>> x, y = circle(0.0, torch.Generator().manual_seed(0))
        >>> bool(((x.norm(dim=1) < 2.5) == (y == 1)).all())
        True
    """
    half = CLASSIFICATION_SAMPLES // 2
    inner, outer = _uniform((half,), 0, 2.5, generator), _uniform((half,), 3.5, 5, generator)
    radius = torch.cat([inner, outer])
    angle = _uniform((2 * half,), 0, 2 * math.pi, generator)
    x = radius[:, None] * torch.stack([angle.sin(), angle.cos()], dim=1)
    seen = x + noise * _uniform(x.shape, -5, 5, generator)
    return x, (seen.norm(dim=1) < 2.5).long()


def xor(noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Four squares, 0.6 apart, labelled by the sign of the product of the coordinates."""
    x = _uniform((CLASSIFICATION_SAMPLES, 2), -5, 5, generator)
    x = x + torch.where(x > 0, 0.3, -0.3)
    seen = x + noise * _uniform(x.shape, -5, 5, generator)
    return x, (seen.prod(dim=1) >= 0).long()


def gauss(noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two Gaussian clouds around (2, 2) and (−2, −2), of variance 0.5 + 7ν along each axis."""
    half = CLASSIFICATION_SAMPLES // 2
    y = torch.arange(2 * half) < half
    centre = torch.where(y, 2.0, -2.0)[:, None]
    spread = math.sqrt(0.5 + 7 * noise)
    return centre + spread * torch.randn(2 * half, 2, generator=generator), y.long()


def spiral(noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two spirals, one the other turned by half a turn, of 1.75 turns each."""
    half = CLASSIFICATION_SAMPLES // 2
    along = (torch.arange(half) / half).repeat(2)
    y = torch.arange(2 * half) < half
    angle = 3.5 * math.pi * along + torch.where(y, 0.0, math.pi)
    x = 5 * along[:, None] * torch.stack([angle.sin(), angle.cos()], dim=1)
    return x + noise * _uniform(x.shape, -1, 1, generator), y.long()


def plane(noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Regression: the plane (x₁ + x₂)/10; noise moves only the point whose target is read."""
    x = _uniform((REGRESSION_SAMPLES, 2), -6, 6, generator)
    seen = x + noise * _uniform(x.shape, -6, 6, generator)
    return x, seen.sum(dim=1, keepdim=True) / 10


def hills(noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Regression: six cones of radius 2, up and down in turn; noise as in `plane`."""
    centres = torch.tensor(
        [[-4, 2.5], [0, 2.5], [4, 2.5], [-4, -2.5], [0, -2.5], [4, -2.5]], dtype=torch.float32
    )
    signs = torch.tensor([1, -1, 1, -1, 1, -1], dtype=torch.float32)
    x = _uniform((REGRESSION_SAMPLES, 2), -6, 6, generator)
    seen = x + noise * _uniform(x.shape, -6, 6, generator)
    distance = (seen[:, None] - centres).norm(dim=2)
    height = signs * (1 - distance / 2).clamp(0, 1)
    return x, height.gather(1, height.abs().argmax(dim=1, keepdim=True))


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)
