"""The way that the parameters took: every n-th state, within a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import overload

from torch import Tensor

Shelved = Callable[[], Tensor]
"""Reads a state, (1, P), from where it was put."""


class States:
    """Records parameters; when the budget is full, every second leaves and the interval doubles.

    Args:
        every: Steps between two states; 0 records nothing.
        budget: Room for all states, in bytes. Two states are always kept.

    Attributes:
        steps: Steps after which the states were taken.
        fresh: How many of them are in memory.

    Example:
        >>> import torch
        >>> states = States(every=1, budget=4 * 4)
        >>> for step in range(9):
        ...     states.offer(step, torch.full((1, 1), float(step)))
        >>> states.steps, [theta.item() for theta in states.theta]
        ([0, 4, 8], [0.0, 4.0, 8.0])
    """

    def __init__(self, every: int, budget: float) -> None:
        self.every, self.budget = every, budget
        self.steps: list[int] = []
        self._held: list[Tensor | Shelved] = []
        self.fresh = 0

    @property
    def theta(self) -> Sequence[Tensor]:
        """The states, (1, P) each, in the layout of the stack; read when they are asked for."""
        return _Held(self._held)

    @property
    def loose(self) -> dict[int, Tensor]:
        """Those that are in memory, by step."""
        pairs = zip(self.steps, self._held, strict=True)
        return {step: each for step, each in pairs if isinstance(each, Tensor)}

    def offer(self, step: int, theta: Tensor) -> None:
        """Keep a copy of the parameters if this step is due."""
        if not self.every or step % self.every:
            return
        size = theta.numel() * theta.element_size()
        if len(self._held) >= 2 and (len(self._held) + 1) * size > self.budget:
            self.every *= 2
            kept = [place for place, taken in enumerate(self.steps) if taken % self.every == 0]
            self.steps = [self.steps[place] for place in kept]
            self._held = [self._held[place] for place in kept]
            self._count()
            if step % self.every:
                return
        self.steps.append(step)
        self._held.append(theta.clone())
        self.fresh += 1

    def shelve(self, readers: Mapping[int, Shelved]) -> None:
        """Let go of states that have been put elsewhere.

        Args:
            readers: What reads them again, by step.
        """
        for place, step in enumerate(self.steps):
            if step in readers:
                self._held[place] = readers[step]
        self._count()

    def refill(self, every: int, states: Mapping[int, Tensor] | Mapping[int, Shelved]) -> None:
        """Hold these states, and go on at this interval."""
        self.every = every
        self.steps, self._held = list(states), list(states.values())
        self._count()

    def _count(self) -> None:
        self.fresh = sum(isinstance(each, Tensor) for each in self._held)


class _Held(Sequence[Tensor]):
    """States, some of which are read when they are asked for."""

    def __init__(self, items: Sequence[Tensor | Shelved]) -> None:
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, place: int) -> Tensor: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Tensor]: ...

    def __getitem__(self, place: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(place, slice):
            return _Held(self._items[place])
        item = self._items[place]
        return item if isinstance(item, Tensor) else item()
