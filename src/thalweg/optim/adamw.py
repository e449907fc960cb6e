"""AdamW."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from thalweg.optim.adam import AdamRule, adam_coefficients, fused_adam
from thalweg.optim.options import NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, Parts
from thalweg.optim.terms import decay_coefficients


@register
@dataclass(frozen=True)
class AdamWRule(AdamRule):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2).

    The decay apart from the step::

        θ ← θ − αλθ
        θ ← Adam(θ, g)           with the gradient of the loss alone

    with α = lr and λ = weight_decay. As in PyTorch, and other than in the paper, the learning rate
    multiplies the decay, and the decay comes first.
    """

    name: ClassVar[str] = "adamw"
    paper: ClassVar[str] = "Loshchilov & Hutter 2019, arXiv:1711.05101"

    weight_decay: Hyperparameter = option(
        float, 1e-2, "decay of the weights, times lr a step", NON_NEGATIVE
    )

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return Adam's numbers, and -αλ."""
        return {**decay_coefficients(h, decoupled=True), **adam_coefficients(t, h)}

    def fused(self, parts: Parts) -> bool:
        """Use torch's fused AdamW, unless ε is 0."""
        return fused_adam(torch._fused_adamw_, parts)
