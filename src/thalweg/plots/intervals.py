"""Means over seeds, with the ends of their intervals, as a figure and a table show them."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite, nan
from typing import Protocol

import numpy as np

from thalweg.plots.text import amount, is_share
from thalweg.plots.thin import Floats


class Interval(Protocol):
    """A mean over seeds and its 95 % interval, whose ends are infinite where there is none."""

    @property
    def mean(self) -> float:
        """The mean."""

    @property
    def low(self) -> float:
        """Lower end."""

    @property
    def high(self) -> float:
        """Upper end."""


def edges(intervals: Iterable[Interval | None]) -> tuple[Floats, Floats, Floats]:
    """Return means, lower and upper ends, (n,) each; NaN where there is no finite number.

    Example:
        >>> from types import SimpleNamespace
        >>> single = SimpleNamespace(mean=0.5, low=float("-inf"), high=float("inf"))
        >>> edges([single, None])
        (array([0.5, nan]), array([nan, nan]), array([nan, nan]))
    """
    rows = [(nan, nan, nan) if each is None else (each.mean, each.low, each.high)
            for each in intervals]  # fmt: skip
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    table[~np.isfinite(table)] = nan
    return table[:, 0], table[:, 1], table[:, 2]


def split_of(name: str) -> tuple[str, str]:
    """Return the split and the metric of a column of evaluations.

    Example:
        >>> split_of("val_accuracy"), split_of("loss")
        (('val', 'accuracy'), ('', 'loss'))
    """
    split, _, metric = name.rpartition("_")
    return split, metric


def spoken(name: str) -> str:
    """Return a metric as people say it.

    Example:
        >>> spoken("val_accuracy")
        'val accuracy'
    """
    return name.replace("_", " ")


def told(name: str, interval: Interval | None) -> str:
    """Return a mean of a metric and half its interval; a dash if there is none.

    Example:
        >>> from types import SimpleNamespace
        >>> told("val_accuracy", SimpleNamespace(mean=0.5, low=0.4, high=0.6)), told("loss", None)
        ('50.00 ± 10.00 %', '–')
        >>> told("val_loss", SimpleNamespace(mean=0.5, low=float("-inf"), high=float("inf")))
        '0.5000'
    """
    if interval is None:
        return "–"
    metric = split_of(name)[1]
    half = interval.high - interval.mean
    if not isfinite(interval.mean) or not isfinite(half):
        return amount(metric, interval.mean)
    if is_share(metric):
        return f"{100 * interval.mean:.2f} ± {100 * half:.2f} %"
    return f"{amount(metric, interval.mean)} ± {half:.2g}"
