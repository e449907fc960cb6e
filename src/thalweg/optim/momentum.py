"""Momentum."""

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
class MomentumRule(Rule):
    """Gradient descent with momentum, in the form of the textbooks (Polyak 1964).

    With a velocity v::

        g ← g + λθ
        v ← μv − ηg
        θ ← θ + v

    with η = lr, μ = momentum, λ = weight_decay. Each gradient goes into v with the learning rate
    of its own time: where η changes, v follows slowly, other than in PyTorch's form, which is the
    rule ``sgd``. While η stays, v = −ηb, and the two are the same. The schedule ``inverse-time``
    makes it momentum with inverse time decay.
    """

    name: ClassVar[str] = "momentum"
    paper: ClassVar[str] = "Polyak 1964, doi:10.1016/0041-5553(64)90137-5"
    velocities: ClassVar[tuple[str, ...]] = ("v",)

    lr: Hyperparameter = option(float, 1e-2, "learning rate", NON_NEGATIVE)
    momentum: Hyperparameter = option(float, 0.9, "share of the last step that goes on", BELOW_ONE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)

    def init(self, theta: Tensor) -> State:
        """Return v = 0."""
        return {"v": torch.zeros_like(theta)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return -η, μ and λ."""
        return {"-lr": -h["lr"], "mu": h["momentum"], **decay_coefficients(h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta and v."""
        g, v = decayed(theta, g, c), state["v"]
        v.mul_(c["mu"]).addcmul_(g, c["-lr"])
        theta.add_(v)
