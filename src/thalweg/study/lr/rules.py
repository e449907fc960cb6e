"""What other packages read off a range test: fastai's rules and Lightning's, beside ours.

Each has its own range test, too: rates, smoothing and when it stops. The formulas are those of
fastai 2 (``fastai/callback/schedule.py``, ``LRFinder``, ``Learner.lr_find``; the smoothing is
``AvgSmoothLoss``) and Lightning 2 (``lightning/pytorch/tuner/lr_finder.py``), with their
defaults. Where a package would fail for want of points, the answer is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan, nan

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = 100
"""Updates of either package's range test."""

BETA = 0.98
"""Share of the running mean that stays, in both."""

WORSE = 4.0
"""Both stop where the smoothed loss is so many times its least."""

SLIDE, FLAT = 15, 0.005
"""Points between the two that `slide` compares, and slopes that are alike to it."""


@dataclass(frozen=True)
class Trial:
    """A range test as a package runs it.

    Args:
        first: Learning rate of the first update.
        growth: Factor from one update to the next.
        choose: Learning rates and raw losses of the batches to what it chooses, by rule.
    """

    first: float
    growth: float
    choose: Callable[[Sequence[float], Sequence[float]], dict[str, float | None]]


def fastai(lrs: Sequence[float], losses: Sequence[float]) -> dict[str, float | None]:
    """Return what each of fastai's rules chooses.

    The loss is a running mean without bias, the test stops where it is four times its least, the
    first tenth and the last five points are left out, and so is all from the first NaN on.

    Args:
        lrs: Learning rate of each update.
        losses: Loss of each batch before the update; as many.
    """
    kept = slice(STEPS // 10, -5)
    smooth = fastai_losses(losses)
    x, y = np.array(lrs[: len(smooth)][kept]), np.array(smooth[kept])
    lost = np.flatnonzero(np.isnan(y))
    if len(lost):
        x, y = x[: lost[0]], y[: lost[0]]
    return {
        "fastai valley": valley(x, y),
        "fastai steep": steep(x, y),
        "fastai minimum": minimum(x, y),
        "fastai slide": slide(x, y),
    }


def lightning(lrs: Sequence[float], losses: Sequence[float]) -> dict[str, float | None]:
    """Return what Lightning chooses: where the smoothed loss falls the most by learning rate.

    The slope is by the rate itself and not by its logarithm; the first ten points and the last are
    left out.

    Args:
        lrs: Learning rate of each update.
        losses: Loss of each batch before the update; as many.
    """
    smooth = lightning_losses(losses)
    x, y = np.array(lrs[: len(smooth)][10:-1]), np.array(smooth[10:-1])
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if len(y) < 2:
        return {"lightning": None}
    return {"lightning": float(x[np.argmin(np.gradient(y, x))])}


def fastai_losses(losses: Sequence[float]) -> list[float]:
    """Return the losses that fastai records: a running mean, over 1 − βᵏ, until it stops.

    Example:
        >>> [round(loss, 2) for loss in fastai_losses([2.0, 2.0, 1.0])]
        [2.0, 2.0, 1.66]
    """
    value, best, found = 0.0, inf, list[float]()
    for k, loss in enumerate(losses, 1):
        value = BETA * value + (1 - BETA) * loss
        smooth = value / (1 - BETA**k)
        found.append(smooth)
        best = min(best, smooth)
        if smooth > WORSE * best:
            break
    return found


def lightning_losses(losses: Sequence[float]) -> list[float]:
    """Return the losses that Lightning records: a running mean, over 1 − βᵏ⁺¹, until it stops.

    Its count is one ahead, since the step was made before the loss is recorded, so that the first
    value is about half of the loss.

    Example:
        >>> [round(loss, 2) for loss in lightning_losses([2.0, 2.0, 2.0])]
        [1.01, 1.35, 1.52]
    """
    value, best, found = 0.0, 0.0, list[float]()
    for k, loss in enumerate(losses, 1):
        value = BETA * value + (1 - BETA) * loss
        smooth = value / (1 - BETA ** (k + 1))
        found.append(smooth)
        if k > 1 and smooth > WORSE * best:
            break
        if smooth < best or k == 1:
            best = smooth
    return found


def valley(lrs: Floats, losses: Floats) -> float | None:
    """Return the rate about half-way down the longest valley; fastai's default.

    The valley is the longest run of points, not necessarily neighbours, on which the loss falls;
    it is taken to begin as many points before its end as it has, which may be one too early.

    Example:
        >>> lrs = np.logspace(-5, 0, 6)
        >>> valley(lrs, np.array([6.0, 6.0, 3.0, 2.0, 1.0, 6.0]))
        0.0001
    """
    n = len(losses)
    if not n:
        return None
    longest, end, start = [1] * n, 0, 0
    for i in range(1, n):
        for j in range(i):
            if losses[i] < losses[j] and longest[i] < longest[j] + 1:
                longest[i] = longest[j] + 1
            if longest[end] < longest[i]:
                end = i
                start = end - longest[end]
    third = (end - start) / 3
    return float(lrs[start + int(third) + int(third / 2)])


def steep(lrs: Floats, losses: Floats) -> float | None:
    """Return the rate where the loss falls the most by the logarithm of the rate; fastai's.

    Example:
        >>> steep(np.logspace(-5, 0, 6), np.array([5.0, 4.9, 4.0, 1.0, 0.9, 6.0]))
        0.001
    """
    if len(losses) < 2:
        return None
    return float(lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))])


def minimum(lrs: Floats, losses: Floats) -> float | None:
    """Return a tenth of the rate where the loss is least; fastai's.

    Example:
        >>> minimum(np.logspace(-5, 0, 6), np.array([5.0, 4.9, 4.0, 1.0, 0.9, 6.0]))
        0.01
    """
    return float(lrs[np.argmin(losses)]) / 10 if len(losses) else None


def slide(lrs: Floats, losses: Floats) -> float | None:
    """Return the rate where a window, slid down from the end, has alike slopes at both its ends.

    fastai's, with its defaults: the ends are 15 points apart, slopes are by point, and alike
    within 0.005.

    Example:
        >>> lrs, flat = np.logspace(-5, 0, 40), np.zeros(40)
        >>> flat[-8:] = 0.5 * np.arange(8) ** 2
        >>> bool(np.isclose(slide(lrs, flat), lrs[-23]))
        True
    """
    n = len(losses)
    if n < SLIDE + 1:
        return None
    slopes = np.gradient(losses)
    right, left = -1, -1 - SLIDE
    found = lrs[left]
    while left >= -n and abs(slopes[right] - slopes[left]) > FLAT:
        found = lrs[left]
        right, left = right - 1, left - 1
    return float(found)


TRIALS = {
    "fastai": Trial(1e-7, (10 / 1e-7) ** (1 / STEPS), fastai),
    "lightning": Trial(1e-8 * 1e8 ** (1 / STEPS), 1e8 ** (1 / STEPS), lightning),
}
"""The range tests by package: 10⁻⁷ to 10 and 10⁻⁸ to 1. Lightning skips the second power of its
factor; its first rate, 10⁻⁸, is left out here instead, and by its rule in any case."""


def until_lost(losses: Sequence[float], last: float = nan, steps: int = STEPS) -> list[float]:
    """Return losses as a package sees them that trains on after one that is no number.

    Args:
        losses: Finite losses of the batches, as many as there were updates.
        last: The loss that was no finite number, if one was.
        steps: Updates of the whole test.

    Example:
        >>> until_lost([1.0, 2.0], float("inf"), steps=4)
        [1.0, 2.0, inf, nan]
    """
    if len(losses) >= steps:
        return list(losses[:steps])
    rest = [nan] * (steps - len(losses) - 1)
    return [*losses, last if not isfinite(last) and not isnan(last) else nan, *rest]
