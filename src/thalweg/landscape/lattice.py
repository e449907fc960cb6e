"""The nodes of a grid, and the order in which a picture of it appears at once and sharpens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from thalweg.errors import SpecError

FIRST = 5
"""Nodes along the longest axis of the first picture, at least."""


def axis(low: float, high: float, n: int) -> Tensor:
    """Return n nodes, evenly spaced, that reach from low to high or a little farther, (n,) float64.

    If zero is between them it is exactly one of the nodes: there the reference lies.

    Raises:
        SpecError: There are no two nodes, or the interval is none.

    Example:
        >>> axis(-1.0, 2.0, 4).tolist()
        [-1.0, 0.0, 1.0, 2.0]
        >>> axis(-1.0, 1.9, 3).tolist()  # 0 is a node
        [-1.9, 0.0, 1.9]
    """
    if n < 2:
        raise SpecError(f"{n} nodes along an axis", "two or more")
    if not -math.inf < low < high < math.inf:
        raise SpecError(f"an axis from {low} to {high}", "numbers that rise")
    number = torch.arange(n, dtype=torch.float64)
    if low > 0 or high < 0:
        return low + number * (high - low) / (n - 1)

    def spacing(k: int) -> float:
        """Return how far apart nodes are if the k-th one is at zero."""
        left = -low / k if k else math.inf if low else 0.0
        right = high / (n - 1 - k) if k < n - 1 else math.inf if high else 0.0
        return max(left, right)

    k = min(range(n), key=spacing)
    if math.isinf(spacing(k)):
        raise SpecError(f"2 nodes from {low} to {high}", "three or more, one of them at 0")
    if spacing(k) * (n - 1) <= (high - low) * (1 + 1e-12):  # no wider than asked for
        return (number - k) * (high - low) / (n - 1)
    return (number - k) * spacing(k)


def strides(axes: Sequence[Tensor]) -> Tensor:
    """Return for each node the stride of the coarsest lattice that it is on, (n₁, …), int64.

    Strides are powers of two. All lattices hold the node at zero, or else the first one.

    Example:
        >>> strides([axis(-4.0, 4.0, 9)]).tolist()
        [2, 1, 2, 1, 2, 1, 2, 1, 2]
    """
    coarsest = _coarsest(axes)
    shape = tuple(len(each) for each in axes)
    found = torch.full(shape, coarsest)
    for place, each in enumerate(axes):
        own = torch.ones(len(each), dtype=torch.int64)
        for stride in (2**j for j in range(1, coarsest.bit_length())):
            own[on_lattice(each, stride)] = stride
        found = torch.minimum(found, own.view([-1 if d == place else 1 for d in range(len(axes))]))
    return found


def on_lattice(nodes: Tensor, stride: int) -> Tensor:
    """Return which nodes of an axis are on the lattice of a stride, (m,) int64.

    Example:
        >>> on_lattice(axis(-3.0, 3.0, 7), 2).tolist()
        [1, 3, 5]
    """
    place = torch.arange(len(nodes))
    return place[(place - int(nodes.abs().argmin())) % stride == 0]


def levels(axes: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
    """Return the nodes along each axis of ever finer lattices which reach from end to end.

    Each is that of a stride with both ends of every axis, holds the one before, and the last holds
    all nodes.

    Example:
        >>> [along.tolist() for (along,) in levels([axis(-4.0, 5.0, 10)])]
        [[0, 2, 4, 6, 8, 9], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]
    """
    found, stride = [], _coarsest(axes)
    while stride:
        ends = [torch.tensor([0, len(each) - 1]) for each in axes]
        inner = [on_lattice(each, stride) for each in axes]
        both = zip(ends, inner, strict=True)
        found.append(tuple(torch.cat(each).unique() for each in both))
        stride //= 2
    return found


def order(axes: Sequence[Tensor]) -> Tensor:
    """Return the nodes, as places in the flattened grid, from the coarsest lattice to the finest.

    Example:
        >>> order([axis(-4.0, 4.0, 9)]).tolist()
        [0, 2, 4, 6, 8, 1, 3, 5, 7]
    """
    return strides(axes).flatten().neg().argsort(stable=True)


def coordinates(axes: Sequence[Tensor], nodes: Tensor) -> Tensor:
    """Return the coordinates (M, D) of nodes, which are places in the flattened grid.

    Example:
        >>> x, y = torch.tensor([0.0, 1.0]), torch.tensor([5.0, 6.0, 7.0])
        >>> coordinates([x, y], torch.tensor([1, 3])).tolist()
        [[0.0, 6.0], [1.0, 5.0]]
    """
    shape = [len(each) for each in axes]
    indices = torch.unravel_index(nodes, shape)
    return torch.stack([each[i] for each, i in zip(axes, indices, strict=True)], dim=1)


def _coarsest(axes: Sequence[Tensor]) -> int:
    """Return the stride of the coarsest lattice."""
    longest, coarsest = max(len(each) for each in axes), 1
    while (longest - 1) // (2 * coarsest) >= FIRST - 1:
        coarsest *= 2
    return coarsest
