"""Prodigy: AdamW that finds its learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, POSITIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State


@register
@dataclass(frozen=True)
class ProdigyRule(Rule):
    """Prodigy (Mishchenko & Defazio 2024, algorithm 4), Adam's version with decoupled decay.

    d, the estimate of the distance to the solution, begins at d₀ and only grows. With g the
    gradient at x::

        m ← β₁m + d(1 − β₁)g
        v ← β₂v + d²(1 − β₂)g²
        r ← √β₂ r + (1 − √β₂) · γd²⟨g, x₀ − x⟩       (kept over d₀ and 1 − √β₂, as authors do)
        s ← √β₂ s + (1 − √β₂) · γd² g
        d ← max(d, c · r/‖s‖₁)
        x ← x − γdλx
        x ← x − γd m/(√v + dε)

    with γ = lr, which is to stay 1 or follow a schedule, c = growth, λ = weight_decay. As in the
    authors' package, the last two lines use the d from before, but for the one beside ε, and bias
    is not corrected. All parameters of a network share one d.
    """

    name: ClassVar[str] = "prodigy"
    paper: ClassVar[str] = "Mishchenko & Defazio 2024, arXiv:2306.06101"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 1.0, "multiplies the rate that is found", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "decay of the mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "decay of the mean of their squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root of the latter", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "decoupled weight decay", NON_NEGATIVE)
    d0: Hyperparameter = option(float, 1e-6, "first estimate of the distance", POSITIVE)
    growth: Hyperparameter = option(float, 1.0, "multiplies the estimate", POSITIVE)

    @property
    def elementwise(self) -> bool:
        """No: all parameters share d."""
        return False

    def init(self, theta: Tensor) -> State:
        """Return m = v = s = 0, x₀ = theta, and for each network d = 0, not begun, and r = 0."""
        zero = torch.zeros_like(theta)
        one = theta.new_zeros(len(theta), 1)
        slots = {"m": zero, "v": zero.clone(), "s": zero.clone(), "x0": theta.detach().clone()}
        return {**slots, "d": one, "r": one.clone()}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the hyperparameters, and √β₂."""
        return {**h, "beta3": sqrt(h["beta2"])}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move one network, x in the paper, with its slots."""
        m, v, s, x0, d, r = (state[name] for name in ("m", "v", "s", "x0", "d", "r"))
        if t == 0:
            d.copy_(c["d0"])
        d0, lr = c["d0"], c["lr"]
        m.mul_(c["beta1"]).add_(g * (d * (1 - c["beta1"])))
        v.mul_(c["beta2"]).add_(g * g * (d * d * (1 - c["beta2"])))
        r.mul_(c["beta3"]).add_(d / d0 * (d * lr) * torch.dot(g.flatten(), (x0 - theta).flatten()))
        s.mul_(c["beta3"]).add_(g * (d / d0 * (d * lr)))
        before = d.clone()
        total = s.abs().sum()
        if total > 0 and lr > 0:
            torch.maximum(d, c["growth"] * r / total, out=d)
        rate = before * lr
        theta.mul_(1 - rate * c["weight_decay"])
        root = v.sqrt().add_(d * c["eps"])
        root.masked_fill_(root == 0.0, torch.inf)
        theta.sub_(rate * m / root)
