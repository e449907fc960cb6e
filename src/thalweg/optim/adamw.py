"""AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from thalweg.optim.adam import adam_coefficients, adam_update, moments
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State


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
        return {"-decay": -h["lr"] * h["weight_decay"], **adam_coefficients(t, h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, m and v."""
        if c.any("-decay"):
            theta.addcmul_(theta, c["-decay"])
        adam_update(theta, g, state, c)
