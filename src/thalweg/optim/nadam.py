"""NAdam."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.adam import adam_coefficients, adam_step, moments, move_moments
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State
from thalweg.optim.terms import decay_coefficients, decayed


@register
@dataclass(frozen=True)
class NAdamRule(Rule):
    """Adam with Nesterov's momentum (Dozat 2016, algorithm 2).

    With μₜ = β₁(1 − ½ · 0.96^(ψt)), t from 1, and the product Π = μ₁μ₂…μₜ::

        g ← g + λθ
        m ← β₁m + (1 − β₁)g
        v ← β₂v + (1 − β₂)g²
        m̂ = (1 − μₜ)/(1 − Π) · g + μₜ₊₁/(1 − Πμₜ₊₁) · m
        θ ← θ − α√(1 − β₂ᵗ) · m̂/(√v + ε̂)

    with α = lr, ψ = momentum_decay, λ = weight_decay, which acts on the weights as in AdamW if
    asked for, and ε̂ = ε√(1 − β₂ᵗ): so ε is added to √v̂, as in PyTorch, and not within the root as
    in the paper. With ε = 0, a weight that never had a gradient stays where it is.

    Deviation from PyTorch: Π is the product for the β₁ of the present, where theirs is kept, in
    float32, from step to step. They differ where β₁ changes in time.
    """

    name: ClassVar[str] = "nadam"
    paper: ClassVar[str] = (
        "Dozat 2016 (ICLR workshop), openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ"
    )
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 2e-3, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "decay of the mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "decay of the mean of their squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root of the latter", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, or decay", NON_NEGATIVE)
    momentum_decay: Hyperparameter = option(float, 4e-3, "how fast μ rises to beta1", NON_NEGATIVE)
    decoupled_weight_decay: bool = option(bool, False, "decay the weights apart from the step")

    def init(self, theta: Tensor) -> State:
        """Return m = 0 and v = 0."""
        return moments(theta)

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the decay, Adam's numbers, and the factors of g and m."""
        c, beta1, psi = adam_coefficients(t, h), h["beta1"], h["momentum_decay"]
        rate = c["-step"] * (1.0 - beta1 ** (t + 1))
        product, mu = mu_product(t + 1, beta1, psi), mu_at(t + 1, beta1, psi)
        mu_next = mu_at(t + 2, beta1, psi)
        return {
            **decay_coefficients(h, decoupled=self.decoupled_weight_decay),
            **c,
            "of g": rate * (1.0 - mu) / (1.0 - product),
            "of m": rate * mu_next / (1.0 - product * mu_next),
        }

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, m and v."""
        g = decayed(theta, g, c)
        m, v = move_moments(g, state, c)
        adam_step(theta, torch.addcmul(m * c["of m"], g, c["of g"]), v, c)


def mu_at(t: int, beta1: float, psi: float) -> float:
    """Return μₜ."""
    return beta1 * (1.0 - 0.5 * float(0.96 ** (t * psi)))


def mu_product(t: int, beta1: float, psi: float) -> float:
    """Return μ₁μ₂…μₜ, or the last one that can be told from 0 beside 1.

    Example:
        >>> mu_product(2, 0.5, 0.0), mu_product(10**9, 0.5, 0.0) < 1e-20
        (0.0625, True)
    """
    known = _products(beta1, psi)
    while len(known) <= t and known[-1] > 1e-20:
        known.append(known[-1] * mu_at(len(known), beta1, psi))
    return known[min(t, len(known) - 1)]


@lru_cache(maxsize=4096)
def _products(beta1: float, psi: float) -> list[float]:
    """Return the list in which the products are kept, up to the longest one asked for."""
    return [1.0]
