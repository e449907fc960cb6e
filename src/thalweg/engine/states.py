"""The way that the parameters took: every n-th state, within a memory budget."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


class States:
    """Records parameters; when the budget is full, every second leaves and the interval doubles.

    Args:
        every: Steps between two states; 0 records nothing.
        budget: Memory for all states, in bytes. Two states are always kept.

    Attributes:
        steps: Steps after which the states were taken.
        theta: The states, (K, P) each, in the layout of the stack.

    Example:
        >>> import torch
        >>> states = States(every=1, budget=4 * 4)
        >>> for step in range(9):
        ...     states.offer(step, torch.full((1, 1), float(step)))
        >>> states.steps
        [0, 4, 8]
    """

    def __init__(self, every: int, budget: float) -> None:
        self.every, self.budget = every, budget
        self.steps: list[int] = []
        self.theta: list[Tensor] = []

    def offer(self, step: int, theta: Tensor) -> None:
        """Keep a copy of the parameters if this step is due."""
        if not self.every or step % self.every:
            return
        size = theta.numel() * theta.element_size()
        if len(self.theta) >= 2 and (len(self.theta) + 1) * size > self.budget:
            self.every *= 2
            kept = [place for place, taken in enumerate(self.steps) if taken % self.every == 0]
            self.steps = [self.steps[place] for place in kept]
            self.theta = [self.theta[place] for place in kept]
            if step % self.every:
                return
        self.steps.append(step)
        self.theta.append(theta.clone())

    def refill(self, every: int, states: Mapping[int, Tensor]) -> None:
        """Hold these states, and go on at this interval."""
        self.every = every
        self.steps, self.theta = list(states), list(states.values())
