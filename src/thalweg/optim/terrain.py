"""Functions of two variables to walk down: known minima, known gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from thalweg.errors import SpecError, nearest


@dataclass(frozen=True)
class Terrain:
    """A function of the plane.

    Args:
        name: What it is called.
        value: Points (…, 2) to heights (…).
        minimum: Where it is lowest.
        start: Where paths begin.
        window: The part of the plane to look at: least and greatest x, least and greatest y.
        text: What it is known for.
    """

    name: str
    value: Callable[[Tensor], Tensor]
    minimum: tuple[float, float]
    start: tuple[float, float]
    window: tuple[float, float, float, float]
    text: str

    def gradient(self, points: Tensor) -> Tensor:
        """Return the gradients (…, 2) at points (…, 2)."""
        with torch.enable_grad():
            leaf = points.detach().requires_grad_()
            (found,) = torch.autograd.grad(self.value(leaf).sum(), leaf)
        return found


def _quadratic(p: Tensor) -> Tensor:
    return 0.5 * (p[..., 0] ** 2 + 20.0 * p[..., 1] ** 2)


def _rosenbrock(p: Tensor) -> Tensor:
    x, y = p.unbind(-1)
    return (1.0 - x) ** 2 + 100.0 * (y - x**2) ** 2


def _rastrigin(p: Tensor) -> Tensor:
    return 20.0 + (p**2 - 10.0 * torch.cos(2.0 * pi * p)).sum(-1)


def _beale(p: Tensor) -> Tensor:
    x, y = p.unbind(-1)
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


TERRAINS = {
    each.name: each
    for each in (
        Terrain("quadratic", _quadratic, (0.0, 0.0), (-4.0, 1.5), (-5.0, 5.0, -2.5, 2.5),
                "½(x² + 20y²): a bowl twenty times as steep one way as the other"),
        Terrain("rosenbrock", _rosenbrock, (1.0, 1.0), (-1.5, 2.0), (-2.0, 2.0, -1.0, 3.0),
                "(1 − x)² + 100(y − x²)²: a curved valley with a flat floor (Rosenbrock 1960)"),
        Terrain("rastrigin", _rastrigin, (0.0, 0.0), (3.4, -2.7), (-4.5, 4.5, -4.5, 4.5),
                "20 + Σ(xᵢ² − 10cos 2πxᵢ): a bowl full of pits (Rastrigin 1974)"),
        Terrain("beale", _beale, (3.0, 0.5), (1.0, 1.6), (-1.0, 4.5, -1.5, 2.5),
                "Beale 1958: plains, and steep corners"),
    )
}  # fmt: skip
"""The terrains by name."""


def find_terrain(name: str) -> Terrain:
    """Return the terrain of that name.

    Raises:
        SpecError: There is none.

    Example:
        >>> bowl = find_terrain("quadratic")
        >>> bowl.value(torch.tensor([2.0, 1.0])), bowl.gradient(torch.tensor([2.0, 1.0]))
        (tensor(12.), tensor([ 2., 20.]))
    """
    if name not in TERRAINS:
        raise SpecError(f"the terrain {name!r}", "one that there is", nearest(name, TERRAINS))
    return TERRAINS[name]
