"""Lion."""

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
from thalweg.optim.terms import decay_coefficients, decayed


@register
@dataclass(frozen=True)
class LionRule(Rule):
    """Evolved sign momentum (Chen et al. 2023, algorithm 2).

    Every weight moves by the same amount::

        θ ← θ − ηλθ
        θ ← θ − η sign(β₁m + (1 − β₁)g)
        m ← β₂m + (1 − β₂)g

    with η = lr and λ = weight_decay; the sign of 0 is 0. The authors advise a learning rate 3 to
    10 times smaller than AdamW's, and a λ as many times larger.
    """

    name: ClassVar[str] = "lion"
    paper: ClassVar[str] = "Chen et al. 2023, arXiv:2302.06675"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 1e-4, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "share of m in the step", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.99, "decay of the mean of gradients", BELOW_ONE)
    weight_decay: Hyperparameter = option(
        float, 0.0, "decay of the weights, times lr a step", NON_NEGATIVE
    )

    def init(self, theta: Tensor) -> State:
        """Return m = 0."""
        return {"m": torch.zeros_like(theta)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -η, 1 − β₁, 1 − β₂ and -ηλ."""
        numbers = {"-lr": -h["lr"], "1-beta1": 1.0 - h["beta1"], "1-beta2": 1.0 - h["beta2"]}
        return {**numbers, **decay_coefficients(h, decoupled=True)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta and m."""
        g, m = decayed(theta, g, c), state["m"]
        theta.addcmul_(torch.lerp(m, g, c["1-beta1"]).sign_(), c["-lr"])
        m.lerp_(g, c["1-beta2"])
