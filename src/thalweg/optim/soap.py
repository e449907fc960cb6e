"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor

from thalweg.optim.adam import adam_coefficients, moments
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.options import BELOW_ONE, COUNT, NON_NEGATIVE, option
from thalweg.optim.registry import register
from thalweg.optim.rule import Hyperparameter, LayerRule, State


@register
@dataclass(frozen=True)
class SOAPRule(LayerRule):
    """SOAP (Vyas et al. 2024, algorithm 3): AdamW, for matrices in Shampoo's eigenbasis.

    With G the gradient of a matrix W (r, c), and Q_L, Q_R the eigenvectors of L and R::

        G' = Q_Lᵀ G Q_R
        M ← β₁M + (1 − β₁)G;  M' = Q_Lᵀ M Q_R
        V ← β₂V + (1 − β₂)G'²
        N = Q_L (M̂'/(√V̂ + ε)) Q_Rᵀ
        W ← (1 − ηλ)(W − ηN)
        L ← β₃L + (1 − β₃)GGᵀ;  R ← β₃R + (1 − β₃)GᵀG
        Q_L, Q_R ← QR(L Q_L), QR(R Q_R)      at every ``frequency``-th update

    with η = lr, λ = weight_decay, and an ε that is not corrected. As the authors do, the first
    update only begins L and R and takes their eigenvectors by a full decomposition; M and V move on
    from there. Before each QR, eigenvectors and V are sorted by eigenvalue. A convolution's kernel
    counts as the matrix (out, in · height · width). Vectors, and sides longer than ``largest``, are
    left as they are, Q = 1.
    """

    name: ClassVar[str] = "soap"
    paper: ClassVar[str] = "Vyas et al. 2024, arXiv:2409.11321"
    velocities: ClassVar[tuple[str, ...]] = ("m",)

    lr: Hyperparameter = option(float, 3e-3, "learning rate", NON_NEGATIVE)
    beta1: Hyperparameter = option(float, 0.95, "decay of the mean of gradients", BELOW_ONE)
    beta2: Hyperparameter = option(float, 0.95, "decay of the mean of their squares", BELOW_ONE)
    beta3: Hyperparameter = option(float, 0.95, "decay of L and R", BELOW_ONE)
    eps: Hyperparameter = option(float, 1e-8, "added to the root", NON_NEGATIVE)
    weight_decay: Hyperparameter = option(float, 0.01, "decoupled weight decay", NON_NEGATIVE)
    frequency: int = option(int, 10, "updates from one basis to the next", COUNT)
    largest: int = option(int, 10_000, "longest side that has a basis", COUNT)

    def init(self, theta: Tensor) -> State:
        """Return M = V = 0."""
        return moments(theta)

    def layer_slots(self, shape: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """Return the shapes of L and R and of their eigenvectors."""
        if len(shape) < 2:
            return {}
        rows, columns = shape[0], prod(shape[1:])
        sides = {"L": rows, "R": columns}
        return {
            name: (side, side)
            for each, side in sides.items()
            if side <= self.largest
            for name in (each, f"Q{each}")
        }

    def coefficients(self, t: int, h: Mapping[str, float]) -> dict[str, float]:
        """Return Adam's numbers at this update, 1 − β₃, and 1 − ηλ."""
        return {
            **adam_coefficients(max(t - 1, 0), h),
            "eps": h["eps"],
            "1-beta3": 1.0 - h["beta3"],
            "decay": 1.0 - h["lr"] * h["weight_decay"],
        }

    def update(self, theta: Tensor, g: Tensor, state: State, t: int, c: Coefficients) -> None:
        """Move one parameter, with its slots."""
        G = g.reshape(len(g), -1) if g.dim() > 1 else g.reshape(1, -1)
        if t > 0:
            m, v = (state[name].view_as(G) for name in ("m", "v"))
            m.lerp_(G, c["1-beta1"])
            turned = rotate(G, state, back=False)
            v.lerp_(turned * turned, c["1-beta2"])
            root = v.sqrt().add_(c["eps"])
            root.masked_fill_(root == 0.0, torch.inf)
            N = rotate(rotate(m, state, back=False) / root, state, back=True)
            theta.add_(N.view_as(theta) * c["-step"])
            theta.mul_(c["decay"])
        wide = torch.promote_types(theta.dtype, torch.float32)  # LAPACK has no half precision
        for side in sorted({"L", "R"} & state.keys()):
            state[side].lerp_(G @ G.T if side == "L" else G.T @ G, c["1-beta3"])
            Q = state[f"Q{side}"]
            if t == 0:
                Q.copy_(eigenvectors(state[side].to(wide)))
            elif t % self.frequency == 0:
                product = state[side] @ Q
                order = (Q * product).sum(0).argsort(descending=True)  # by eigenvalue
                v = state["v"].view_as(G)
                v.copy_(v.index_select(0 if side == "L" else 1, order))
                Q.copy_(torch.linalg.qr(product[:, order].to(wide)).Q)


def rotate(G: Tensor, state: State, *, back: bool) -> Tensor:
    """Turn a matrix into the basis, or back; a side without one stays as it is."""
    if "QL" in state:
        G = state["QL"] @ G if back else state["QL"].T @ G
    if "QR" in state:
        G = G @ state["QR"].T if back else G @ state["QR"]
    return G


def eigenvectors(A: Tensor) -> Tensor:
    """Return the eigenvectors of a symmetric matrix as columns, the largest eigenvalue's first.

    Those of a matrix that is not finite are NaN: a member that diverged must not stop the others.

    Example:
        >>> eigenvectors(torch.tensor([[1.0, 0.0], [0.0, 2.0]])).abs()
        tensor([[0., 1.],
                [1., 0.]])
    """
    if not A.isfinite().all():
        return torch.full_like(A, torch.nan)
    found: Tensor = torch.linalg.eigh(A).eigenvectors
    return found.flip(1)
