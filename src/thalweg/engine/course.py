"""What changes a member's hyperparameters in the course of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from thalweg import optim


@dataclass(frozen=True)
class Course:
    """A schedule, and what it reacts to if it does.

    Args:
        schedule: By step or by epoch.
        per_epoch: Updates an epoch.
        tracker: What follows the monitored metric, for a schedule that reacts to it.
        monitor: The metric.

    Example:
        >>> halves = optim.build_schedule("step", total=3, step_size=1, gamma=0.5)
        >>> [Course(halves, per_epoch=2).factor(made) for made in range(5)]
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    schedule: optim.Schedule
    per_epoch: int = 1
    tracker: optim.PlateauTracker | None = None
    monitor: str = ""

    def factor(self, made: int) -> float:
        """Return what the base value is multiplied by after so many updates."""
        if self.tracker is not None:
            return self.tracker.factor
        return self.schedule.factor(self._n(made))

    def observe(self, metrics: Mapping[str, float], made: int) -> None:
        """Take note of an evaluation after so many updates, once the schedule has begun."""
        if self.tracker is not None and self._n(made) >= self.schedule.start:
            self.tracker.observe(metrics[self.monitor])

    def _n(self, made: int) -> int:
        return made // self.per_epoch if self.schedule.per == "epoch" else made
