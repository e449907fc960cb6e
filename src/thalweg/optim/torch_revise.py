"""Gradients for a rule that asks for several in a step, evaluated by the user's own closures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor

from thalweg.errors import SpecError

Closure: TypeAlias = Callable[[], Any]


class ClosureGradients:
    """Parameters of a module as one network's row, (1, P), and gradients at what the row says.

    It is what :meth:`thalweg.optim.Rule.revise` calls ``at``. Each evaluation begins with the
    random numbers with which the step began, so that dropout has the same masks; afterwards the
    generators are as one evaluation leaves them.

    Args:
        params: The parameters, on one device; complex ones count as pairs of real ones.
        signs: 1 for each that descends, -1 for each that ascends.
        closure: Sets the gradients on the step's batch.
        full: Sets the gradients over the whole training set, or None.
        draws: The random numbers of the step's batch.

    Attributes:
        theta: The row.
    """

    def __init__(
        self,
        params: Sequence[Tensor],
        signs: Sequence[int],
        closure: Closure,
        full: Closure | None,
        draws: Draws,
    ) -> None:
        self.params, self.signs, self.draws = params, signs, draws
        self.closure, self.all_closure = closure, full
        self._shapes = [real(p).shape for p in params]
        self.theta = self.row(params)

    def batch(self) -> Tensor:
        """Return the gradient on the step's batch."""
        return self._at(self.closure)

    def full(self) -> Tensor:
        """Return the gradient over the whole training set.

        Raises:
            SpecError: There is no closure for it.
        """
        if self.all_closure is None:
            raise SpecError(
                "no closure for the gradient over the whole training set, and a snapshot is due",
                "step(closure, full)",
            )
        return self._at(self.all_closure)

    def gradient(self) -> Tensor:
        """Return the gradients that the parameters have now, as a row."""
        zeros = torch.zeros_like
        return self.row([
            sign * (zeros(p) if p.grad is None else p.grad)
            for p, sign in zip(self.params, self.signs, strict=True)
        ])  # fmt: skip

    def row(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return tensors shaped like the parameters as one row, of the widest of their types."""
        return torch.cat([real(x).reshape(-1) for x in tensors])[None]

    def pieces(self, row: Tensor) -> list[Tensor]:
        """Return the parts of a row, in the shapes of the parameters, as real numbers."""
        parts = row[0].split([shape.numel() for shape in self._shapes])
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Put the parameters back in the end."""
        kept = [p.clone() for p in self.params]
        try:
            yield
        finally:
            for p, value in zip(self.params, kept, strict=True):
                p.copy_(value)

    def _at(self, closure: Closure) -> Tensor:
        for p, piece in zip(self.params, self.pieces(self.theta), strict=True):
            real(p).copy_(piece)
        with self.draws.again():
            evaluated(closure)
        return self.gradient()


class Draws:
    """The random numbers of a moment: those that torch's global generators will draw from now."""

    def __init__(self) -> None:
        self._states = _states()

    @contextmanager
    def again(self) -> Iterator[None]:
        """Draw them again for a while."""
        now = _states()
        _set(self._states)
        try:
            yield
        finally:
            _set(now)


def evaluated(closure: Closure | None) -> Any:
    """Return the loss of a closure, which needs gradients to be on, or None without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def real(x: Tensor) -> Tensor:
    """View complex numbers as pairs of real ones."""
    return torch.view_as_real(x) if x.is_complex() else x


def _states() -> tuple[Tensor, list[Tensor]]:
    return torch.get_rng_state(), torch.cuda.get_rng_state_all()


def _set(states: tuple[Tensor, list[Tensor]]) -> None:
    torch.set_rng_state(states[0])
    torch.cuda.set_rng_state_all(states[1])
