"""Levels of a height: evenly spaced in its logarithm above the least, so that a valley shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thalweg.plots.intervals import split_of
from thalweg.plots.text import falls, is_share
from thalweg.plots.thin import Floats

COUNT = 12
"""Levels of a loss."""

DECADES = 4.0
"""How far levels go from the median, at most, to either side."""

LEAST = 0.02
"""The share of the points that lie below the first level: less is a spot that no contour shows."""


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels of a metric, and how a height is drawn between them.

    Args:
        metric: What is drawn.
        base: The least of the heights, from which logarithms are taken; None if levels are linear.
        at: The levels on the scale drawn, (k,), evenly spaced: log10(height − base), or heights.

    Example:
        >>> bowl = np.linspace(-1, 1, 41)[:, None] ** 2 + np.linspace(-1, 1, 41) ** 2
        >>> levels = levels_of(bowl + 1, "loss")
        >>> levels.base, levels.texts[0], levels.texts[-1]
        (1.0, '1.03', '2.39')
    """

    metric: str
    base: float | None
    at: Floats

    @property
    def step(self) -> float:
        """From one level to the next."""
        return float(self.at[1] - self.at[0])

    @property
    def heights(self) -> Floats:
        """The levels in the metric's own units, (k,)."""
        return self.at if self.base is None else self.base + 10**self.at

    @property
    def texts(self) -> list[str]:
        """The levels in words, with as many digits as tell them apart."""
        return numbers(self.heights, share=is_share(split_of(self.metric)[1]))

    def drawn(self, values: Floats) -> Floats:
        """Return heights on the scale drawn; what is not finite is no number.

        What is nearer to the base than a step below the first level lies there: the base itself has
        no logarithm.
        """
        y = np.where(np.isfinite(values), values, np.nan)
        if self.base is None:
            return y
        return np.asarray(np.log10(np.maximum(y - self.base, 10 ** (self.at[0] - self.step))))


def levels_of(values: Floats, metric: str) -> Levels:
    """Return the levels of heights: of what should be small by decades, else linear.

    Args:
        values: Heights of any shape; those that are not finite do not count.
        metric: What they are, such as ``"loss"``.

    Example:
        >>> levels_of(np.array([0.1, 0.52, 0.93]), "accuracy").texts
        ['10 %', '20 %', '30 %', '40 %', '50 %', '60 %', '70 %', '80 %', '90 %']
    """
    y = values[np.isfinite(values)]
    if not falls(metric):
        return Levels(metric, None, _round(y))
    base = float(y.min()) if len(y) else 0.0
    with np.errstate(over="ignore"):
        above = y - base
    above = np.log10(above[(above > 0) & np.isfinite(above)])
    if not len(above):
        above = np.zeros(1)
    middle = float(np.median(above))
    low = max(float(np.quantile(above, LEAST)), middle - DECADES)
    high = max(min(float(above.max()), middle + DECADES), low + 1e-3)
    return Levels(metric, base, np.linspace(low, high, COUNT + 1)[:-1])


def numbers(values: Sequence[float] | Floats, *, share: bool = False) -> list[str]:
    """Return numbers with as many digits as tell them apart, three at least.

    Args:
        values: Numbers, of which no two are equal.
        share: Whether to write them in percent.

    Example:
        >>> numbers([0.25, 1.0, 1234.5]), numbers([1.0001, 1.0002]), numbers([0.5], share=True)
        (['0.25', '1', '1,230'], ['1.0001', '1.0002'], ['50 %'])
    """
    factor, unit = (100, " %") if share else (1, "")
    texts: list[str] = []
    for digits in range(3, 16):
        rounded = [f"{factor * value:.{digits}g}" for value in values]
        texts = [_spelt(text) + unit for text in rounded]
        if len(set(texts)) == len(texts):
            break
    return texts


def round_step(width: float, most: int) -> float:
    """Return the least of 1, 2, 5, 10, 20, … (and of 0.5, 0.2, …) that fits no more often.

    Example:
        >>> round_step(120, 12), round_step(0.7, 10), round_step(3, 12)
        (10.0, 0.1, 0.5)
    """
    least = width / most
    decade = 10 ** np.floor(np.log10(least))
    return float(min(k * decade for k in (1, 2, 5, 10) if k * decade >= least * (1 - 1e-9)))


def _spelt(number: str) -> str:
    """Return a number without its exponent, unless that is large."""
    value = float(number)
    return f"{value:,.0f}" if "e" in number and 1 <= abs(value) < 1e7 else number


def _round(y: Floats) -> Floats:
    """Return multiples of a round number between the least and the greatest, two at least."""
    low, high = (float(y.min()), float(y.max())) if len(y) else (0.0, 1.0)
    if not high > low:
        high = low + (abs(low) or 1.0)
    step = round_step(high - low, COUNT)
    first = np.ceil(low / step - 1e-9)
    return np.asarray(step * np.arange(first, max(np.floor(high / step + 1e-9), first + 1) + 1))
