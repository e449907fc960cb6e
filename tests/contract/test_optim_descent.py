"""Every rule finds the bottom of a bowl and of Rosenbrock's valley, at one of nine rates."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from thalweg import optim

Ground = Callable[[Tensor], tuple[Tensor, Tensor]]

RATES = torch.logspace(-3.5, 0.5, 9, dtype=torch.float64)[:, None]
"""One network for each, (K, 1): half a decade from one to the next."""

USUAL = {"momentum": 0.9, "beta2": 0.99}

LAYOUT = [(0, (12, 4))]


def bowl(theta: Tensor) -> tuple[Tensor, Tensor]:
    """A quadratic with curvatures from 1 to 100: its value (K,) and its gradient (K, P)."""
    curvature = torch.logspace(0, 2, theta.shape[1], dtype=theta.dtype)
    return 0.5 * (curvature * theta**2).sum(1), curvature * theta


def rosenbrock(theta: Tensor) -> tuple[Tensor, Tensor]:
    """Rosenbrock's function, summed over pairs of parameters."""
    x, y = theta[:, 0::2], theta[:, 1::2]
    value = ((1 - x) ** 2 + 100 * (y - x**2) ** 2).sum(1)
    along = -2 * (1 - x) - 400 * x * (y - x**2)
    return value, torch.stack([along, 200 * (y - x**2)], dim=2).flatten(1)


def lowest(name: str, ground: Ground, steps: int) -> float:
    """Return the least value among the networks at the end, over that at the start."""
    usual = {
        each.name: USUAL[each.name] for each in optim.hyperparameters(name) if each.name in USUAL
    }
    rule = optim.build(name, **usual, lr=RATES)
    start = torch.linspace(-1.2, 1.5, 48, dtype=torch.float64).repeat(len(RATES), 1)
    theta, state = start.clone(), optim.initial_state(rule, start, LAYOUT)
    fall = optim.build_schedule("linear", total=steps, per="step")
    for t in range(steps):
        g = ground(theta)[1].nan_to_num(0.0).clamp(-1e6, 1e6)  # the highest rates may diverge
        h = optim.in_force(rule, [fall], epoch=0, step=t)
        optim.apply(rule, theta, g, state, t, h, layout=LAYOUT)
    weights = rule.evaluation_weights(theta, state)
    values = ground(theta if weights is None else weights)[0].nan_to_num(torch.inf)
    return float(values.min() / ground(start)[0][0])


@pytest.mark.no_cover
@pytest.mark.parametrize("ground", [bowl, rosenbrock])
@pytest.mark.parametrize("name", [name for name in optim.rules() if name not in optim.wrappers()])
def test_reaches_the_bottom(name: str, ground: Ground) -> None:
    steps = 3000 if optim.build(name).elementwise else 400  # others are slower, and need fewer
    assert lowest(name, ground, steps) < 1e-3
