"""AMSGrad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.adam import AdamRule, adam_step, moments, move_moments
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.registry import register
from thalweg.optim.rule import State
from thalweg.optim.terms import decayed


@register
@dataclass(frozen=True)
class AMSGradRule(AdamRule):
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

    def init(self, theta: Tensor) -> State:
        """Return m = 0, v = 0 and v̂ = 0."""
        return {**moments(theta), "v max": torch.zeros_like(theta)}

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move theta, m, v and v̂."""
        m, v = move_moments(decayed(theta, g, c), state, c)
        v_max = torch.maximum(state["v max"], v, out=state["v max"])
        adam_step(theta, m * c["-step"], v_max, c)
