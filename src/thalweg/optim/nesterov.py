"""Nesterov's momentum."""

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
class NesterovRule(Rule):
    """Momentum with the gradient at the look-ahead point (Nesterov 1983; Sutskever et al. 2013).

    With weights x, a velocity v, and the gradient at θ = x + μv, where momentum leads::

        g ← g + λθ
        v ← μv − ηg
        x ← x + v
        θ ← x + μv

    with η = lr, μ = momentum, λ = weight_decay. The parameters are θ, as the gradient is taken
    there, and μv is kept beside v, so that x = θ − μv is known: these are the weights to evaluate
    with. As in ``momentum``, each gradient goes into v with the learning rate of its own time.
    While η and μ stay, θ moves as in PyTorch's form: ``sgd`` with ``nesterov=True``.

    Deviation: where μ changes in time, the look-ahead is made with the μ of the step before.
    """

    name: ClassVar[str] = "nesterov"
    paper: ClassVar[str] = "Nesterov 1983; Sutskever et al. 2013 (ICML), section 2"
    velocities: ClassVar[tuple[str, ...]] = ("v", "mu v")

    lr: Hyperparameter = option(float, 1e-2, "learning rate", NON_NEGATIVE)
    momentum: Hyperparameter = option(float, 0.9, "share of the last step that goes on", BELOW_ONE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)

    def init(self, theta: Tensor) -> State:
        """Return v = 0 and μv = 0."""
        return {"v": torch.zeros_like(theta), "mu v": torch.zeros_like(theta)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -η, μ and λ."""
        return {"-lr": -h["lr"], "mu": h["momentum"], **decay_coefficients(h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, v and μv."""
        g, v, ahead = decayed(theta, g, c), state["v"], state["mu v"]
        theta.sub_(ahead)  # x
        v.mul_(c["mu"]).addcmul_(g, c["-lr"])
        torch.mul(v, c["mu"], out=ahead)
        theta.add_(v).add_(ahead)

    def evaluation_weights(self, theta: Tensor, state: State) -> Tensor:
        """Return x."""
        return theta - state["mu v"]
