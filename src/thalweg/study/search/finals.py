"""The end of a search: its best trials on fresh seeds, who won, and the test split, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any

from thalweg.engine import Group, short_keys
from thalweg.engine.stop import Condition
from thalweg.spec import Spec
from thalweg.study.intervals import Interval, mean_interval
from thalweg.study.races.standings import Standing, Trace, standings, verdict
from thalweg.study.search.ledger import Trial
from thalweg.study.search.space import Space
from thalweg.study.sweeps.grid import Point
from thalweg.study.sweeps.series import Series


@dataclass(frozen=True)
class Finalist:
    """One of the best trials, on fresh seeds.

    Args:
        trial: The trial.
        standing: How it did on the validation split, and how far it is behind the first.
        numbers: Its members in the series.
    """

    trial: Trial
    standing: Standing
    numbers: Sequence[int]

    @property
    def value(self) -> Interval | None:
        """What it came to on the validation split; None if it diverged on every seed."""
        return self.standing.value


def finalists_of(trials: Sequence[Trial], n: int, sign: float) -> list[Trial]:
    """Return the n best of the trials that came to an end of their own, the best first."""
    whole = [each for each in trials if each.state == "complete" and each.value is not None]
    return sorted(whole, key=lambda each: (-sign * (each.value or 0.0), each.number))[:n]


def final_points(
    base: Spec, space: Space, trials: Sequence[Trial], seeds: Sequence[int]
) -> list[Point]:
    """Return the members of the series: each trial with each seed, on the validation split."""
    points = []
    for trial in trials:
        for seed in seeds:
            changes = {**space.changes(trial.values), "seed": seed}
            changes |= {"evaluate": ["val"], "evaluate_last": "chosen"}
            spec = base.override(changes, short_keys())
            points.append(Point(spec, changes, {"trial": trial.number}))
    return points


def rank(series: Series, trials: Sequence[Trial], metric: str) -> list[Finalist]:
    """Return the finalists, the best on the validation split first."""
    traces: dict[str, list[Trace]] = {}
    numbers: dict[str, list[int]] = {}
    named = {f"trial {trial.number}": trial for trial in trials}
    for number, point in enumerate(series.points):
        name, result = f"trial {point.setting['trial']}", series.results[number]
        value = result.metrics.get(metric, nan)
        lost = result.diverged or not isfinite(value)
        at_end = {"epochs": [1.0], "gradients": [1.0], "seconds": [1.0]}  # each has its own length
        trace = Trace(point.spec.seed, at_end, {metric: [value]}, lost)  # type: ignore[arg-type]
        traces.setdefault(name, []).append(trace)
        numbers.setdefault(name, []).append(number)
    nothing = Condition(metric, ">=", inf)
    found = standings(traces, metric, "epochs", nothing)
    return [Finalist(named[s.contestant], s, numbers[s.contestant]) for s in found]


def judged(finalists: Sequence[Finalist]) -> str:
    """Return who won, in a sentence, or that one cannot tell between the best.

    Example:
        >>> judged([])
        'no verdict: no trial came to its end'
    """
    if not finalists:
        return "no verdict: no trial came to its end"
    return verdict([each.standing for each in finalists], tuned=True)


def test_of(
    series: Series, numbers: Sequence[int], own: Mapping[str, Any]
) -> dict[str, list[float]]:
    """Return what members come to on the test split, seed by seed, by metric.

    Args:
        series: A series that is over.
        numbers: Its members; those that diverged are left out.
        own: What was given in Python rather than named.

    Returns:
        ``test_loss``, ``test_accuracy`` and the like; empty if there is no test split.
    """
    found: dict[str, list[float]] = {}
    for number in numbers:
        if series.results[number].diverged:
            continue
        group = Group([series.points[number].spec], loaded=series.loaded, **own)
        splits = group.data[0].splits()
        if "test" not in splits:
            return {}
        stack, weights = group.cohort.stack, series.weights[number]
        for name in stack.places:
            stack.view(stack.theta, name).copy_(weights[name].unsqueeze(0))
        for name, buffer in stack.buffers.items():
            buffer.copy_(weights[name].unsqueeze(0))
        for name, values in group.cohort.evaluate(splits["test"], slow=False).items():
            found.setdefault(f"test_{name}", []).append(values[0])
    return found


def interval_of(values: Sequence[float]) -> Interval | None:
    """Return mean and interval of those values that are numbers; None if there are none."""
    sound = [value for value in values if isfinite(value)]
    return mean_interval(sound) if sound else None
