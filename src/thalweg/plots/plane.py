"""What pictures of a landscape are made from: a plane, the ways of runs, and named points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalweg.errors import SpecError
from thalweg.plots.thin import Floats

EQUAL = ("principal", "hessian", "eigenvectors")
"""How kinds of plane begin whose directions are orthonormal: angles and lengths are true."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A metric on a grid of points in a plane.

    Args:
        x: Coordinates along the first direction, (n,), ascending.
        y: Coordinates along the second, (m,), ascending.
        values: The metric, (n, m): ``values[i, j]`` belongs to ``x[i]``, ``y[j]``. What is not
            finite is left blank.
        metric: ``"loss"``, ``"accuracy"``, …
        kind: What the directions are: ``"principal"``, ``"random"``, ``"between"``, ``"hessian"``,
            ``"own"``, or a longer name that begins so.
        explained: The shares of the ways' variance along both directions, if they are made from it.
        null: What a random walk would have there.
        statistics: BatchNorm's: ``"frozen"``, ``"estimated"`` or ``"interpolated"``.
        samples: How many samples each value is a mean over; 0 if that is not known.
        measured: Which values were measured, (n, m), where the others are interpolated; None if all
            were.
        off: How far interpolation was off at nodes measured to see it, in steps between contours,
            (k,); None if there are no such nodes.

    Raises:
        SpecError: The values are not (n, m), nor what says which were measured, or there are not
            two nodes along each direction.

    Example:
        >>> import numpy as np
        >>> x, y = np.linspace(-1, 1, 3), np.linspace(-2, 2, 5)
        >>> Plane(x, y, x[:, None] ** 2 + y**2, "loss", "own").values.shape
        (3, 5)
    """

    x: Floats
    y: Floats
    values: Floats
    metric: str
    kind: str
    explained: tuple[float, ...] = ()
    null: tuple[float, ...] = ()
    statistics: str = "frozen"
    samples: int = 0
    measured: NDArray[np.bool_] | None = None
    off: Floats | None = None

    def __post_init__(self) -> None:
        shape = len(self.x), len(self.y)
        if self.measured is not None and self.measured.shape != shape:
            raise SpecError(f"measured of shape {self.measured.shape}", f"{shape}, as the values")
        if self.values.shape != shape:
            raise SpecError(f"values of shape {self.values.shape}", f"{shape}, x before y")
        if min(shape) < 2:
            raise SpecError(f"a grid of {shape} nodes", "two along each direction at least")

    @property
    def equal(self) -> bool:
        """Whether the axes are to be drawn alike."""
        return self.kind.startswith(EQUAL)


@dataclass(frozen=True, eq=False)
class Way:
    """The way of a run, as seen on a plane.

    Args:
        name: The run's.
        x: Where its states are, along the first direction, (T,).
        y: And along the second, (T,).
        values: The metric of the states themselves, (T,), not of the plane's points below them.
        steps: Updates made until each, (T,), ascending.
        residuals: The share of each state's distance from the reference that is not in the plane,
            (T,).

    Raises:
        SpecError: The columns are not of one length, or empty.

    Example:
        >>> import numpy as np
        >>> Way("adam", *np.zeros((5, 3))).steps
        array([0., 0., 0.])
    """

    name: str
    x: Floats
    y: Floats
    values: Floats
    steps: Floats
    residuals: Floats

    def __post_init__(self) -> None:
        lengths = [len(each) for each in (self.x, self.y, self.values, self.steps, self.residuals)]
        if len(set(lengths)) > 1 or not lengths[0]:
            raise SpecError(f"columns of {lengths} states", "one length, at least 1")


@dataclass(frozen=True)
class Mark:
    """A point with a name, such as a checkpoint.

    Args:
        name: What to write beside it.
        x: Where it is along the first direction, or along a line.
        y: Where along the second.
    """

    name: str
    x: float
    y: float = 0.0
