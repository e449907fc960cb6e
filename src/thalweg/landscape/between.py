"""Lines and triangles between checkpoints, and the barriers on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thalweg.errors import SpecError
from thalweg.landscape.directions import Directions
from thalweg.landscape.grid import Surface, survey
from thalweg.landscape.ground import Ground, Statistics, Where

ROUNDING = 1e-12
"""How far from 1 a node may be that stands for it."""


def between(ground: Ground, *checkpoints: Where) -> Directions:
    """Return the line through two checkpoints, or the plane through three.

    The first is at (0, 0), the second at (1, 0), the third at (0, 1); all between them are convex
    combinations. If the checkpoints are networks or state dicts, their BatchNorm statistics can be
    interpolated alike: ``statistics="interpolated"``.

    Sources: Goodfellow, Vinyals and Saxe, "Qualitatively characterizing neural network optimization
    problems", 2015, arXiv:1412.6544, for lines; Garipov et al., "Loss surfaces, mode connectivity,
    and fast ensembling of DNNs", 2018, arXiv:1802.10026, for planes through three networks.

    Args:
        ground: Of networks like these.
        *checkpoints: Two or three: networks, state dicts, or flat vectors (P,).

    Raises:
        SpecError: They are not two or three.
        ModelError: One is of another network, or they are the same.

    Example:
        >>> from thalweg.data import Split
        >>> x = torch.ones(1, 1)
        >>> a, b = nn.Linear(1, 1), nn.Linear(1, 1)
        >>> line = between(Ground(a, Split(x, x, x)), a, b)
        >>> end = line.at(torch.tensor([[1.0]]))[0]
        >>> torch.allclose(end, Ground(b, Split(x, x, x)).theta)
        True
    """
    if len(checkpoints) not in {2, 3}:
        raise SpecError(f"{len(checkpoints)} checkpoints", "two, or three")
    first, *others = (ground.vector(each) for each in checkpoints)
    vectors = torch.stack([each - first for each in others])
    kind = "line between checkpoints" if len(others) == 1 else "plane through three checkpoints"
    extent = ((-0.25, 1.25),) * len(others)
    return Directions(first, vectors, kind, extent, buffers=_buffers(ground, checkpoints))


def _buffers(ground: Ground, checkpoints: tuple[Where, ...]) -> dict[str, Tensor]:
    """Return the statistics of the first checkpoint and what the others differ by, (1 + D, …)."""
    if any(isinstance(each, Tensor) for each in checkpoints):
        return {}
    states = [
        each.state_dict() if isinstance(each, nn.Module) else each
        for each in checkpoints
        if isinstance(each, nn.Module | Mapping)
    ]
    found = {}
    for name, buffer in ground.network.named_buffers():
        if buffer.is_floating_point() and all(name in state for state in states):
            first, *others = (state[name].detach().to(buffer) for state in states)
            found[name] = torch.stack([first, *(other - first for other in others)])
    return found


@dataclass(frozen=True)
class Barrier:
    """What stands between two networks.

    Args:
        height: The highest value on the line, less the mean of its ends; infinite if there is a
            point where the value is not a number.
        at: Where the highest value is, from 0 to 1.
        ends: The values at both ends.

    """

    height: float
    at: float
    ends: tuple[float, float]


def barrier(line: Surface, name: str = "loss") -> Barrier:
    """Return the barrier on a line between two networks.

    Networks are linearly connected if there is none but for noise. Source: Frankle, Dziugaite, Roy
    and Carbin, "Linear mode connectivity and the lottery ticket hypothesis", 2020,
    arXiv:1912.05671, section 2, which calls the height the instability.

    Args:
        line: A survey of `between` two checkpoints, with nodes at 0 and at 1.
        name: Of the loss, or of a metric of which less is better.

    Raises:
        SpecError: The surface is no line, has no nodes at both ends, or is not measured there.
    """
    if len(line.axes) != 1 or not line.whole:
        raise SpecError(f"a surface of {line.shape} nodes", "a line, measured to its end")
    t = line.axes[0]
    first, last = (int((t - end).abs().argmin()) for end in (0.0, 1.0))
    if t[first] != 0 or abs(t[last].item() - 1) > ROUNDING:
        raise SpecError("a line without nodes at 0 and 1", "both", "use extent=(0, 1)")
    values = line.values[name].nan_to_num(math.inf, math.inf, -math.inf)
    ends = values[first].item(), values[last].item()
    highest, place = values[first : last + 1].max(0)
    return Barrier(highest.item() - sum(ends) / 2, t[first + int(place)].item(), ends)


def interpolate(
    ground: Ground, a: Where, b: Where, nodes: int = 21, *, statistics: Statistics = "frozen"
) -> Surface:
    """Return losses and metrics on the line from one network to another, both ends included.

    Args:
        ground: Of networks like these.
        a: At 0.
        b: At 1.
        nodes: How many points.
        statistics: BatchNorm's; the frozen ones are those of the ground's reference, which are
            wrong for all others.

    Example:
        >>> from thalweg.data import Split
        >>> x = torch.ones(1, 1)
        >>> ground = Ground(nn.Linear(1, 1, bias=False), Split(x, x, x), "mse")  # (w − 1)²
        >>> line = interpolate(ground, {"weight": 0 * x}, {"weight": 2 * x}, nodes=5)
        >>> line.values["loss"].tolist()
        [1.0, 0.25, 0.0, 0.25, 1.0]
        >>> barrier(line).height
        0.0
    """
    *_, line = survey(ground, between(ground, a, b), nodes, (0.0, 1.0), statistics=statistics)
    return line
