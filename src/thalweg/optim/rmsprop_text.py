"""RMSProp as a lecture prints it."""

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
class RMSPropTextRule(Rule):
    """RMSProp with the recursion on the root, as some lecture notes print it.

    There the mean is taken of V, which is a root already, where ``rmsprop`` keeps the mean v of
    squares apart from its root::

        g ← g + λθ
        V ← √(βV + (1 − β)g²) + ε
        θ ← θ − η g/V

    with η = lr, β = beta, λ = weight_decay, and V from 0. A root and a square are added: so steps
    depend on the scale of the loss, and without gradients V goes to β and not to 0. It is here so
    that the printed formula can be tried beside the standard one; the defaults are printed with
    it. With ε = 0, a weight that never had a gradient stays where it is.
    """

    name: ClassVar[str] = "rmsprop-text"
    paper: ClassVar[str] = "a misprint of Tieleman & Hinton 2012, Coursera lecture 6e"

    lr: Hyperparameter = option(float, 1e-2, "learning rate", NON_NEGATIVE)
    beta: Hyperparameter = option(float, 0.1, "share of V that is kept", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-10, "added to the root", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)

    def init(self, theta: Tensor) -> State:
        """Return V = 0."""
        return {"V": torch.zeros_like(theta)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -η, 1 − β, ε and λ."""
        numbers = {"-lr": -h["lr"], "1-beta": 1.0 - h["beta"], "eps": h["eps"]}
        return {**numbers, **decay_coefficients(h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta and V."""
        g, V = decayed(theta, g, c), state["V"]
        V.lerp_(g * g, c["1-beta"]).sqrt_().add_(c["eps"])
        theta.addcdiv_(g * c["-lr"], divisor(V, c))
