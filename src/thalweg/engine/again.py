"""What a rule may ask for while an update is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from thalweg.engine.feed import Batch, has_own

if TYPE_CHECKING:
    from thalweg.engine.cohort import Cohort


class Again:
    """What a rule may ask for while an update is made: gradients at the present parameters.

    Args:
        cohort: The networks, about to make an update.
        batches: The update's batches; they are kept.
    """

    def __init__(self, cohort: Cohort, batches: Iterable[Batch]) -> None:
        self.cohort, self.batches = cohort, [(x.clone(), y) for x, y in batches]
        self._masks = [g.get_state() for g in cohort.stack.context.generators]

    def keep(self, rows: Sequence[int]) -> None:
        """Forget the members that have left."""
        chosen = list(rows)
        self.batches = [
            (x[chosen] if len(x) > 1 else x, y[chosen] if has_own(y) else y)
            for x, y in self.batches
        ]
        self._masks = [self._masks[row] for row in rows if self._masks]

    def batch(self) -> Tensor:
        """Return the gradient on the update's own batches, with its own dropout masks, (K, P)."""
        with self.cohort.aside():
            for generator, state in zip(
                self.cohort.stack.context.generators, self._masks, strict=True
            ):
                generator.set_state(state)
            self.cohort.mean_gradient(self.batches)
        return self.cohort.stack.grad

    def full(self) -> Tensor:
        """Return the gradient over the whole training set, in batches of the run's size, (K, P)."""
        with self.cohort.aside():
            self.cohort.mean_gradient(self.cohort.everything())
        return self.cohort.stack.grad
