"""Lines that several algorithm boxes have in common."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from thalweg.errors import SpecError
from thalweg.optim.coefficients import Coefficients
from thalweg.optim.rule import Hyperparameter, State


def decay_coefficients(h: Mapping[str, float], *, decoupled: bool = False) -> dict[str, float]:
    """Return λ, which acts in the gradient, and -αλ, which acts on the weights: one of them is 0.

    Example:
        >>> decay_coefficients({"lr": 0.5, "weight_decay": 0.25}, decoupled=True)
        {'wd': 0.0, '-decay': -0.125}
    """
    wd = h["weight_decay"]
    return {"wd": 0.0 if decoupled else wd, "-decay": -h["lr"] * wd if decoupled else 0.0}


def decayed(theta: Tensor, g: Tensor, c: Coefficients) -> Tensor:
    """Do θ ← θ − αλθ in place, and return g + λθ, where these are asked for."""
    if c.any("-decay"):
        theta.addcmul_(theta, c["-decay"])
    return torch.addcmul(g, theta, c["wd"]) if c.any("wd") else g


def divisor(root: Tensor, c: Coefficients) -> Tensor:
    """Return a root, with ∞ for 0 where ε is 0: a weight that never had a gradient stays."""
    return root if c.all("eps") else root.masked_fill(root == 0.0, torch.inf)


def some(x: Hyperparameter) -> bool:
    """Say whether a hyperparameter is non-zero for some member."""
    return bool(x.any()) if isinstance(x, Tensor) else x != 0.0


def momentum_buffer(momentum: Hyperparameter, theta: Tensor) -> State:
    """Return b = 0, or nothing if no member has momentum."""
    return {"b": torch.zeros_like(theta)} if some(momentum) else {}


def find_buffer(state: State, c: Coefficients) -> Tensor | None:
    """Return b, or None where there is no momentum.

    Raises:
        SpecError: Momentum was 0 when the state was made, and is not now.
    """
    if "b" not in state and c.any("mu"):
        raise SpecError(
            "momentum that was 0 at the start and is not now", "momentum > 0 from the start"
        )
    return state.get("b")


def with_momentum(step: Tensor, state: State, c: Coefficients) -> Tensor:
    """Return b ← μb + step, or the step itself where there is no momentum."""
    b = find_buffer(state, c)
    return step if b is None else b.mul_(c["mu"]).add_(step)
