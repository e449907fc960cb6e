"""Sharpness-aware minimisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from thalweg.optim.apply import member_norm
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Gradients, Hyperparameter, State
from thalweg.optim.wrapper import Wrapper


@register
@dataclass(frozen=True)
class SAMRule(Wrapper):
    """Sharpness-aware minimisation (Foret et al. 2021, algorithm 1) around any rule.

    With g the gradient at θ, on one batch::

        ε̂ = ρ g/‖g‖
        g ← ∇L(θ + ε̂)            on the same batch, with the same dropout masks
        θ ← A(θ, g)

    with A the inner rule and the 2-norm of all parameters of a network. Two gradients an update.
    Where the gradient is zero, nothing is added.
    """

    name: ClassVar[str] = "sam"
    paper: ClassVar[str] = "Foret, Kleiner, Mobahi & Neyshabur 2021, arXiv:2010.01412"

    rho: Hyperparameter = option(float, 0.05, "radius of the ball", NON_NEGATIVE)

    @property
    def revises(self) -> bool:
        """Yes."""
        return True

    @property
    def gradients_per_step(self) -> float:
        """One more than the inner rule."""
        return self.inner.gradients_per_step + 1.0

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers of the inner rule, and ρ."""
        return {**self.inner.coefficients(t, h), "rho": h["rho"]}

    def revise(
        self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients, at: Gradients
    ) -> Tensor:
        """Return the gradient at the top of the ball."""
        norm = member_norm(g)
        here = theta.clone()
        theta.add_(g * (c["rho"] / norm).masked_fill_(norm == 0.0, 0.0))
        g = at.batch()
        theta.copy_(here)
        return self.inner.revise(theta, g, state, t, c, at)
