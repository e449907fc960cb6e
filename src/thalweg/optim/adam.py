"""Adam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import torch
from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Parts, Rule, State
from thalweg.optim.terms import decay_coefficients, decayed, divisor


@register
@dataclass(frozen=True)
class AdamRule(Rule):
    """Adam (Kingma & Ba 2015, algorithm 1, in the efficient order of the end of section 2).

    With g the gradient::

        g ← g + λθ
        m ← β₁m + (1 − β₁)g
        v ← β₂v + (1 − β₂)g²
        θ ← θ − α√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v + ε̂)

    with α = lr, λ = weight_decay, and ε̂ = ε√(1 − β₂ᵗ): so ε is added to the corrected √v̂, as in
    algorithm 1 and in PyTorch. With ε = 0, a weight that never had a gradient stays where it is
    (PyTorch makes it NaN).
    """

    name: ClassVar[str] = "adam"
    paper: ClassVar[str] = "Kingma & Ba 2015, arXiv:1412.6980"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 1e-3, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "decay of the mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "decay of the mean of their squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root of the latter", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)

    def init(self, theta: Tensor) -> State:
        """Return m = 0 and v = 0."""
        return moments(theta)

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return λ and the numbers of :func:`adam_coefficients`."""
        return {**decay_coefficients(h), **adam_coefficients(t, h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, m and v."""
        adam_update(theta, decayed(theta, g, c), state, c)

    def fused(self, parts: Parts) -> bool:
        """Use torch's fused Adam, unless ε is 0."""
        return fused_adam(torch._fused_adam_, parts)


def moments(theta: Tensor) -> State:
    """Return Adam's slots."""
    return {"m": torch.zeros_like(theta), "v": torch.zeros_like(theta)}


def adam_coefficients(t: int, h: Mapping[str, float]) -> dict[str, float]:
    """Return 1 − β₁, 1 − β₂, the step with both bias corrections, and ε̂."""
    beta1, beta2 = h["beta1"], h["beta2"]
    correction = sqrt(1.0 - beta2 ** (t + 1))
    return {
        "1-beta1": 1.0 - beta1,
        "1-beta2": 1.0 - beta2,
        "-step": -h["lr"] * correction / (1.0 - beta1 ** (t + 1)),
        "eps": h["eps"] * correction,
    }


def adam_update(theta: Tensor, g: Tensor, state: State, c: Coefficients) -> None:
    """Move theta, m and v: the algorithm without weight decay."""
    m, v = move_moments(g, state, c)
    adam_step(theta, m * c["-step"], v, c)


def move_moments(g: Tensor, state: State, c: Coefficients) -> tuple[Tensor, Tensor]:
    """Move m and v, and return them."""
    m, v = state["m"], state["v"]
    return m.lerp_(g, c["1-beta1"]), v.lerp_(g * g, c["1-beta2"])


def adam_step(theta: Tensor, step: Tensor, v: Tensor, c: Coefficients) -> None:
    """Do θ ← θ + step/(√v + ε̂)."""
    theta.addcdiv_(step, divisor(v.sqrt().add_(c["eps"]), c))


def fused_adam(kernel: Callable[..., Any], parts: Parts) -> bool:
    """Do the update by torch's kernel for Adam, AMSGrad or AdamW; as :meth:`Rule.fused` else."""
    h = parts.h
    if h["eps"] == 0.0:
        return False
    largest = parts.slots("v max") if "v max" in parts.states[0] else []
    kernel(
        [*parts.thetas],
        [*parts.gs],
        parts.slots("m"),
        parts.slots("v"),
        largest,
        parts.counts(),
        amsgrad=bool(largest),
        maximize=False,
        lr=h["lr"],
        beta1=h["beta1"],
        beta2=h["beta2"],
        weight_decay=h["weight_decay"],
        eps=h["eps"],
    )
    return True
