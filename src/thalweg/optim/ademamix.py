"""AdEMAMix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.adam import adam_coefficients, adam_step, moments, move_moments
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NATURAL, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State
from thalweg.optim.terms import decay_coefficients, decayed


@register
@dataclass(frozen=True)
class AdEMAMixRule(Rule):
    """AdamW with a fast and a slow mean of gradients (Pagliardini et al. 2024, algorithm 1).

    Here m and n are m₁ and m₂ of the paper::

        θ ← θ − ηλθ
        m ← β₁m + (1 − β₁)g
        n ← β₃n + (1 − β₃)g
        v ← β₂v + (1 − β₂)g²
        θ ← θ − η(m/(1 − β₁ᵗ) + αn)/(√(v/(1 − β₂ᵗ)) + ε)

    with η = lr, α = mix, λ = weight_decay. In the first T = warmup steps, α rises in a straight
    line from 0, and β₃ from β₁, so that the half-life of n does. The authors recommend T = the
    length of the run, and their code has 2 for α where the paper has 5. With ε = 0, a weight that
    never had a gradient stays where it is.
    """

    name: ClassVar[str] = "ademamix"
    paper: ClassVar[str] = "Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137"
    velocities: ClassVar[tuple[str, ...]] = ("m", "n")

    lr: Hyperparameter = option(float, 1e-3, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "decay of the fast mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "decay of the mean of their squares", BELOW_ONE)
    beta3: Hyperparameter = option(float, 0.9999, "decay of the slow mean", BELOW_ONE)
    mix: Hyperparameter = option(float, 5.0, "weight of the slow mean", NON_NEGATIVE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(
        float, 0.0, "decay of the weights, times lr a step", NON_NEGATIVE
    )
    warmup: int = option(int, 0, "steps in which mix and beta3 rise", NATURAL)

    def init(self, theta: Tensor) -> State:
        """Return m = 0, v = 0 and n = 0."""
        return {**moments(theta), "n": torch.zeros_like(theta)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return Adam's numbers, 1 − β₃, the step along n, and -ηλ."""
        c, beta3, share = adam_coefficients(t, h), h["beta3"], 1.0
        if t + 1 < self.warmup:
            share = (t + 1) / self.warmup
            half = (1.0 - share) * half_life(h["beta1"]) + share * half_life(beta3)
            beta3 = 0.5 ** (1.0 / half) if half else 0.0
        rate = c["-step"] * (1.0 - h["beta1"] ** (t + 1))
        return {
            **decay_coefficients(h, decoupled=True),
            **c,
            "1-beta3": 1.0 - beta3,
            "-slow step": rate * h["mix"] * share,
        }

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, m, n and v."""
        g, n = decayed(theta, g, c), state["n"]
        m, v = move_moments(g, state, c)
        n.lerp_(g, c["1-beta3"])
        adam_step(theta, torch.addcmul(m * c["-step"], n, c["-slow step"]), v, c)


def half_life(beta: float) -> float:
    """Return in how many steps a mean that decays by β forgets one half.

    Example:
        >>> half_life(0.5), half_life(0.0)
        (1.0, 0.0)
    """
    return log(0.5) / log(beta) if beta else 0.0
