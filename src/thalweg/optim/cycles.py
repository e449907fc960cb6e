"""The courses that go up and down, and come again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from math import cos, pi
from typing import Any, ClassVar

from thalweg.optim.options import COUNT, NATURAL, NON_NEGATIVE, POSITIVE, UNIT, option
from thalweg.optim.shapes import Shape, register_schedule


@register_schedule
@dataclass(frozen=True)
class Cosine(Shape):
    """Half a cosine from 1 down (Loshchilov & Hutter 2017); torch's CosineAnnealingLR."""

    name: ClassVar[str] = "cosine"

    minimum: float = option(float, 0.0, "factor at the end", UNIT)

    def factor(self, n: int, total: int) -> float:
        """Return the minimum + (1 - minimum)(1 + cos(πn/total))/2."""
        return _anneal(1.0, self.minimum, n / total)


@register_schedule
@dataclass(frozen=True)
class OneCycle(Shape):
    """Up to the base value, then far down (Smith & Topin 2019); torch's OneCycleLR, two phases.

    The base value is the highest one. What torch does to the momentum besides is this schedule on
    ``momentum``: with its base_momentum as the base value, div_factor = base_momentum/max_momentum
    and final_div_factor = 1.
    """

    name: ClassVar[str] = "one-cycle"

    pct_start: float = option(float, 0.3, "share of the run that goes up", UNIT)
    div_factor: float = option(float, 25.0, "base value / first value", POSITIVE)
    final_div_factor: float = option(float, 1e4, "first value / last value", POSITIVE)

    def factor(self, n: int, total: int) -> float:
        """Return the cosine from the first value up to 1, or from there down to the last."""
        first = 1.0 / self.div_factor
        peak, end = self.pct_start * total - 1.0, total - 1.0
        if n <= peak:
            return _anneal(first, 1.0, n / peak if peak else 1.0)
        return _anneal(1.0, first / self.final_div_factor, (n - peak) / (end - peak))


@register_schedule
@dataclass(frozen=True)
class CosineRestarts(Shape):
    """Half a cosine, again and again (SGDR, Loshchilov & Hutter 2017).

    torch's CosineAnnealingWarmRestarts, with T₀ = period and T_mult = stretch.
    """

    name: ClassVar[str] = "cosine-restarts"
    example: ClassVar[Mapping[str, Any]] = {"period": 20}

    period: int = option(int, MISSING, "epochs or steps of the first cosine", COUNT)
    stretch: int = option(int, 1, "how many times longer each is than the one before", COUNT)
    minimum: float = option(float, 0.0, "factor at the end of each", UNIT)

    def factor(self, n: int, total: int) -> float:
        """Return the cosine from 1 to the minimum, in the period that n is in."""
        period = self.period
        while n >= period and self.stretch > 1:
            n, period = n - period, period * self.stretch
        return _anneal(1.0, self.minimum, n % period / period)


@register_schedule
@dataclass(frozen=True)
class Cyclic(Shape):
    """Straight up and down between the minimum and 1 (Smith 2017); torch's CyclicLR.

    The base value is the highest one, torch's max_lr. As it stands, this is torch's mode
    ``triangular``; with shrink = 0.5 ``triangular2``, and with gamma below 1 ``exp_range``. What
    torch does to the momentum besides is this schedule on ``momentum``: with its base_momentum as
    the base value, and minimum = max_momentum/base_momentum, which is above 1.
    """

    name: ClassVar[str] = "cyclic"
    example: ClassVar[Mapping[str, Any]] = {"up": 10}

    up: int = option(int, MISSING, "epochs or steps from the minimum to the base value", COUNT)
    down: int = option(int, 0, "epochs or steps back; as many as up if 0", NATURAL)
    minimum: float = option(float, 0.1, "factor where a cycle begins and ends", NON_NEGATIVE)
    shrink: float = option(float, 1.0, "height of a cycle over that of the one before", POSITIVE)
    gamma: float = option(float, 1.0, "factor of the height, each epoch or step", POSITIVE)

    def factor(self, n: int, total: int) -> float:
        """Return the minimum + (1 - minimum) times the triangle, as high as it is by now."""
        down = self.down or self.up
        cycle, n_in_it = divmod(n, self.up + down)
        rise = n_in_it / self.up if n_in_it <= self.up else 1.0 - (n_in_it - self.up) / down
        return self.minimum + (1.0 - self.minimum) * rise * self.shrink**cycle * self.gamma**n


def _anneal(start: float, end: float, share: float) -> float:
    """Go from start to end along half a cosine."""
    return end + (start - end) * (1.0 + cos(pi * share)) / 2.0
