"""What is done to the members' gradients before their rules see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from thalweg import optim


@dataclass(frozen=True)
class Regularisation:
    """What is done to the gradient of one member.

    Args:
        l1: Weight of the penalty Σ|w| over parameters of two axes or more.
        l2: Weight of the penalty ½Σw² over the same.
        clip_value: Largest magnitude of an entry.
        clip_norm: Largest 2-norm of the gradient.
    """

    l1: float = 0.0
    l2: float = 0.0
    clip_value: float | None = None
    clip_norm: float | None = None


class Regularisations:
    """What is done to the gradients of K members, each with numbers of its own.

    Args:
        members: What is done to each.
        weights: Marks the entries that are penalised, (1, P), by 1, the others by 0.

    Example:
        >>> both = Regularisations(
        ...     [Regularisation(clip_value=1.0), Regularisation()], torch.ones(1, 2)
        ... )
        >>> grad = torch.tensor([[3.0, -3.0], [3.0, -3.0]])
        >>> both.clip(grad)
        >>> grad
        tensor([[ 1., -1.],
                [ 3., -3.]])
    """

    def __init__(self, members: Sequence[Regularisation], weights: Tensor) -> None:
        def column(numbers: Sequence[float], none: float) -> Tensor | None:
            if all(number == none for number in numbers):
                return None
            return torch.tensor(numbers, dtype=weights.dtype, device=weights.device).unsqueeze(1)

        def bounds(numbers: Sequence[float | None]) -> Tensor | None:
            return column([inf if number is None else number for number in numbers], inf)

        def penalty(numbers: Sequence[float]) -> tuple[list[int], Tensor] | None:
            rows = [row for row, number in enumerate(numbers) if number]
            mine = column([numbers[row] for row in rows], 0.0)
            return None if mine is None else (rows, weights * mine)

        self._l1, self._l2 = penalty([m.l1 for m in members]), penalty([m.l2 for m in members])
        self._value = bounds([m.clip_value for m in members])
        self._norm = bounds([m.clip_norm for m in members])

    def penalise(self, theta: Tensor, grad: Tensor) -> None:
        """Add the penalties' gradients, (K, P)."""
        if self._l2 is not None:
            _add(grad, theta, *self._l2)
        if self._l1 is not None:
            _add(grad, theta.sign(), *self._l1)

    def clip(self, grad: Tensor, rows: slice = slice(None)) -> None:
        """Clip gradients, (n, P): those of the members in some rows."""
        if self._value is not None:
            bound = self._value[rows]
            torch.clamp(grad, -bound, bound, out=grad)
        if self._norm is not None:
            norm, bound = optim.member_norm(grad), self._norm[rows]
            grad.mul_(torch.where(norm > bound, bound / norm, 1.0))


def _add(grad: Tensor, x: Tensor, rows: list[int], weights: Tensor) -> None:
    """Add to the gradients of some members; the others' may belong to parameters beyond number."""
    if len(rows) == len(grad):
        grad.addcmul_(x, weights)
    else:
        grad[rows] = grad[rows].addcmul_(x[rows], weights)
