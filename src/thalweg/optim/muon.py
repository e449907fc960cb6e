"""Muon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.adam import adam_coefficients, adam_update, moments
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, COUNT, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, LayerRule, State

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients a, b, c of one Newton-Schulz step, chosen to be steep at 0 (Jordan et al. 2024)."""


@register
@dataclass(frozen=True)
class MuonRule(LayerRule):
    """Momentum, orthogonalised (Jordan et al. 2024), and AdamW for what is not a matrix.

    With G the gradient of a matrix W (r, c)::

        B ← μB + (1 − μ)G
        M = (1 − μ)G + μB        with Nesterov's momentum, else B
        O = NewtonSchulz(M)      ≈ UVᵀ, where M = UΣVᵀ
        W ← (1 − γλ)W
        W ← W − γ√max(1, r/c) · O

    with γ = lr, μ = momentum, λ = weight_decay. Newton-Schulz starts at X = M/(‖M‖ + ε), and does
    ``iterations`` times X ← aX + (bA + cA²)X with A = XXᵀ. A convolution's kernel counts as the
    matrix (out, in · height · width). Vectors, and matrices with fewer than ``least`` rows (the
    output layer, as its author recommends), are moved by AdamW at the rate γ · adam_share, with
    the same λ.

    Deviations from torch.optim.Muon: Newton-Schulz is done in the parameters' precision, where
    theirs is in bfloat16; kernels are taken as matrices, where theirs refuses them; the weight
    decay is 0 unless asked for.
    """

    name: ClassVar[str] = "muon"
    paper: ClassVar[str] = "Jordan et al. 2024, https://kellerjordan.github.io/posts/muon"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 2e-2, "learning rate", NON_NEGATIVE)
    momentum: Hyperparameter = option(float, 0.95, "decay of the mean of gradients", BELOW_ONE)
    weight_decay: Hyperparameter = option(float, 0.0, "decoupled weight decay", NON_NEGATIVE)
    adam_share: Hyperparameter = option(
        float, 0.02, "learning rate of AdamW for the rest, over lr", NON_NEGATIVE
    )
    beta1: Hyperparameter = option(float, 0.9, "AdamW's decay of the mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.999, "AdamW's decay of their squares", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root of the latter", NON_NEGATIVE)
    nesterov: bool = option(bool, True, "orthogonalise the momentum a step ahead")
    iterations: int = option(int, 5, "steps of Newton-Schulz", COUNT)
    least: int = option(int, 11, "rows from which on a matrix is one", COUNT)

    def init(self, theta: Tensor) -> State:
        """Return B = 0, which is AdamW's m where there is no matrix, and AdamW's v = 0."""
        return moments(theta)

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return 1 − μ, −γ, 1 − γλ, and AdamW's numbers at its own rate."""
        rate = h["lr"] * h["adam_share"]
        return {
            "1-mu": 1.0 - h["momentum"],
            "mu": h["momentum"],
            "-lr": -h["lr"],
            "decay": 1.0 - h["lr"] * h["weight_decay"],
            "adam decay": 1.0 - rate * h["weight_decay"],
            **adam_coefficients(t, {**h, "lr": rate}),
        }

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move one parameter, with its slots."""
        if theta.dim() < 2 or len(theta) < self.least:
            theta.mul_(c["adam decay"])
            adam_update(theta, g, state, c)
            return
        B = state["m"]
        B.lerp_(g, c["1-mu"])
        M = torch.lerp(g, B, c["mu"]) if self.nesterov else B
        O = newton_schulz(M.reshape(len(M), -1).contiguous(), self.iterations)  # noqa: E741
        rows, columns = O.shape
        theta.mul_(c["decay"])
        theta.add_(O.view_as(theta) * (c["-lr"] * sqrt(max(1.0, rows / columns))))


def newton_schulz(M: Tensor, iterations: int, eps: float = 1e-7) -> Tensor:
    """Return a matrix with the singular vectors of M and singular values near 1.

    Args:
        M: A matrix (r, c).
        iterations: Steps of the quintic iteration.
        eps: Added to the norm.

    Example:
        >>> M = torch.diag(torch.tensor([4.0, 1.0, 0.5]))
        >>> bool((torch.linalg.svdvals(newton_schulz(M, 5)) - 1).abs().max() < 0.4)
        True
    """
    a, b, c = QUINTIC
    X = M / (torch.linalg.matrix_norm(M) + eps)
    X = X.T if len(M) > M.shape[1] else X
    for _ in range(iterations):
        A = X @ X.T
        X = torch.addmm(X, torch.addmm(A, A, A, beta=b, alpha=c), X, beta=a)
    orthogonal: Tensor = X.T if len(M) > M.shape[1] else X
    return orthogonal
