"""LARS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.linalg import vector_norm

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, LayerRule, State


@register
@dataclass(frozen=True)
class LARSRule(LayerRule):
    """Layer-wise adaptive rate scaling (You, Gitman & Ginsburg 2017, algorithm 1).

    With a velocity v, for each layer's weights w::

        λ = η‖w‖/(‖g‖ + β‖w‖)
        v ← μv + γλ(g + βw)
        w ← w − v

    with γ = lr, μ = momentum, η = trust, β = weight_decay. So each layer moves by a share ηγ of
    its own size. Matrices and kernels of convolutions are layers; vectors, as biases and the
    parameters of norms, have λ = 1 and β = 0.

    Deviations: λ = 1 where w is all 0, which would stay so for ever, and where the divisor is 0.
    The decay of γ, which is part of algorithm 1, is the schedule ``polynomial``. The defaults are
    those of the package pytorch-optimizer.
    """

    name: ClassVar[str] = "lars"
    paper: ClassVar[str] = "You, Gitman & Ginsburg 2017, arXiv:1708.03888"
    velocities: ClassVar[tuple[str, ...]] = ("v",)

    lr: Hyperparameter = option(float, 1e-3, "learning rate", NON_NEGATIVE)
    momentum: Hyperparameter = option(float, 0.9, "share of the last step that goes on", BELOW_ONE)
    trust: Hyperparameter = option(
        float, 1e-3, "step of a layer over its size, at lr = 1", NON_NEGATIVE
    )
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty of layers", NON_NEGATIVE)

    def init(self, theta: Tensor) -> State:
        """Return v = 0."""
        return {"v": torch.zeros_like(theta)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return γ, μ, η and β."""
        return {"lr": h["lr"], "mu": h["momentum"], "trust": h["trust"], "wd": h["weight_decay"]}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move one parameter (w in the paper) and its v."""
        rate, v = c["lr"], state["v"]
        if theta.dim() > 1:
            w_norm, g_norm = vector_norm(theta.reshape(-1)), vector_norm(g.reshape(-1))
            ratio = c["trust"] * w_norm / (g_norm + c["wd"] * w_norm)
            rate = rate * ratio.where((w_norm > 0.0) & ratio.isfinite(), 1.0)
            g = torch.addcmul(g, theta, c["wd"])
        v.mul_(c["mu"]).addcmul_(g, rate)
        theta.sub_(v)
