"""ADOPT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.adam import moments
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State
from thalweg.optim.terms import decay_coefficients, decayed, divisor


@register
@dataclass(frozen=True)
class ADOPTRule(Rule):
    """Adam that converges with any β₂ (Taniguchi et al. 2024, algorithm 2, with clipping).

    The divisor is that of the step before, and comes before momentum. With t counted from 0::

        g ← g + λθ
        v ← g²                                                      at t = 0; then
        m ← β₁m + (1 − β₁) clip(g/max(√v, ε), ±t^¼)
        θ ← θ − αm
        v ← β₂v + (1 − β₂)g²

    with α = lr, λ = weight_decay, which acts on the weights as in AdamW if asked for. The first
    update only measures: the weights do not move. As in the authors' code, the clipping is at t^¼,
    and decoupled decay begins with the second update. With ε = 0, a weight whose v is 0 stays
    where it is (the authors' code makes it NaN where its gradient is 0 too).
    """

    name: ClassVar[str] = "adopt"
    paper: ClassVar[str] = "Taniguchi et al. 2024, arXiv:2411.02853"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 1e-3, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "decay of the mean of steps", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.9999, "decay of the mean of squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-6, "least divisor", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, or decay", NON_NEGATIVE)
    decoupled_weight_decay: bool = option(bool, False, "decay the weights apart from the step")

    def init(self, theta: Tensor) -> State:
        """Return m = 0 and v = 0."""
        return moments(theta)

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -α, 1 − β₁, 1 − β₂, ε, the decay, and both ends of the clipping."""
        h = h if t else {**h, "lr": 0.0}  # the first update does not move
        return {
            "-lr": -h["lr"],
            "1-beta1": 1.0 - h["beta1"],
            "1-beta2": 1.0 - h["beta2"],
            "eps": h["eps"],
            "clip": t**0.25,
            "-clip": -(t**0.25),
            **decay_coefficients(h, decoupled=self.decoupled_weight_decay),
        }

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, m and v; at first only v."""
        g, m, v = decayed(theta, g, c), state["m"], state["v"]
        if t == 0:
            torch.mul(g, g, out=v)
            return
        step = g / divisor(torch.maximum(v.sqrt(), c["eps"]), c)
        m.lerp_(step.clamp_(c["-clip"], c["clip"]), c["1-beta1"])
        theta.addcmul_(m, c["-lr"])
        v.lerp_(g * g, c["1-beta2"])
