"""RAdam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

from torch import Tensor

from thalweg.optim.adam import adam_coefficients, moments, move_moments
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State
from thalweg.optim.terms import decay_coefficients, decayed, divisor


@register
@dataclass(frozen=True)
class RAdamRule(Rule):
    """Adam that adapts once the variance of its divisor is bounded (Liu et al. 2020, algorithm 2).

    With ρ∞ = 2/(1 − β₂) − 1 and ρ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ), the length of the average::

        g ← g + λθ
        m ← β₁m + (1 − β₁)g
        v ← β₂v + (1 − β₂)g²
        r = √((ρ − 4)(ρ − 2)ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)ρ))
        θ ← θ − αr√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε)    if ρ > 5
        θ ← θ − α/(1 − β₁ᵗ) · m                        else

    with α = lr, λ = weight_decay, which acts on the weights as in AdamW if asked for. As in
    PyTorch, adaptation begins at ρ > 5, where the paper has 4, and ε, which the paper has not, is
    added to the uncorrected √v. With ε = 0, a weight that never had a gradient stays where it is.
    """

    name: ClassVar[str] = "radam"
    paper: ClassVar[str] = "Liu et al. 2020, arXiv:1908.03265"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 1e-3, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "decay of the mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "decay of the mean of their squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root of the latter", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, or decay", NON_NEGATIVE)
    decoupled_weight_decay: bool = option(bool, False, "decay the weights apart from the step")

    def init(self, theta: Tensor) -> State:
        """Return m = 0 and v = 0."""
        return moments(theta)

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the decay, Adam's numbers with r in the step, and whether ρ > 5."""
        c, beta2, n = adam_coefficients(t, h), h["beta2"], t + 1
        longest = 2.0 / (1.0 - beta2) - 1.0
        rho = longest - 2.0 * n * beta2**n / (1.0 - beta2**n)
        if rho > 5.0:
            above = (rho - 4.0) * (rho - 2.0) * longest
            below = (longest - 4.0) * (longest - 2.0) * rho
            step = c["-step"] * sqrt(above / below)
        else:
            step = -h["lr"] / (1.0 - h["beta1"] ** n)
        decay = decay_coefficients(h, decoupled=self.decoupled_weight_decay)
        return {**decay, **c, "eps": h["eps"], "-step": step, "adapts": float(rho > 5.0)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, m and v."""
        m, v = move_moments(decayed(theta, g, c), state, c)
        root = divisor(v.sqrt().add_(c["eps"]), c)
        if not c.all("adapts"):
            root.masked_fill_(c["adapts"] == 0.0, 1.0)
        theta.addcdiv_(m * c["-step"], root)
