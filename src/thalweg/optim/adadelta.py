"""AdaDelta."""

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
class AdaDeltaRule(Rule):
    """AdaDelta: steps in the units of the weights, without a learning rate (Zeiler 2012).

    Algorithm 1, with v for E[g²] and u for E[Δ²]::

        g ← g + λθ
        v ← ρv + (1 − ρ)g²
        Δ = √(u + ε)/√(v + ε) · g
        u ← ρu + (1 − ρ)Δ²
        θ ← θ − ηΔ

    with η = lr, which the paper has not (it is 1), ρ = beta, and λ = weight_decay. It is ε that
    makes the first step: with ε = 0 nothing ever moves.
    """

    name: ClassVar[str] = "adadelta"
    paper: ClassVar[str] = "Zeiler 2012, arXiv:1212.5701"

    lr: Hyperparameter = option(float, 1.0, "factor of each step", NON_NEGATIVE)
    beta: Hyperparameter = option(float, 0.9, "decay of the means of squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-6, "added within the roots", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)

    def init(self, theta: Tensor) -> State:
        """Return v = 0 and u = 0."""
        return {"v": torch.zeros_like(theta), "u": torch.zeros_like(theta)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -η, 1 − ρ, ε and λ."""
        numbers = {"-lr": -h["lr"], "1-beta": 1.0 - h["beta"], "eps": h["eps"]}
        return {**numbers, **decay_coefficients(h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, v and u."""
        g, v, u = decayed(theta, g, c), state["v"], state["u"]
        v.lerp_(g * g, c["1-beta"])
        root = divisor((v + c["eps"]).sqrt_(), c)
        step = (u + c["eps"]).sqrt_().div_(root).mul_(g)
        u.lerp_(step * step, c["1-beta"])
        theta.addcmul_(step, c["-lr"])
