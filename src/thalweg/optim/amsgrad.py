"""AMSGrad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.adam import adam_coefficients, adam_step, fused_adam, moments, move_moments
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Rule, State
from thalweg.optim.terms import decay_coefficients, decayed


@register
@dataclass(frozen=True)
class AMSGradRule(Rule):
    """Adam whose divisor never falls (Reddi, Kale & Kumar 2018, algorithm 2).

    With the largest v so far::

        g ← g + λθ
        m ← β₁m + (1 − β₁)g
        v ← β₂v + (1 − β₂)g²
        v̂ ← max(v̂, v)
        θ ← θ − α√(1 − β₂ᵗ)/(1 − β₁ᵗ) · m/(√v̂ + ε̂)

    with α = lr, λ = weight_decay, and ε̂ = ε√(1 − β₂ᵗ). The bias corrections and ε are PyTorch's;
    the paper has neither. With ε = 0, a weight that never had a gradient stays where it is.
    """

    name: ClassVar[str] = "amsgrad"
    paper: ClassVar[str] = "Reddi, Kale & Kumar 2018, arXiv:1904.09237"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 1e-3, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.9, "decay of the mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "decay of the mean of their squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root of the latter", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.0, "L2 penalty, in the gradient", NON_NEGATIVE)

    def init(self, theta: Tensor) -> State:
        """Return m = 0, v = 0 and v̂ = 0."""
        return {**moments(theta), "v max": torch.zeros_like(theta)}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return λ and the numbers of :func:`adam_coefficients`."""
        return {**decay_coefficients(h), **adam_coefficients(t, h)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, m, v and v̂."""
        m, v = move_moments(decayed(theta, g, c), state, c)
        v_max = torch.maximum(state["v max"], v, out=state["v max"])
        adam_step(theta, m * c["-step"], v_max, c)

    def fused(
        self,
        thetas: Sequence[Tensor],
        gs: Sequence[Tensor],
        states: Sequence[State],
        t: int,
        h: Mapping[str, float],
    ) -> bool:
        """Use torch's fused Adam, unless ε is 0."""
        return fused_adam(torch._fused_adam_, thetas, gs, states, t, h)
