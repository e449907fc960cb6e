"""What part of a plane a picture shows: its grid, and the ways that lead beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalweg.plots.plane import Mark, Plane, Way
from thalweg.plots.thin import Floats

ROOM = 0.04
"""Beyond the outermost point off the grid, as a share of the width."""

FARTHEST = 2.0
"""How far beyond the grid a picture goes, in its widths; farther, the grid would be lost."""


@dataclass(frozen=True)
class Window:
    """The part of a plane that is seen.

    Args:
        x: From where to where.
        y: Likewise.
        beyond: Whether it goes beyond the grid.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    beyond: bool

    @property
    def aspect(self) -> float:
        """Width by height."""
        return (self.x[1] - self.x[0]) / (self.y[1] - self.y[0])

    def outside(self, x: Floats, y: Floats) -> NDArray[np.int64]:
        """Return the rows, ascending, of points (T,), (T,) that are not seen though finite."""
        seen = (self.x[0] <= x) & (x <= self.x[1]) & (self.y[0] <= y) & (y <= self.y[1])
        return np.flatnonzero(~seen & np.isfinite(x) & np.isfinite(y))


def window_of(plane: Plane, ways: Sequence[Way], marks: Sequence[Mark] = ()) -> Window:
    """Return the grid's window, extended to the ways and marks that leave it.

    Example:
        >>> axis = np.linspace(-1, 1, 3)
        >>> plane = Plane(axis, axis, np.zeros((3, 3)), "loss", "own")
        >>> window_of(plane, [], [Mark("far", 2, 0)])
        Window(x=(-1.0, 2.12), y=(-1.0, 1.0), beyond=True)
    """
    x = np.concatenate([[0.0], *(way.x for way in ways), [mark.x for mark in marks]])
    y = np.concatenate([[0.0], *(way.y for way in ways), [mark.y for mark in marks]])
    there = np.isfinite(x) & np.isfinite(y)
    (left, right), (low, high) = _side(plane.x, x[there]), _side(plane.y, y[there])
    beyond = (left, right, low, high) != (
        plane.x.min(), plane.x.max(), plane.y.min(), plane.y.max()
    )  # fmt: skip
    return Window((left, right), (low, high), beyond)


def _side(nodes: Floats, points: Floats) -> tuple[float, float]:
    """Return where an axis begins and ends."""
    low, high = float(nodes.min()), float(nodes.max())
    far = FARTHEST * (high - low)
    first, last = max(float(points.min()), low - far), min(float(points.max()), high + far)
    room = ROOM * (max(last, high) - min(first, low))
    return low if first >= low else first - room, high if last <= high else last + room
