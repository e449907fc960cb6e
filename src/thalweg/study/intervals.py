"""What several seeds say: means, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt
from statistics import fmean, stdev

from scipy.special import stdtrit

from thalweg.errors import SpecError

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval.

    Args:
        mean: Of the values.
        half: Half the width of the interval; infinite for a single value.
        n: How many values.

    Example:
        >>> print(mean_interval([0.5, 0.75, 1.0]))
        0.75 ± 0.62
    """

    mean: float
    half: float
    n: int

    @property
    def low(self) -> float:
        """Its lower end."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Its upper end."""
        return self.mean + self.half

    def __str__(self) -> str:
        return f"{self.mean:.4g}" + (f" ± {self.half:.2g}" if isfinite(self.half) else "")


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Return the mean and its interval by Student's t, as for independent normal values.

    Args:
        values: At least one.
        level: How often such intervals hold the true mean.

    Raises:
        SpecError: There is no value.

    Example:
        >>> interval = mean_interval([1.0, 2.0, 3.0])
        >>> round(interval.low, 3), round(interval.high, 3)
        (-0.484, 4.484)
    """
    n = len(values)
    if not n:
        raise SpecError("no value", "at least one")
    if n == 1:
        return Interval(float(values[0]), inf, 1)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * stdev(values) / sqrt(n)
    return Interval(fmean(values), half, n)


def paired_interval(a: Sequence[float], b: Sequence[float], level: float = LEVEL) -> Interval:
    """Return the mean of a − b and its interval, for values that belong together in pairs.

    Raises:
        SpecError: They are not equally many, or none.

    Example:
        >>> paired_interval([1.0, 2.0, 3.0], [0.5, 1.5, 2.5])
        Interval(mean=0.5, half=0.0, n=3)
    """
    if len(a) != len(b):
        raise SpecError(f"{len(a)} and {len(b)} values", "pairs")
    return mean_interval([x - y for x, y in zip(a, b, strict=True)], level)
