"""The paths that optimizers take down a function of two variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from thalweg import optim
from thalweg.errors import SpecError
from thalweg.optim.terrain import Terrain, find_terrain

GRID = tuple(10.0 ** (power / 4) for power in range(-20, 5))
"""Learning rates to choose from: four a decade, 1e-5 to 10."""


@dataclass(frozen=True)
class Path:
    """A path, and what made it.

    Args:
        optimizer: Name of the rule.
        lr: Its learning rate.
        points: Where it was, (steps + 1, 2), in float64; those to evaluate with, where the rule has
            such.
        values: Heights there, (steps + 1,).
        gradients: Gradient evaluations at each point, (steps + 1,).
        tuned: Whether the learning rate was chosen for the lowest end, among ``GRID``.
    """

    optimizer: str
    lr: float
    points: Tensor
    values: Tensor
    gradients: Tensor
    tuned: bool


def descend_terrain(
    on: str = "rosenbrock",
    optimizers: Sequence[str] = ("sgd", "momentum", "adam"),
    *,
    steps: int = 200,
    lr: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Walk every optimizer down a terrain from the same point.

    Args:
        on: Name of the terrain: see `thalweg.optim.terrain.TERRAINS`.
        optimizers: Names of rules; those that go around another one go around momentum.
        steps: Updates.
        lr: Learning rate of all; None chooses each one's own, that which ends lowest, from four a
            decade: an untuned race says nothing of the optimizers.
        options: Further hyperparameters, given to the rules that have them.

    Raises:
        SpecError: There is no such terrain or optimizer, or a value is not allowed.

    Example:
        >>> paths = descend_terrain("quadratic", ["sgd", "adam"], steps=100)
        >>> [bool(path.values[-1] < 1e-3) for path in paths]
        [True, True]
    """
    if steps < 1:
        raise SpecError(f"steps={steps}", "at least one")
    terrain = find_terrain(on)
    return [_best(terrain, name, steps, lr, options or {}) for name in optimizers]


def _best(
    terrain: Terrain, name: str, steps: int, lr: float | None, options: Mapping[str, Any]
) -> Path:
    if lr is not None:
        return _walk(terrain, name, steps, [lr], options, tuned=False)[0]
    walks = _walk(terrain, name, steps, GRID, options, tuned=True)
    return min(walks, key=lambda path: float(path.values[-1].nan_to_num(torch.inf, torch.inf)))


def _walk(
    terrain: Terrain, name: str, steps: int, lrs: Sequence[float], options: Mapping[str, Any],
    *, tuned: bool,
) -> list[Path]:  # fmt: skip
    """Walk once for every learning rate, all as one program: a learning rate is a member."""
    K = len(lrs)
    rate = torch.tensor(lrs, dtype=torch.float64).unsqueeze(1)
    rule = _build(name, rate, options)
    theta = torch.tensor([terrain.start] * K, dtype=torch.float64)
    layout = [(0, (2,))]
    state = optim.initial_state(rule, theta, layout)
    shown, counts, at = [theta.clone()], [0], _Here(terrain, theta)
    for t in range(steps):
        h = rule.hyper()
        g = optim.revise(rule, theta, at.batch(), state, t, h, at)
        optim.apply(rule, theta, g, state, t, h, layout=layout)
        weights = rule.evaluation_weights(theta, state)
        shown.append((theta if weights is None else weights).clone())
        counts.append(at.evaluations)
    points = torch.stack(shown, dim=1)
    values = terrain.value(points)
    return [Path(name, lrs[k], points[k], values[k], torch.tensor(counts), tuned) for k in range(K)]


class _Here:
    """Gradients at the present points; there are no batches, so that all of them are full."""

    def __init__(self, terrain: Terrain, theta: Tensor) -> None:
        self.terrain, self.theta, self.evaluations = terrain, theta, 0

    def batch(self) -> Tensor:
        self.evaluations += 1
        return self.terrain.gradient(self.theta)

    def full(self) -> Tensor:
        return self.batch()


def _build(name: str, lr: Tensor, options: Mapping[str, Any]) -> optim.Rule:
    known = {each.name for each in optim.hyperparameters(name)}
    own = {key: value for key, value in options.items() if key in known}
    if name in optim.wrappers():
        return optim.build(name, inner=_build("momentum", lr, options), **own)
    return optim.build(name, **{"lr": lr, **own})
