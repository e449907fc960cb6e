"""RMSProp."""

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
from thalweg.optim.terms import (
    decay_coefficients,
    decayed,
    divisor,
    momentum_buffer,
    with_momentum,
)


@register
@dataclass(frozen=True)
class RMSPropRule(Rule):
    """RMSProp: steps over the root of a mean of squared gradients (Tieleman & Hinton 2012).

    With momentum, and centred (Graves 2013), in PyTorch's form::

        g ← g + λθ
        v ← βv + (1 − β)g²
        a ← βa + (1 − β)g        if centred, else a = 0
        b ← μb + g/(√(v − a²) + ε)
        θ ← θ − ηb

    with η = lr, β = beta (PyTorch's alpha), μ = momentum, λ = weight_decay. Without momentum, b is
    not stored. As the learning rate multiplies the whole of b, a change of it acts on the
    gradients of the past too. The forms of TensorFlow and of the lecture are ``rmsprop-tf`` and
    ``rmsprop-text``.

    Deviations from PyTorch: v − a² is at least 0, where rounding can make it negative, and their
    root NaN; with ε = 0, a weight that never had a gradient stays where it is.
    """

    name: ClassVar[str] = "rmsprop"
    paper: ClassVar[str] = (
        "Tieleman & Hinton 2012, Coursera lecture 6e; Graves 2013, arXiv:1308.0850"
    )
    velocities: ClassVar[tuple[str, ...]] = ("b",)

    lr: Hyperparameter = option(float, 1e-2, "learning rate", NON_NEGATIVE)
    beta: Hyperparameter = option(float, 0.99, "decay of the mean of squared gradients", BELOW_ONE)
    momentum: Hyperparameter = option(float, 0.0, "share of the last step that goes on", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)
    centered: bool = option(bool, False, "divide by the root of the variance instead")

    def init(self, theta: Tensor) -> State:
        """Return v = 0; a = 0 if centred; b = 0 if there is momentum."""
        state = {"v": torch.zeros_like(theta), **momentum_buffer(self.momentum, theta)}
        return {**state, "a": torch.zeros_like(theta)} if self.centered else state

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -η, 1 − β, μ, ε and λ."""
        return {"-lr": -h["lr"], **rmsprop_coefficients(h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta and the slots."""
        g = decayed(theta, g, c)
        root = divisor(spread(g, state, c).sqrt().add_(c["eps"]), c)
        theta.addcmul_(with_momentum(torch.div(g, root, out=root), state, c), c["-lr"])


def rmsprop_coefficients(h: Mapping[str, float]) -> dict[str, float]:
    """Return 1 − β, μ, ε and λ."""
    numbers = {"1-beta": 1.0 - h["beta"], "mu": h["momentum"], "eps": h["eps"]}
    return {**numbers, **decay_coefficients(h)}


def spread(g: Tensor, state: State, c: Coefficients) -> Tensor:
    """Move v, and a if there is one; return v − a², or v itself."""
    v = state["v"]
    v.lerp_(g * g, c["1-beta"])
    if "a" not in state:
        return v
    a = state["a"]
    a.lerp_(g, c["1-beta"])
    return torch.addcmul(v, a, a, value=-1.0).clamp_(min=0.0)
