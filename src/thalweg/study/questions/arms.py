"""The arms of a study: a setting each, seed by seed, and what sets two of them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from thalweg.plots.bands import Band
from thalweg.plots.intervals import told
from thalweg.spec import Spec
from thalweg.study.intervals import LEVEL, Interval, mean_interval, paired_interval
from thalweg.study.sweeps.series import Result, Series
from thalweg.study.sweeps.sweeping import course


@dataclass(frozen=True)
class Arm:
    """One setting, over its seeds.

    Args:
        name: What it is called.
        spec: Its spec with the first seed.
        results: What became of its members, by seed.
        courses: What they said by evaluation, by seed.
    """

    name: str
    spec: Spec
    results: Mapping[int, Result]
    courses: Mapping[int, Mapping[str, Sequence[Any]]]

    def values(self, metric: str) -> dict[int, float]:
        """Return a metric by seed, of those that did not diverge.

        Args:
            metric: What was measured at the end, ``steps``, ``epochs``, ``gap`` (of the accuracy,
                from the training to the test samples) or ``seconds_epoch``.
        """
        found = {}
        for seed, result in self.results.items():
            value = _measured(result, metric)
            if not result.diverged and value is not None:
                found[seed] = value
        return found

    def mean(self, metric: str) -> Interval | None:
        """Return its mean over them; None if there are none."""
        values = list(self.values(metric).values())
        return mean_interval(values) if values else None

    def reached(self, metric: str = "epochs") -> dict[int, float]:
        """Return a metric by seed, of those that met the condition that they were to stop at."""
        met = {seed for seed, result in self.results.items() if result.reason == "until"}
        return {seed: value for seed, value in self.values(metric).items() if seed in met}

    @property
    def diverged(self) -> int:
        """How many seeds diverged."""
        return sum(result.diverged for result in self.results.values())

    def when(self, metric: str = "epochs") -> str:
        """Return when they met it, in words: a mean if all did, else how many."""
        met, n = self.reached(metric), len(self.results)
        if not met:
            return "not reached"
        mean = number(mean_interval(list(met.values())))
        return mean if len(met) == n else f"{mean} ({len(met)} of {n})"

    def band(self, metric: str, name: str = "") -> Band:
        """Return a metric along training, until the first of the seeds ended."""
        tables = [own for seed, own in self.courses.items() if not self.results[seed].diverged]
        length = min((len(table["step"]) for table in tables), default=0)
        columns = [
            [v for table in tables if (v := table.get(metric, [None] * length)[k]) is not None]
            for k in range(length)
        ]
        at = [k for k, column in enumerate(columns) if column and all(map(isfinite, column))]
        own = [mean_interval(columns[k]) for k in at]
        x = {f"{key}s": [tables[0][key][k] for k in at] for key in ("epoch", "step")}
        note = f"{self.diverged} of {len(self.results)} diverged" if self.diverged else ""
        means, lows, highs = ([getattr(i, end) for i in own] for end in ("mean", "low", "high"))
        return Band(name or self.name, x, means, lows, highs, note)


def arms(series: Series) -> dict[str, Arm]:
    """Return the settings of a series that is over, by name, in their order."""
    found: dict[str, list[int]] = {}
    for place, point in enumerate(series.points):
        found.setdefault(str(point.setting["name"]), []).append(place)
    return {
        name: Arm(
            name,
            series.points[places[0]].spec,
            {series.points[place].spec.seed: series.results[place] for place in places},
            {series.points[place].spec.seed: course(series, place) for place in places},
        )
        for name, places in found.items()
    }


def _measured(result: Result, metric: str) -> float | None:
    if metric == "gap":
        train, test = (result.metrics.get(f"{split}_accuracy") for split in ("train", "test"))
        return None if train is None or test is None else train - test
    if metric == "seconds_epoch":
        return result.seconds / result.epochs if result.epochs else None
    if metric in {"steps", "epochs", "gradients", "seconds"}:
        return float(getattr(result, metric))
    return result.metrics.get(metric)


def difference(a: Arm, b: Arm, metric: str, level: float = LEVEL) -> Interval | None:
    """Return a − b in pairs, over the seeds that neither lost; None if there are none.

    Args:
        a: One.
        b: The other.
        metric: As for `Arm.values`.
        level: How often such intervals hold the true difference.
    """
    mine, theirs = a.values(metric), b.values(metric)
    both = [seed for seed in mine if seed in theirs]
    if not both:
        return None
    return paired_interval([mine[s] for s in both], [theirs[s] for s in both], level)


def sign(interval: Interval | None) -> int:
    """Return 1 or −1 where an interval leaves out zero, and 0 where it cannot tell.

    Example:
        >>> sign(Interval(1.0, 0.5, 3)), sign(Interval(1.0, 2.0, 3)), sign(None)
        (1, 0, 0)
    """
    if interval is None:
        return 0
    return (interval.low > 0) - (interval.high < 0)


def number(interval: Interval) -> str:
    """Return a mean and half its interval in few digits.

    Example:
        >>> number(Interval(12.345, 0.678, 3)), number(Interval(1234.5, float("inf"), 1))
        ('12.3 ± 0.68', '1,234')
    """
    mean = f"{interval.mean:,.0f}" if abs(interval.mean) >= 1000 else f"{interval.mean:.3g}"
    return mean + (f" ± {interval.half:.2g}" if isfinite(interval.half) else "")


def share(interval: Interval | None) -> str:
    """Return a share in percent; a dash if there is none.

    Example:
        >>> share(Interval(0.5, 0.01, 3)), share(None)
        ('50.00 ± 1.00 %', '–')
    """
    return told("accuracy", interval)


def points(interval: Interval | None) -> str:
    """Return a difference of shares in points of percent, with its sign.

    Example:
        >>> points(Interval(-0.0123, 0.004, 3)), points(None)
        ('−1.23 ± 0.40', '–')
    """
    if interval is None:
        return "–"
    mean = f"{100 * interval.mean:+.2f}".replace("-", "−")
    return mean + (f" ± {100 * interval.half:.2f}" if isfinite(interval.half) else "")
