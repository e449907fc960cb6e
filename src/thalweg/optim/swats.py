"""From Adam to SGD in mid-course."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NATURAL, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State


@register
@dataclass(frozen=True)
class SWATSRule(Rule):
    """SWATS (Keskar & Socher 2017, algorithm 1): Adam, then SGD at the rate that Adam implies.

    While it is Adam, with its step p = −α m̂/(√v̂ + ε), and with n = t + 1::

        γ = pᵀp/(−pᵀg)                       skipped where pᵀg = 0
        Λ ← β₂Λ + (1 − β₂)γ
        switch if n > 1, Λ̂ > 0 and |Λ̂ − γ| < δ, with Λ̂ = Λ/(1 − β₂ⁿ)

    and from then on::

        b ← β₁b + g
        w ← w − (1 − β₁)Λ̂b

    with α = lr and δ = tolerance. ``switch_at`` switches at a given update instead, whatever the
    estimate is by then, as Wu et al. (2016, GNMT) did; 0 leaves it to the estimate. A schedule on
    lr acts after the switch, too: Λ̂ is multiplied by lr over what it was at the switch.
    """

    name: ClassVar[str] = "swats"
    paper: ClassVar[str] = "Keskar & Socher 2017, arXiv:1712.07628"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 1e-3, "learning rate of Adam", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "decay of the mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "decay of the mean of their squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root of the latter", NON_NEGATIVE)
    tolerance: Hyperparameter = option(float, 1e-9, "δ: how close Λ̂ comes to γ", NON_NEGATIVE)
    switch_at: int = option(int, 0, "update at which to switch; 0: when the rates agree", NATURAL)

    @property
    def elementwise(self) -> bool:
        """No: all parameters switch at once."""
        return False

    def init(self, theta: Tensor) -> State:
        """Return m = v = 0, and for each network Λ = 0, and its Λ̂/lr after the switch, 0 before."""
        one = theta.new_zeros(len(theta), 1)
        zeros = torch.zeros_like(theta)
        return {"m": zeros, "v": zeros.clone(), "Lambda": one, "rate": one.clone()}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return Adam's numbers, and the correction of Λ."""
        n = t + 1
        root = sqrt(1.0 - h["beta2"] ** n)
        return {
            **h,
            "1-beta1": 1.0 - h["beta1"],
            "1-beta2": 1.0 - h["beta2"],
            "-step": -h["lr"] * root / (1.0 - h["beta1"] ** n),
            "eps": h["eps"] * root,
            "correction": 1.0 - h["beta2"] ** n,
        }

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move one network."""
        m, v, Lambda, rate = (state[name] for name in ("m", "v", "Lambda", "rate"))
        if rate > 0:
            m.mul_(c["beta1"]).add_(g)
            theta.sub_(m * (c["1-beta1"] * rate * c["lr"]))
            return
        m.lerp_(g, c["1-beta1"])
        v.lerp_(g * g, c["1-beta2"])
        root = v.sqrt().add_(c["eps"])
        root.masked_fill_(root == 0.0, torch.inf)
        p = m * c["-step"] / root
        theta.add_(p)
        slope = torch.dot(p.flatten(), g.flatten())
        if slope == 0 or not c.any("lr"):
            return
        gamma = torch.dot(p.flatten(), p.flatten()) / -slope
        Lambda.lerp_(gamma.expand_as(Lambda), c["1-beta2"])
        corrected = Lambda / c["correction"]
        agree = t > 0 and bool((corrected - gamma).abs() < c["tolerance"])
        if corrected > 0 and (t + 1 >= self.switch_at if self.switch_at else agree):
            rate.copy_(corrected / c["lr"])
            m.zero_()
