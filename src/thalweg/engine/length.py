"""How long a run is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from thalweg.errors import SpecError
from thalweg.spec import Spec, parse_interval


@dataclass(frozen=True)
class Length:
    """How long a run is.

    Args:
        batch_size: Samples a batch.
        per_epoch: Updates an epoch.
        updates: Updates in all.
        evaluate_every: Updates between two evaluations; 0 is never.
    """

    batch_size: int
    per_epoch: int
    updates: int
    evaluate_every: int

    @classmethod
    def of(cls, spec: Spec, samples: int) -> Length:
        """Return the length of a spec's run on so many training samples.

        Raises:
            SpecError: There would be no update.

        Example:
            >>> Length.of(Spec(batch_size=64, epochs=3), samples=1000)
            Length(batch_size=64, per_epoch=16, updates=48, evaluate_every=16)
        """
        size = samples if spec.batch_size == "full" else min(spec.batch_size, samples)
        batches = samples // size if spec.drop_last else math.ceil(samples / size)
        per_epoch = math.ceil(batches / spec.accumulate)
        epochs = 1.0 if spec.epochs is None else spec.epochs
        updates = spec.steps or round(epochs * per_epoch)
        if updates < 1:
            raise SpecError(
                f"epochs={epochs:g}", "at least one update", f"an epoch has {per_epoch}"
            )
        return cls(size, per_epoch, updates, _in_updates(spec.evaluate_every, per_epoch))


def _in_updates(interval: str, per_epoch: int) -> int:
    """Return how many updates an interval is; 0 for never."""
    count, unit = parse_interval(interval) or (0, "step")
    return int(count) * (per_epoch if unit == "epoch" else 1)
