"""RMSProp in TensorFlow's form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rmsprop import rmsprop_coefficients, spread
from thalweg.optim.rule import Hyperparameter, Rule, State
from thalweg.optim.terms import decayed, divisor, momentum_buffer, with_momentum


@register
@dataclass(frozen=True)
class RMSPropTFRule(Rule):
    """RMSProp in TensorFlow's form: ε in the root, v from 1, the learning rate in the buffer.

    As ``tf.compat.v1.train.RMSPropOptimizer``, with which many published networks were trained::

        g ← g + λθ
        v ← βv + (1 − β)g²       from v = 1
        a ← βa + (1 − β)g        if centred, else a = 0
        b ← μb + η g/√(v − a² + ε)
        θ ← θ − b

    with η = lr, β = beta, μ = momentum, λ = weight_decay, which TensorFlow does not have. Each
    gradient goes into b with the learning rate of its own time, other than in ``rmsprop``.

    Deviations: v − a² is at least 0, in spite of rounding; the learning rate has a default, that
    of ``rmsprop``; with ε = 0, a weight whose v is 0 stays where it is.
    """

    name: ClassVar[str] = "rmsprop-tf"
    paper: ClassVar[str] = "Tieleman & Hinton 2012, Coursera lecture 6e, as in TensorFlow 1"
    velocities: ClassVar[tuple[str, ...]] = ("b",)

    lr: Hyperparameter = option(float, 1e-2, "learning rate", NON_NEGATIVE)
    beta: Hyperparameter = option(float, 0.9, "decay of the mean of squared gradients", BELOW_ONE)
    momentum: Hyperparameter = option(float, 0.0, "share of the last step that goes on", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-10, "added within the root", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)
    centered: bool = option(bool, False, "divide by the root of the variance instead")

    def init(self, theta: Tensor) -> State:
        """Return v = 1; a = 0 if centred; b = 0 if there is momentum."""
        state = {"v": torch.ones_like(theta), **momentum_buffer(self.momentum, theta)}
        return {**state, "a": torch.zeros_like(theta)} if self.centered else state

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return η, 1 − β, μ, ε and λ."""
        return {"lr": h["lr"], **rmsprop_coefficients(h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta and the slots."""
        g = decayed(theta, g, c)
        root = divisor((spread(g, state, c) + c["eps"]).sqrt_(), c)
        theta.sub_(with_momentum(g * c["lr"] / root, state, c))
