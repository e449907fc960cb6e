"""Stochastic gradient descent, with momentum and Nesterov's momentum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.errors import SpecError
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, UNIT, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Parts, Rule, State
from thalweg.optim.terms import (
    decay_coefficients,
    decayed,
    find_buffer,
    momentum_buffer,
    some,
)


@register
@dataclass(frozen=True)
class SGDRule(Rule):
    """Gradient descent with momentum (Polyak 1964; Sutskever et al. 2013).

    In PyTorch's form::

        g ← g + λθ
        b ← μb + (1 − d)g        (b ← g at the first update)
        θ ← θ − γ(g + μb)        with Nesterov's momentum
        θ ← θ − γb               else

    with γ = lr, μ = momentum, d = dampening, λ = weight_decay. Without momentum, b = g and nothing
    is stored. As the learning rate multiplies the whole of b, a change of it acts on the gradients
    of the past too, other than in v ← μv − γg, θ ← θ + v: the rules ``momentum`` and ``nesterov``.

    With batch_size = "full" it is gradient descent (GD): each gradient is that of the whole set.
    """

    name: ClassVar[str] = "sgd"
    paper: ClassVar[str] = "Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013 (ICML)"
    velocities: ClassVar[tuple[str, ...]] = ("b",)

    lr: Hyperparameter = option(float, 1e-3, "learning rate", NON_NEGATIVE)
    momentum: Hyperparameter = option(float, 0.0, "share of the last step that goes on", BELOW_ONE)
    dampening: Hyperparameter = option(float, 0.0, "share of the gradient left out of b", UNIT)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)
    nesterov: bool = option(bool, False, "take the gradient ahead, where momentum leads")

    def init(self, theta: Tensor) -> State:
        """Return b = 0, or nothing if there is no momentum."""
        return momentum_buffer(self.momentum, theta)

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -γ, μ, 1 − d and λ."""
        plain = t == 0 or h["momentum"] == 0.0
        return {
            "-lr": -h["lr"],
            "mu": h["momentum"],
            "1-d": 1.0 if plain else 1.0 - h["dampening"],
            **decay_coefficients(h),
        }

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta and b."""
        g, b = decayed(theta, g, c), find_buffer(state, c)
        if b is not None:
            b.mul_(c["mu"]).addcmul_(g, c["1-d"])
            g = torch.addcmul(g, b, c["mu"]) if self.nesterov else b
        theta.addcmul_(g, c["-lr"])

    def fused(self, parts: Parts) -> bool:
        """Use torch's fused SGD; without momentum and decay one addition is all there is."""
        h = parts.h
        if h["momentum"] and "b" not in parts.states[0]:
            return False
        thetas, gs = [*parts.thetas], [*parts.gs]
        if not h["momentum"] and not h["weight_decay"]:
            torch._foreach_add_(thetas, gs, alpha=-h["lr"])
            return True
        torch._fused_sgd_(
            thetas,
            gs,
            parts.slots("b") if h["momentum"] else [],
            nesterov=self.nesterov,
            maximize=False,
            is_first_step=parts.t == 0,
            lr=h["lr"],
            momentum=h["momentum"],
            dampening=h["dampening"],
            weight_decay=h["weight_decay"],
        )
        return True

    def check(self) -> None:
        """Raise SpecError unless Nesterov's momentum has momentum, and no dampening."""
        if self.nesterov and (not some(self.momentum) or some(self.dampening)):
            raise SpecError(
                f"nesterov with momentum={self.momentum} and dampening={self.dampening}",
                "nesterov with momentum > 0 and dampening = 0",
                "momentum=0.9 is usual",
            )
