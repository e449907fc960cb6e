"""AdaGrad."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Parts, Rule, State
from thalweg.optim.terms import decay_coefficients, decayed, divisor


@register
@dataclass(frozen=True)
class AdaGradRule(Rule):
    """AdaGrad: steps over the root of all squared gradients so far (Duchi et al. 2011).

    In its diagonal form::

        g ← g + λθ
        G ← G + g²
        θ ← θ − η/(1 + dt) · g/(√G + ε)

    with η = lr, d = lr_decay, λ = weight_decay, t counted from 0, and G starting as
    initial_accumulator_value. The decay d and the place of ε are PyTorch's; the paper has no d,
    and adds its δ to √G too. With ε = 0, a weight that never had a gradient stays where it is
    (PyTorch makes it NaN).
    """

    name: ClassVar[str] = "adagrad"
    paper: ClassVar[str] = "Duchi, Hazan & Singer 2011, JMLR 12:2121"

    lr: Hyperparameter = option(float, 1e-2, "learning rate", NON_NEGATIVE)
    lr_decay: Hyperparameter = option(float, 0.0, "inverse time decay of lr, a step", NON_NEGATIVE)
    eps: Hyperparameter = option(float, 1e-10, "added to the root", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)
    initial_accumulator_value: Hyperparameter = option(
        float, 0.0, "sum of squares at the start", NON_NEGATIVE
    )

    def init(self, theta: Tensor) -> State:
        """Return G as it is at the start."""
        return {"G": torch.zeros_like(theta).add_(self.initial_accumulator_value)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -η/(1 + dt), ε and λ."""
        rate = h["lr"] / (1.0 + t * h["lr_decay"])
        return {"-lr": -rate, "eps": h["eps"], **decay_coefficients(h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta and G."""
        g, G = decayed(theta, g, c), state["G"]
        G.addcmul_(g, g)
        theta.addcdiv_(g * c["-lr"], divisor(G.sqrt().add_(c["eps"]), c))

    def fused(self, parts: Parts) -> bool:
        """Use torch's fused AdaGrad, unless ε is 0."""
        h = parts.h
        if h["eps"] == 0.0:
            return False
        torch.ops.aten._fused_adagrad_(
            [*parts.thetas],
            [*parts.gs],
            parts.slots("G"),
            parts.counts(),
            lr=h["lr"],
            lr_decay=h["lr_decay"],
            weight_decay=h["weight_decay"],
            eps=h["eps"],
            maximize=False,
        )
        return True
