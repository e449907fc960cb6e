"""The directions in which optimizers go: down the gradient, and where a step has led."""

from __future__ import annotations

from torch import Tensor

from thalweg.landscape.directions import Directions
from thalweg.landscape.ground import Ground, Where


def gradient_direction(ground: Ground, at: Where | None = None) -> Directions:
    """Return the line down the gradient: a coordinate is the learning rate of a step of SGD.

    Args:
        ground: Whose loss; BatchNorm's statistics are the reference's.
        at: Where from; the reference by default.

    Raises:
        ModelError: The gradient is zero or not finite, or the point is of another network.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from thalweg.data import Split
        >>> x = torch.ones(1, 1)
        >>> ground = Ground(nn.Linear(1, 1, bias=False), Split(x, x, x), "mse")  # (w − 1)²
        >>> line = gradient_direction(ground, {"weight": 3 * x})
        >>> line.at(torch.tensor([[0.5]]))[0, 0].item()  # 3 − 0.5 · 4
        1.0
    """
    origin = _at(ground, at)
    _, g = ground.gradient(origin)
    return Directions(origin, -g.unsqueeze(0), "down the gradient", ((0.0, 1.0),))


def step_direction(ground: Ground, before: Where, after: Where | None = None) -> Directions:
    """Return the line of an update: at 0 it was not made, at 1 it was, beyond it was too short.

    Args:
        ground: Of networks like these.
        before: The parameters before.
        after: And after; the reference by default.

    Raises:
        ModelError: Nothing was moved, or a point is of another network.
    """
    origin = ground.vector(before)
    moved = _at(ground, after) - origin
    return Directions(origin, moved.unsqueeze(0), "along an update", ((-1.0, 3.0),))


def step_plane(ground: Ground, before: Where, after: Where | None = None) -> Directions:
    """Return the plane of an update, (1, 0), and of the negative gradient, as long, at (0, 1).

    It shows whether what an optimizer makes of the gradient leads lower than the gradient itself;
    `Directions.cosines` says how far apart they point.

    Args:
        ground: Whose gradient; of networks like these.
        before: The parameters before.
        after: And after; the reference by default.

    Raises:
        ModelError: The two are parallel, or one is zero.
    """
    line = step_direction(ground, before, after)
    step, g = line.vectors[0], gradient_direction(ground, line.origin).vectors[0]
    length = (step.double().norm() / g.double().norm()).item()
    vectors = step.new_empty(2, len(step))
    vectors[0], vectors[1] = step, g * length
    return Directions(line.origin, vectors, "an update and the gradient", ((-1.0, 3.0),) * 2)


def _at(ground: Ground, where: Where | None) -> Tensor:
    return ground.theta.clone() if where is None else ground.vector(where)
