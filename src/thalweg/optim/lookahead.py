"""Lookahead: slow weights that follow the fast ones of another rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.errors import SpecError
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import COUNT, UNIT, Choice, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, State
from thalweg.optim.wrapper import Wrapper

PULLBACK = Choice("keep", "pull-back", "reset")


@register
@dataclass(frozen=True)
class LookaheadRule(Wrapper):
    """Lookahead (Zhang et al. 2019, algorithm 1) around any rule.

    With A the inner rule::

        θ ← A(θ, g)              at every update, and at every k-th
        φ ← φ + α(θ − φ)
        θ ← φ

    with slow weights φ, which start as the initial weights, and fast weights θ. The slow weights
    are those to evaluate with.

    When θ is set back, the inner rule keeps its state. Its momentum m alone, of whatever form, may
    be treated otherwise, by ``pullback_momentum``, as in the authors' code: ``reset`` makes it 0,
    and ``pull-back`` treats it as θ, with a slow copy m̄ that starts at 0::

        m̄ ← m̄ + α(m − m̄)
        m ← m̄
    """

    name: ClassVar[str] = "lookahead"
    paper: ClassVar[str] = "Zhang, Lucas, Hinton & Ba 2019, arXiv:1907.08610"

    k: int = option(int, 5, "updates of the inner rule for one of the slow weights", COUNT)
    alpha: Hyperparameter = option(float, 0.5, "share of the way that slow weights go", UNIT)
    pullback_momentum: str = option(
        str, "keep", "what becomes of momentum when the weights are set back", PULLBACK
    )

    @property
    def momenta(self) -> tuple[str, ...]:
        """The slots of the inner rule that do not stay when the weights are set back."""
        *_, inmost = self.within()
        return () if self.pullback_momentum == "keep" else inmost.velocities

    def init(self, theta: Tensor) -> State:
        """Return the slots of the inner rule, the slow weights, and the slow momentum, if any."""
        state = {**self.inner.init(theta), "slow": theta.detach().clone()}
        if self.pullback_momentum == "pull-back":
            held = [name for name in self.momenta if name in state]
            state |= {slow_name(name): torch.zeros_like(theta) for name in held}
        return state

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers of the inner rule, and α."""
        return {**self.inner.coefficients(t, h), "alpha": h["alpha"]}

    def after(self, theta: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move the slow weights at every k-th update, and set theta back to them."""
        if (t + 1) % self.k == 0:
            synchronise(theta, state["slow"], c["alpha"])
            for name in self.momenta:
                if name in state:
                    set_back(state[name], state.get(slow_name(name)), c["alpha"])

    def check(self) -> None:
        """Raise SpecError if there can be no momentum to set back."""
        super().check()
        if self.pullback_momentum != "keep" and not self.momenta:
            raise no_momentum(self.pullback_momentum, self.inner.name)

    def evaluation_weights(self, theta: Tensor, state: State) -> Tensor:
        """Return the slow weights."""
        return state["slow"]


def synchronise(fast: Tensor, slow: Tensor, alpha: Tensor | float) -> None:
    """Pull the slow weights towards the fast ones, and set the fast ones back to them."""
    slow.lerp_(fast, alpha)
    fast.copy_(slow)


def set_back(momentum: Tensor, slow: Tensor | None, alpha: Tensor | float) -> None:
    """Pull momentum back to its slow copy, or to 0 where there is none."""
    if slow is None:
        momentum.zero_()
    else:
        synchronise(momentum, slow, alpha)


def slow_name(momentum: str) -> str:
    """Return the name of the slot with the slow copy of a slot."""
    return f"slow {momentum}"


def no_momentum(asked: str, name: str) -> SpecError:
    """Return the error of one who asks for another momentum around a rule that has none."""
    return SpecError(
        f"pullback_momentum={asked!r} around {name}",
        "keep, around an optimizer without a buffer of momentum",
    )
