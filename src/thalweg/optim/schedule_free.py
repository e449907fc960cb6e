"""Schedule-Free learning: SGD and AdamW without a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NATURAL, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State


@dataclass(frozen=True)
class _ScheduleFree(Rule):
    """What both have: the points x, y and z, and the weights of the average."""

    @property
    def stale_statistics(self) -> bool:
        """Yes: BatchNorm's running statistics are of y, and evaluation is at x."""
        return True

    def init(self, theta: Tensor) -> State:
        """Return x = z = theta; theta itself is y, where the gradient is taken."""
        return {"x": theta.detach().clone(), "z": theta.detach().clone()}

    def evaluation_weights(self, theta: Tensor, state: State) -> Tensor:
        """Return x."""
        return state["x"]


@register
@dataclass(frozen=True)
class ScheduleFreeSGDRule(_ScheduleFree):
    """Schedule-Free SGD (Defazio et al. 2024, equations 1 to 3).

    With g the gradient at y::

        γₜ = γ min(1, (t + 1)/W)
        g ← g + λy
        z ← z − γₜg
        x ← x + c(z − x)         with c = γₜ² / (γ₀² + … + γₜ²)
        y ← z + β(x − z)

    with γ = lr, β = beta, λ = weight_decay, W = warmup. theta is y; x is for evaluation. The
    average's weights follow the warm-up alone: if a schedule changes lr besides, the authors'
    package gives other ones.
    """

    name: ClassVar[str] = "schedule-free-sgd"
    paper: ClassVar[str] = "Defazio et al. 2024, arXiv:2405.15682"

    lr: Hyperparameter = option(float, 1.0, "learning rate", NON_NEGATIVE)
    beta: Hyperparameter = option(float, 0.9, "share of x in the point of the gradient", BELOW_ONE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, at y", NON_NEGATIVE)
    warmup: int = option(int, 0, "updates until the full learning rate", NATURAL)

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -γₜ, β, λ and c."""
        rise, c = ramp(t, self.warmup)
        return {"-lr": -h["lr"] * rise, "beta": h["beta"], "wd": h["weight_decay"], "c": c}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move y, which is theta, z and x."""
        x, z = state["x"], state["z"]
        if c.any("wd"):
            g = torch.addcmul(g, theta, c["wd"])
        z.addcmul_(g, c["-lr"])
        x.lerp_(z, c["c"])
        theta.copy_(torch.lerp(z, x, c["beta"]))


@register
@dataclass(frozen=True)
class ScheduleFreeAdamWRule(_ScheduleFree):
    """Schedule-Free AdamW (Defazio et al. 2024, algorithm 1).

    With g the gradient at y::

        γₜ = γ min(1, (t + 1)/W)
        v ← β₂v + (1 − β₂)g²
        u = g/(√(v/(1 − β₂ᵗ⁺¹)) + ε) + λy
        z ← z − γₜu
        x ← x + c(z − x)         with c = γₜ² / (γ₀² + … + γₜ²)
        y ← z + β₁(x − z)

    with γ = lr, λ = weight_decay, W = warmup. theta is y; x is for evaluation. As in the authors'
    package, γₜ does not hold the root of the bias correction that the paper's box puts there; the
    weights of the average follow the warm-up alone. With ε = 0, a weight that never had a gradient
    only decays.
    """

    name: ClassVar[str] = "schedule-free-adamw"
    paper: ClassVar[str] = "Defazio et al. 2024, arXiv:2405.15682"

    lr: Hyperparameter = option(float, 2.5e-3, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "share of x in the point of the gradient", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "decay of the mean of squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root of the latter", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(
        float, 0.0, "decay of the weights at y, times lr a step", NON_NEGATIVE
    )
    warmup: int = option(int, 0, "updates until the full learning rate", NATURAL)

    def init(self, theta: Tensor) -> State:
        """Return x = z = theta and v = 0."""
        return {**super().init(theta), "v": torch.zeros_like(theta)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -γₜ, β₁, 1 − β₂, ε̂ = ε√(1 − β₂ᵗ⁺¹) and that root, λ, and c."""
        rise, c = ramp(t, self.warmup)
        root = sqrt(1.0 - h["beta2"] ** (t + 1))
        return {
            "-lr": -h["lr"] * rise,
            "beta1": h["beta1"],
            "1-beta2": 1.0 - h["beta2"],
            "eps": h["eps"] * root,
            "root": root,
            "wd": h["weight_decay"],
            "c": c,
        }

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move y, which is theta, z, x and v."""
        x, z, v = state["x"], state["z"], state["v"]
        v.lerp_(g * g, c["1-beta2"])
        root = v.sqrt().add_(c["eps"])
        if not c.all("eps"):
            root.masked_fill_(root == 0.0, torch.inf)
        u = (g * c["root"]).div_(root)
        if c.any("wd"):
            u.addcmul_(theta, c["wd"])
        z.addcmul_(u, c["-lr"])
        x.lerp_(z, c["c"])
        theta.copy_(torch.lerp(z, x, c["beta1"]))


def ramp(t: int, warmup: int) -> tuple[float, float]:
    """Return the warm-up's factor of the learning rate at update t, from 0, and x's weight c.

    Example:
        >>> ramp(0, warmup=2), ramp(1, warmup=2)
        ((0.5, 1.0), (1.0, 0.8))
    """
    rise = min(1.0, (t + 1) / warmup) if warmup else 1.0
    whole = max(0, t + 1 - warmup)
    return rise, rise**2 / (_squares(min(t + 1, warmup), warmup) + whole)


@cache
def _squares(n: int, warmup: int) -> float:
    """Return the sum of (i/warmup)² for i from 1 to n."""
    return n * (n + 1) * (2 * n + 1) / 6 / warmup**2 if warmup else 0.0
