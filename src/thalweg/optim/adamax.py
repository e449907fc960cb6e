"""Adamax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State
from thalweg.optim.terms import decay_coefficients, decayed, divisor


@register
@dataclass(frozen=True)
class AdamaxRule(Rule):
    """Adam with the infinity norm (Kingma & Ba 2015, algorithm 2).

    With u the largest gradient, which slowly fades::

        g ← g + λθ
        m ← β₁m + (1 − β₁)g
        u ← max(β₂u, |g| + ε)
        θ ← θ − α/(1 − β₁ᵗ) · m/u

    with α = lr and λ = weight_decay. The ε is PyTorch's; the paper has none. With ε = 0, a weight
    that never had a gradient stays where it is (PyTorch makes it NaN).
    """

    name: ClassVar[str] = "adamax"
    paper: ClassVar[str] = "Kingma & Ba 2015, arXiv:1412.6980"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 2e-3, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "decay of the mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "decay of the largest gradient", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the gradient's size", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)

    def init(self, theta: Tensor) -> State:
        """Return m = 0 and u = 0."""
        return {"m": torch.zeros_like(theta), "u": torch.zeros_like(theta)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return 1 − β₁, β₂, the step with its bias correction, ε and λ."""
        beta1 = h["beta1"]
        step = -h["lr"] / (1.0 - beta1 ** (t + 1))
        numbers = {"1-beta1": 1.0 - beta1, "beta2": h["beta2"], "-step": step, "eps": h["eps"]}
        return {**numbers, **decay_coefficients(h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, m and u."""
        g, m, u = decayed(theta, g, c), state["m"], state["u"]
        m.lerp_(g, c["1-beta1"])
        torch.maximum(u.mul_(c["beta2"]), g.abs().add_(c["eps"]), out=u)
        theta.addcdiv_(m * c["-step"], divisor(u, c))
