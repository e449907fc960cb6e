"""Decoupled penalties: the weights shrink beside the gradient's step, not in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, State
from thalweg.optim.wrapper import Wrapper


@register
@dataclass(frozen=True)
class DecayRule(Wrapper):
    """Decoupled weight decay (Loshchilov & Hutter 2019) around any rule.

    θ ← θ − ηλθ after the inner rule's update, with η = lr and λ = decoupled_decay. AdamW decays
    before its step; here it is after, so that rules of every kind can be inside.
    """

    name: ClassVar[str] = "decay"
    paper: ClassVar[str] = "Loshchilov & Hutter 2019, arXiv:1711.05101"

    decoupled_decay: Hyperparameter = option(
        float, 1e-2, "decay of the weights, times lr a step", NON_NEGATIVE
    )

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers of the inner rule, and −ηλ."""
        return {**self.inner.coefficients(t, h), "-decoupled": -h["lr"] * h["decoupled_decay"]}

    def after(self, theta: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Shrink theta."""
        theta.addcmul_(theta, c["-decoupled"])


@register
@dataclass(frozen=True)
class ProximalRule(Wrapper):
    """The proximal step of an L1 penalty (Parikh & Boyd 2014, section 6.5.2) around any rule.

    After the inner rule's update, with η = lr and λ = proximal_l1::

        θ ← sign(θ) max(|θ| − ηλ, 0)

    Weights become exactly zero, as under the gradient of the penalty they never do.
    """

    name: ClassVar[str] = "proximal"
    paper: ClassVar[str] = "Parikh & Boyd 2014 (Found. Trends Optim. 1)"

    proximal_l1: Hyperparameter = option(float, 1e-4, "weight of the L1 penalty", NON_NEGATIVE)

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers of the inner rule, and ηλ."""
        return {**self.inner.coefficients(t, h), "threshold": h["lr"] * h["proximal_l1"]}

    def after(self, theta: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Pull theta towards zero, and stop there."""
        theta.copy_(theta.sign() * (theta.abs() - c["threshold"]).clamp_(min=0.0))
