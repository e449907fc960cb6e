"""Values between nodes: cubic interpolation from a coarse lattice to a finer one that holds it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

CUBIC = 4
"""Nodes along each axis that an interpolated value is made from, where there are so many."""

LINEAR = 2
"""Nodes along each axis that it is made from where one of those four is not finite."""


def fill(values: Tensor, coarse: Sequence[Tensor], fine: Sequence[Tensor]) -> Tensor:
    """Return values on a finer lattice: cubic between the nearest nodes, else linear.

    Polynomials of the third degree along each axis come out as they are. Where one of the nearest
    four nodes along an axis is not finite, the nearest two decide, and where one of these is not
    finite either, the value is none.

    Args:
        values: On the coarse lattice, (m₁, …, m_D), float64.
        coarse: Its nodes along each axis, (m_d,) each, ascending.
        fine: The nodes of the finer lattice along each axis, (n_d,) each, which hold the coarse
            ones.

    Returns:
        (n₁, …, n_D), float64; at the coarse nodes bit for bit their values.

    Example:
        >>> x = torch.arange(9.0, dtype=torch.float64)
        >>> fill(x[::2] ** 3, [x[::2]], [x]).tolist()
        [0.0, 1.0, 8.0, 27.0, 64.0, 125.0, 216.0, 343.0, 512.0]
    """
    cubic = _along_all(values, coarse, fine, CUBIC)
    linear = _along_all(values, coarse, fine, LINEAR)
    return torch.where(cubic.isfinite(), cubic, linear)


def known(values: Tensor, coarse: Sequence[Tensor], fine: Sequence[Tensor]) -> Tensor:
    """Return which nodes of a finer lattice have a finite value among the nearest coarse ones.

    Args:
        values: See `fill`.
        coarse: See `fill`.
        fine: See `fill`.

    Returns:
        (n₁, …, n_D), bool.

    Example:
        >>> x = torch.arange(5.0, dtype=torch.float64)
        >>> known(torch.tensor([1.0, torch.nan, torch.nan]).double(), [x[::2]], [x]).tolist()
        [True, True, False, False, False]
    """
    return _along_all(values.isfinite().double(), coarse, fine, LINEAR) > 0


def _along_all(
    values: Tensor, coarse: Sequence[Tensor], fine: Sequence[Tensor], most: int
) -> Tensor:
    """Interpolate along one axis after the other."""
    for d, (mine, wanted) in enumerate(zip(coarse, fine, strict=True)):
        nodes = mine.contiguous(), wanted.contiguous()
        values = _along(values.movedim(d, 0), *nodes, most).movedim(0, d)
    return values


def _along(values: Tensor, coarse: Tensor, fine: Tensor, most: int) -> Tensor:
    """Interpolate along the first axis: Lagrange's polynomial through the nearest nodes."""
    count = min(most, len(coarse))
    left = torch.searchsorted(coarse, fine, right=True) - count // 2
    places = left.clamp(0, len(coarse) - count)[:, None] + torch.arange(count)
    nodes, found = coarse[places], torch.zeros(len(fine), *values.shape[1:], dtype=values.dtype)
    for i in range(count):
        weight = torch.ones_like(fine)
        for j in range(count):
            if i != j:
                weight = weight * (fine - nodes[:, j]) / (nodes[:, i] - nodes[:, j])
        weight = weight.view(-1, *[1] * (values.dim() - 1))
        # what has no weight has no say, even if it is not finite
        found = found + torch.where(weight == 0, 0.0, values[places[:, i]] * weight)
    return found
