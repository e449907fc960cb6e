"""The courses of schedules over a run, for charts and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from thalweg.optim import Plateau, Schedule, build_schedule, schedules

EPOCHS = 60
"""Of a run to draw a schedule over, unless another length is asked for."""

MADE_UP = "The metric is made up: a loss that levels off, and goes on when the factor falls."


class Course(NamedTuple):
    """What a schedule does in each epoch or step of a run.

    Attributes:
        factors: What the base value is multiplied by.
        metric: A made-up loss, for a schedule that reacts to one; else None.
    """

    factors: list[float]
    metric: list[float] | None


def build(
    name: str, given: Mapping[str, Any], *, per: str, total: int
) -> tuple[Schedule, dict[str, Any]]:
    """Return a schedule, and its options with those of its example that were not given.

    The example's lengths are stretched to the run's.

    Raises:
        SpecError: There is none of that name, or a value is not allowed.
    """
    found = schedules().get(name)
    example = {} if found is None else found.example
    options = {key: _stretched(value, total) for key, value in example.items()} | dict(given)
    return build_schedule(name, per=per, total=total, **options), options


def follow(schedule: Schedule) -> Course:
    """Return what a schedule does over its run; one that reacts, to a made-up loss.

    The loss levels off, at a level that is the lower the less the factor is.
    """
    shape = schedule.shape
    if not isinstance(shape, Plateau):
        return Course([schedule.factor(n) for n in range(schedule.total)], None)
    tracker, loss = shape.tracker(lower_is_better=True), 3.0
    factors, losses = [], []
    for n in range(schedule.total):
        factors.append(tracker.factor)
        losses.append(loss)
        if n >= schedule.start:
            tracker.observe(loss)
        loss = 0.4 * loss + 0.6 * math.sqrt(tracker.factor)
    return Course(factors, losses)


def draw(
    names: Sequence[str],
    values: Sequence[Sequence[float]],
    schedule: Schedule,
    *,
    what: str,
    metric: Sequence[float] | None = None,
) -> Any:
    """Return the figure of some schedules over one run.

    Args:
        names: One a curve.
        values: In epochs or steps 0, 1, …
        schedule: One of them; they count the same.
        what: What the values are.
        metric: What one of them reacts to.
    """
    import numpy as np

    from thalweg.plots import schedule_curves

    made_up = "" if metric is None else ", on a made-up metric"
    return schedule_curves(
        names,
        [np.array(each) for each in values],
        per=schedule.per,
        what=what,
        title=f"{schedule.shape.name}, {schedule.total:,} {schedule.per}s{made_up}",
        metric=None if metric is None else np.array(metric),
    )


def _stretched(value: Any, total: int) -> Any:
    """Return a length, or lengths, of a run of 60 in one of another length; else the value."""
    if isinstance(value, tuple):
        return tuple(_stretched(each, total) for each in value)
    return max(1, value * total // EPOCHS) if isinstance(value, int) else value
