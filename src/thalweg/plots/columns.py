"""A run's two tables as arrays: what was measured, on what, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thalweg.plots.thin import Floats

Columns = Mapping[str, Sequence[Any]]
"""Columns by name, of equal length; None where nothing was measured."""

CLOCK = ("step", "epoch", "gradients", "seconds", "lr")
"""Columns that say when, in both tables."""

SPLITS = ("running", "train", "val", "test")
"""What begins the name of a column of evaluations: the epoch's batches, or a split."""


def rows_of(columns: Columns) -> int:
    """Return how many rows a table has.

    Example:
        >>> rows_of({"step": [1, 2]}), rows_of({})
        (2, 0)
    """
    return len(columns.get("step", ()))


def values(columns: Columns, name: str) -> Floats:
    """Return a column (n,); NaN where it has no finite number, and everywhere if there is none.

    Example:
        >>> values({"step": [1, 2, 3], "loss": [0.5, None, float("inf")]}, "loss")
        array([0.5, nan, nan])
    """
    if name not in columns:
        return np.full(rows_of(columns), np.nan)
    column = np.array(columns[name], dtype=np.float64)  # None becomes NaN
    column[~np.isfinite(column)] = np.nan
    return column


def measured(columns: Columns, name: str) -> list[int]:
    """Return the rows that have a value, be it NaN.

    Example:
        >>> measured({"step": [1, 2, 3], "test_loss": [0.5, None, float("nan")]}, "test_loss")
        [0, 2]
    """
    return [row for row, value in enumerate(columns.get(name, ())) if value is not None]


def metrics_of(steps: Columns, epochs: Columns) -> list[str]:
    """Return what was measured, the loss first.

    Example:
        >>> metrics_of({"step": [], "accuracy": []}, {"step": [], "lr": [], "test_loss": []})
        ['loss', 'accuracy']
    """
    names = [name for name in steps if name not in CLOCK]
    for name in epochs:
        split, _, metric = name.partition("_")
        if split in SPLITS and metric:
            names.append(metric)
    return sorted(dict.fromkeys(names), key=lambda name: name != "loss")
