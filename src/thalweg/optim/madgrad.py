"""MADGRAD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.cbrt import cbrt
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State
from thalweg.optim.terms import decay_coefficients, decayed, divisor


@register
@dataclass(frozen=True)
class MADGRADRule(Rule):
    """Momentumised, adaptive, dual averaged gradient (Defazio & Jelassi 2021, algorithm 1).

    With g the gradient at x::

        λ = (γ + ε)√(t + 1)      (λ = 0 if γ = 0)
        g ← g + wx
        s ← s + λg
        ν ← ν + λg²
        z = x₀ − s/(∛ν + ε)
        x ← βx + (1 − β)z

    with γ = lr, β = momentum, w = weight_decay, and t counted from 0. The ε in λ is that of the
    authors' code. With ε = 0, a weight that never had a gradient stays where it is.

    Deviations from the authors' package: the gradient is not changed by weight decay, and x₀ is
    stored for β = 0 too, where they compute it again from x, s and ν: members with and without
    momentum share one state, and x₀ does not drift by rounding.
    """

    name: ClassVar[str] = "madgrad"
    paper: ClassVar[str] = "Defazio & Jelassi 2021, arXiv:2101.11075"

    lr: Hyperparameter = option(float, 1e-2, "learning rate", NON_NEGATIVE)
    momentum: Hyperparameter = option(float, 0.9, "share of x that is kept", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-6, "added to the cube root", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)

    def init(self, theta: Tensor) -> State:
        """Return s = 0, ν = 0 and x₀ = theta."""
        zeros = torch.zeros_like(theta)
        return {"s": zeros, "nu": zeros.clone(), "x0": theta.detach().clone()}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return λ, ε, 1 − β and w."""
        lr, eps = h["lr"], h["eps"]
        return {
            "lambda": (lr + eps) * sqrt(t + 1) if lr else 0.0,
            "eps": eps,
            "1-beta": 1.0 - h["momentum"],
            **decay_coefficients(h),
        }

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta (x in the paper), s and ν."""
        g, s, nu, x0 = decayed(theta, g, c), state["s"], state["nu"], state["x0"]
        s.addcmul_(g, c["lambda"])
        nu.addcmul_(g * c["lambda"], g)
        root = divisor(cbrt(nu).add_(c["eps"]), c)
        z = torch.addcdiv(x0, s, root, value=-1.0, out=root)
        theta.lerp_(z, c["1-beta"])
