from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thalweg.errors import SpecError
from thalweg.plots import Mark, Plane, Way
from thalweg.plots.window import window_of

INF, NAN = float("inf"), float("nan")


def test_values_are_x_before_y() -> None:
    x, y = np.arange(4.0), np.arange(3.0)
    with pytest.raises(SpecError, match=r"\(3, 4\); expected \(4, 3\)"):
        Plane(x, y, np.zeros((3, 4)), "loss", "own")
    with pytest.raises(SpecError, match="two along each"):
        Plane(x, y[:1], np.zeros((4, 1)), "loss", "own")


def test_columns_of_a_way_are_of_one_length() -> None:
    with pytest.raises(SpecError, match="one length"):
        Way("a", *np.zeros((4, 3)), np.zeros(2))
    with pytest.raises(SpecError, match="at least 1"):
        Way("a", *np.zeros((5, 0)))


@pytest.mark.parametrize(
    ("kind", "equal"),
    [
        ("principal components", True),
        ("eigenvectors of the Hessian", True),
        ("random, normalised by filter", False),
        ("plane through three checkpoints", False),
    ],
)
def test_orthonormal_directions_are_drawn_alike(bowl: Any, kind: str, equal: bool) -> None:
    assert bowl(kind=kind).equal == equal


def test_the_window_is_the_grid_unless_something_leaves_it(bowl: Any, way: Any) -> None:
    inside = window_of(bowl(), [way()], [Mark("a", 1, 1)])
    assert (inside.x, inside.y, inside.beyond) == ((-2, 2), (-1, 1), False)
    assert inside.aspect == 2


def test_the_window_holds_ways_and_marks_with_room(bowl: Any, way: Any) -> None:
    out = window_of(bowl(), [way([0, 3], [0, NAN]), way([0, 0], [0, 1.5])], [Mark("a", -3, 0)])
    assert out.beyond
    assert out.x[0] < -3
    assert out.x[1] == 2  # a state without a place does not count
    assert 1.5 < out.y[1] < 1.7
    assert out.y[0] == -1


def test_the_grid_stays_in_sight_of_a_way_that_goes_anywhere(bowl: Any, way: Any) -> None:
    far = way([0, 9, 1e30, -1e30, INF], [0, 0, 0, 1e30, 0])
    window = window_of(bowl(), [far])
    assert window.x[1] - window.x[0] < 6 * 4
    assert window.outside(far.x, far.y).tolist() == [2, 3]
