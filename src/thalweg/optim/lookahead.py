"""Lookahead: slow weights that follow the fast ones of another rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import COUNT, UNIT, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, State
from thalweg.optim.wrapper import Wrapper


@register
@dataclass(frozen=True)
class LookaheadRule(Wrapper):
    """Lookahead (Zhang et al. 2019, algorithm 1) around any rule.

    With A the inner rule::

        θ ← A(θ, g)              at every update, and at every k-th
        φ ← φ + α(θ − φ)
        θ ← φ

    with slow weights φ, which start as the initial weights, and fast weights θ. The inner rule
    keeps its state when θ is set back. The slow weights are those to evaluate with.
    """

    name: ClassVar[str] = "lookahead"
    paper: ClassVar[str] = "Zhang, Lucas, Hinton & Ba 2019, arXiv:1907.08610"

    k: int = option(int, 5, "updates of the inner rule for one of the slow weights", COUNT)
    alpha: Hyperparameter = option(float, 0.5, "share of the way that slow weights go", UNIT)

    def init(self, theta: Tensor) -> State:
        """Return the slots of the inner rule, and the slow weights."""
        return {**self.inner.init(theta), "slow": theta.detach().clone()}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers of the inner rule, and α."""
        return {**self.inner.coefficients(t, h), "alpha": h["alpha"]}

    def after(self, theta: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move the slow weights at every k-th update, and set theta back to them."""
        if (t + 1) % self.k == 0:
            synchronise(theta, state["slow"], c["alpha"])

    def evaluation_weights(self, theta: Tensor, state: State) -> Tensor:
        """Return the slow weights."""
        return state["slow"]


def synchronise(fast: Tensor, slow: Tensor, alpha: Tensor | float) -> None:
    """Pull the slow weights towards the fast ones, and set the fast ones back to them."""
    slow.lerp_(fast, alpha)
    fast.copy_(slow)
