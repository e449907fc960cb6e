"""The way that a run took, seen on a surface, at the heights that it really had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.errors import SpecError
from thalweg.landscape.directions import Directions
from thalweg.landscape.ground import Ground, Statistics, Where


@dataclass(frozen=True, eq=False)
class Trail:
    """States of a run as seen on a line, a plane or a volume.

    The values are those of the states themselves. The surface's height below a state is another: it
    belongs to the nearest point of the plane, which may be far from the state.

    Args:
        steps: Updates made until each of the T states.
        coordinates: Where the states are nearest to, (T, D), float64.
        residuals: The share of each state's distance from the origin that is not seen, (T,).
        values: Loss and metrics of the states themselves, (T,) each, float64.
        statistics: BatchNorm's; states are recorded without their own.
    """

    steps: tuple[int, ...]
    coordinates: Tensor
    residuals: Tensor
    values: Mapping[str, Tensor]
    statistics: Statistics


def trail(
    ground: Ground,
    directions: Directions,
    states: Tensor | Sequence[Where],
    steps: Sequence[int] | None = None,
    *,
    statistics: Statistics = "frozen",
) -> Trail:
    """Return the way that a run took, as seen along some directions.

    Args:
        ground: What is measured.
        directions: The surface's.
        states: The states, (T, P), or T of them in any form that `Ground.vector` takes.
        steps: Updates made until each; 0, 1, … by default.
        statistics: BatchNorm's, ``"frozen"`` or ``"estimated"``; see `Ground.evaluate`.

    Raises:
        SpecError: There are no states, or not as many as steps.
        ModelError: A state is of another network.

    Example:
        >>> from torch import nn
        >>> from thalweg.data import Split
        >>> x = torch.ones(1, 1)
        >>> ground = Ground(nn.Linear(1, 1, bias=False), Split(x, x, x), "mse")  # (w − 1)²
        >>> line = Directions(0 * ground.theta, 2 * torch.eye(len(ground.theta))[:1], "own")
        >>> way = trail(ground, line, [{"weight": 3 * x}, {"weight": x}])
        >>> way.coordinates[:, 0].tolist(), way.values["loss"].tolist()
        ([1.5, 0.5], [4.0, 0.0])
    """
    points = [ground.vector(each) for each in states]
    numbers = tuple(range(len(points))) if steps is None else tuple(steps)
    if not points or len(points) != len(numbers):
        raise SpecError(f"{len(points)} states and {len(numbers)} steps", "as many, at least one")
    thetas = torch.stack(points)
    seen = directions.project(thetas)
    values = ground.evaluate(thetas, statistics=statistics)
    return Trail(numbers, seen.coordinates, seen.residuals, values, statistics)
