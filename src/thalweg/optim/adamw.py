"""AdamW."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.adam import adam_coefficients, adam_update, fused_adam, moments
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State
from thalweg.optim.terms import decay_coefficients, decayed


@register
@dataclass(frozen=True)
class AdamWRule(Rule):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    The decay apart from the step::

        θ ← θ − αλθ
        θ ← Adam(θ, g)           with the gradient of the loss alone

    with α = lr and λ = weight_decay. As in PyTorch, and other than in the paper, the learning rate
    multiplies the decay, and the decay comes first.
    """

    name: ClassVar[str] = "adamw"
    paper: ClassVar[str] = "Loshchilov & Hutter 2019, arXiv:1711.05101"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 1e-3, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "decay of the mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "decay of the mean of their squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root of the latter", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(
        float, 1e-2, "decay of the weights, times lr a step", NON_NEGATIVE
    )

    def init(self, theta: Tensor) -> State:
        """Return m = 0 and v = 0."""
        return moments(theta)

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return Adam's numbers, and -αλ."""
        return {**decay_coefficients(h, decoupled=True), **adam_coefficients(t, h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, m and v."""
        adam_update(theta, decayed(theta, g, c), state, c)

    def fused(
        self,
        thetas: Sequence[Tensor],
        gs: Sequence[Tensor],
        states: Sequence[State],
        t: int,
        h: Mapping[str, float],
    ) -> bool:
        """Use torch's fused AdamW, unless ε is 0."""
        return fused_adam(torch._fused_adamw_, thetas, gs, states, t, h)
