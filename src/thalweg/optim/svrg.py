"""Stochastic variance-reduced gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import COUNT, UNIT, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Gradients, Hyperparameter, State
from thalweg.optim.wrapper import Wrapper


@register
@dataclass(frozen=True)
class SVRGRule(Wrapper):
    """SVRG (Johnson & Zhang 2013, option I), and α-SVRG (Yin et al. 2025), around any rule.

    At every m-th update, from the first one on, a snapshot is taken::

        w̃ ← θ
        μ̃ ← ∇P(w̃)               over the whole training set

    and at every update, with i the batch::

        g ← ∇ψᵢ(θ) − α(∇ψᵢ(w̃) − μ̃)
        θ ← A(θ, g)

    with m = snapshot_every, α = svrg_alpha, and A the inner rule: SGD in the first paper. α = 1 is
    SVRG; a schedule on svrg_alpha that falls to 0 is α-SVRG. Both gradients of a batch are taken
    with the same dropout masks. Two gradients an update, and one more pass at each snapshot.
    """

    name: ClassVar[str] = "svrg"
    paper: ClassVar[str] = "Johnson & Zhang 2013 (NeurIPS); Yin et al. 2025, arXiv:2311.05589"

    snapshot_every: int = option(int, 100, "updates from one snapshot to the next", COUNT)
    svrg_alpha: Hyperparameter = option(float, 1.0, "weight of the correction", UNIT)

    @property
    def revises(self) -> bool:
        """Yes."""
        return True

    @property
    def gradients_per_step(self) -> float:
        """One more than the inner rule; the pass over the training set is not counted here."""
        return self.inner.gradients_per_step + 1.0

    def init(self, theta: Tensor) -> State:
        """Return the slots of the inner rule, w̃ = theta and μ̃ = 0."""
        own = {"snapshot": theta.detach().clone(), "full": torch.zeros_like(theta)}
        return {**self.inner.init(theta), **own}

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return the numbers of the inner rule, and −α."""
        return {**self.inner.coefficients(t, h), "-alpha": -h["svrg_alpha"]}

    def revise(
        self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients, at: Gradients
    ) -> Tensor:
        """Return the gradient with its correction; take a snapshot if one is due."""
        snapshot, full = state["snapshot"], state["full"]
        g = g.clone()
        if t % self.snapshot_every == 0:
            snapshot.copy_(theta)
            full.copy_(at.full())
        here = theta.clone()
        theta.copy_(snapshot)
        correction = at.batch() - full
        theta.copy_(here)
        return self.inner.revise(theta, g.addcmul_(correction, c["-alpha"]), state, t, c, at)
