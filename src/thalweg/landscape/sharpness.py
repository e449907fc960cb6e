"""How sharp a minimum is: the largest rise of the loss nearby."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import ModelError, SpecError
from thalweg.landscape.objective import Objective, finite


@dataclass(frozen=True)
class Sharpness:
    """The highest loss that was found near the parameters: a lower bound of the highest there is.

    Attributes:
        value: The sharpness, as its paper defines it.
        base: The loss at the parameters, L(x).
        highest: The highest loss found, infinite if it was no number somewhere.
        perturbation: Where it was found, y (P,), from the parameters.
        evaluations: Losses, with gradients, that it took.
    """

    value: float
    base: float
    highest: float
    perturbation: Tensor
    evaluations: int


def box_sharpness(
    objective: Objective,
    epsilon: float = 1e-3,
    *,
    steps: int = 10,
    generator: torch.Generator | None = None,
) -> Sharpness:
    """Return the relative rise of the loss within a box around the parameters, in percent.

    φ = 100 · (max L(x + y) − L(x)) / (1 + L(x)) over the box
    ``|yᵢ| ≤ ε (|xᵢ| + 1)``.

    Source: Keskar, Mudigere, Nocedal, Smelyanskiy and Tang, "On large-batch training for deep
    learning: generalization gap and sharp minima", 2017, metric 2.1 in the full space (A = I). As
    there, the maximum is sought by L-BFGS-B, stopped after 10 iterations. The paper does not say
    where it starts; here it starts at x, or, with a generator, at a point drawn uniformly from the
    box, which is needed where the gradient at x is exactly 0.

    Args:
        objective: The loss as a function of the parameters.
        epsilon: ε, half the side of the box at a parameter that is 0.
        steps: Iterations of L-BFGS-B.
        generator: Where the start is drawn from, on the CPU; None starts at x.

    Raises:
        SpecError: ε or the steps are not positive.
        ModelError: The loss at the parameters is not finite.

    Example:
        >>> from torch import nn
        >>> network = nn.Linear(1, 1, bias=False, dtype=torch.float64)
        >>> _ = nn.init.constant_(network.weight, 1.0)
        >>> x = torch.ones(1, 1, dtype=torch.float64)
        >>> found = box_sharpness(Objective(network, nn.MSELoss(), [(x, 0 * x)]), 0.5)  # w ≤ 2
        >>> found.highest, found.value  # 100 (4 − 1) / (1 + 1)
        (4.0, 150.0)
    """
    from scipy.optimize import minimize

    _positive("epsilon", epsilon)
    _positive("steps", steps)
    climb = _Climb(objective)
    side = (epsilon * (climb.x.abs() + 1)).cpu().numpy()  # (P,)
    start = np.zeros(len(side))
    if generator is not None:
        drawn = torch.rand(len(side), generator=generator, dtype=torch.float64).numpy()
        start = side * (2 * drawn - 1)

    def negative(y: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = climb.at(torch.from_numpy(y))
        return -value, -gradient.cpu().numpy()

    with suppress(_UnboundedError):
        minimize(
            negative,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=np.stack([-side, side], 1),
            options={"maxiter": steps, "ftol": 0, "gtol": 0},
        )
    return climb.result(100 * (climb.highest - climb.base) / (1 + climb.base))


def ball_sharpness(
    objective: Objective,
    rho: float = 0.05,
    *,
    steps: int = 1,
    relative: bool = False,
    generator: torch.Generator | None = None,
) -> Sharpness:
    """Return the rise of the loss within a ball around the parameters: max L(w + e) − L(w).

    One step goes to e = ρ ∇L(w) / ‖∇L(w)‖, the maximum to first order, as SAM does. Further steps
    go to the maximum of the plane that touches the loss at the last point, e ← ρ ∇L(w + e) /
    ‖∇L(w + e)‖, which climbs at every step where the loss is convex; the highest point counts. Near
    a minimum this is power iteration, and the rise tends to ½ ρ² λ_max.

    The relative ball ‖T⁻¹ e‖ ≤ ρ with ``T = diag |w|`` does not change when the weights into ReLU
    units are multiplied, and those out of them divided, by the same number; then
    e = ρ T² g / ‖T g‖.

    Source: Foret, Kleiner, Mobahi and Neyshabur, "Sharpness-aware minimization for efficiently
    improving generalization", 2021, equation (2); Kwon, Kim, Park and Choi, "ASAM: adaptive
    sharpness-aware minimization for scale-invariant learning of deep neural networks", 2021,
    equation (5), for the relative ball, without its η.

    Args:
        objective: The loss as a function of the parameters.
        rho: ρ, the radius.
        steps: Steps of the ascent.
        relative: Whether the ball is relative to the weights.
        generator: Where a direction is drawn from, on the CPU, should the gradient vanish.

    Raises:
        SpecError: ρ or the steps are not positive.
        ModelError: The loss at the parameters is not finite, or the gradient vanishes and there is
            no generator.

    Example:
        >>> from torch import nn
        >>> network = nn.Linear(1, 1, bias=False, dtype=torch.float64)
        >>> _ = nn.init.constant_(network.weight, 1.0)
        >>> x = torch.ones(1, 1, dtype=torch.float64)
        >>> ball_sharpness(Objective(network, nn.MSELoss(), [(x, 0 * x)]), 0.5).value  # 1.5² − 1
        1.25
    """
    _positive("rho", rho)
    _positive("steps", steps)
    climb = _Climb(objective)
    T = climb.x.abs() if relative else torch.ones_like(climb.x)
    gradient = climb.gradient
    with suppress(_UnboundedError):
        for _ in range(steps):
            scaled = T * gradient
            if not scaled.any():
                if generator is None:
                    raise ModelError(
                        "a gradient of 0", "a direction to climb", "pass generator= to draw one"
                    )
                drawn = torch.randn(len(T), generator=generator, dtype=torch.float64)
                scaled = T * drawn.to(T.device)
            norm = torch.linalg.vector_norm(scaled).clamp_min(torch.finfo(T.dtype).tiny)
            _, gradient = climb.at(rho * T * (scaled / norm))
    return climb.result(climb.highest - climb.base)


class _UnboundedError(Exception):
    """The loss is not finite at a point: it cannot be higher."""


class _Climb:
    """Evaluates the loss around the parameters and remembers the highest point.

    Args:
        objective: The loss.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective, self.x = objective, objective.theta.double()
        self.base, self.gradient = objective.value_and_gradient()
        finite(self.base)
        self.highest, self.perturbation = self.base, torch.zeros_like(self.x)
        self.evaluations = 1

    def at(self, y: Tensor) -> tuple[float, Tensor]:
        """Return the loss and its gradient at x + y; raise where one of them is not finite."""
        y = y.to(self.x)
        value, gradient = self.objective.value_and_gradient(self.x + y)
        self.evaluations += 1
        if not value <= self.highest:  # a loss that is no number overflowed
            self.highest = math.inf if math.isnan(value) else value
            self.perturbation = y.clone()
        if not math.isfinite(value) or not torch.isfinite(gradient).all():
            raise _UnboundedError
        return value, gradient

    def result(self, value: float) -> Sharpness:
        """Return what was found."""
        return Sharpness(value, self.base, self.highest, self.perturbation, self.evaluations)


def _positive(option: str, value: float) -> None:
    if not value > 0:
        raise SpecError(f"{option}={value}", "a positive number")
