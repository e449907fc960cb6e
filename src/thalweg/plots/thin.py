"""Less to draw, and the same to see: extremes and running means of long columns."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def extremes(y: Floats, pieces: int = 500) -> NDArray[np.int64]:
    """Return the rows to draw so that no peak is lost, in order.

    The column is cut into pieces of equal length; the least and the greatest finite value of each
    are kept, and the first and the last row. A piece without a finite value keeps one row, a gap.

    Args:
        y: Values (n,); those that are not finite are gaps.
        pieces: How many; with up to twice as many rows all are kept.

    Returns:
        Rows (m,), ascending, m ≤ 2 pieces + 2.

    Example:
        >>> extremes(np.array([0.0, 9, 1, 2, 3, -5, 4, 4]), pieces=2).tolist()
        [0, 1, 5, 6, 7]
    """
    n = len(y)
    if n <= 2 * pieces:
        return np.arange(n)
    length = math.ceil(n / pieces)
    padded = np.full(math.ceil(n / length) * length, np.nan)
    padded[:n] = y
    table = padded.reshape(-1, length)
    finite = np.isfinite(table)
    low = np.where(finite, table, np.inf).argmin(1)
    high = np.where(finite, table, -np.inf).argmax(1)
    starts = length * np.arange(len(table))
    return np.unique(np.concatenate([[0], starts + low, starts + high, [n - 1]]))


def running_mean(
    y: Floats, points: int = 400, window: int = 9
) -> tuple[NDArray[np.int64], Floats, int]:
    """Return means over a moving window, at so many places.

    The column is cut into pieces; a mean is over the finite values of ``window`` neighbouring
    pieces. At the start the window grows from one piece on, about its middle, for that is where a
    loss falls fastest; at the end it lacks the pieces that are not there.

    Args:
        y: Values (n,).
        points: Most places, m.
        window: Pieces of a mean, an odd number.

    Returns:
        The rows in the middle of the windows (m,), the means (m,), and how many rows a whole
        window has.

    Example:
        >>> rows, means, width = running_mean(np.arange(12.0), points=6, window=3)
        >>> rows.tolist(), means.tolist(), width
        ([0, 2, 4, 6, 8, 10], [0.5, 2.5, 4.5, 6.5, 8.5, 9.5], 6)
    """
    n, half = len(y), window // 2
    length = max(1, math.ceil(n / points))
    starts = np.arange(0, n, length)
    ends = np.minimum(starts + length, n)
    finite = np.isfinite(y)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.add.reduceat(np.where(finite, y, 0.0), starts)
        counts = np.add.reduceat(finite.astype(np.int64), starts)
        means = np.full(len(starts), np.nan)
        for k in range(len(starts)):
            near = slice(max(0, k - half), k + min(half, k) + 1)
            if total := counts[near].sum():
                means[k] = sums[near].sum() / total
    return (starts + ends - 1) // 2, means, length * window
