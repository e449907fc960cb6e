from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.plots import Readings, stability
from thalweg.plots.theme import MUTED, look

NAN, INF = float("nan"), float("inf")
STEPS = np.arange(4.0) * 10


def readings(name: str = "sgd", y: Any = (1, 5, 9, 10), limit: Any = (NAN, 10, 10, 10)) -> Readings:
    return Readings(name, STEPS, np.array(y, float), np.array(limit, float), np.full(4, 0.5))


def dashed(figure: Any) -> list[Any]:
    return [t for t in figure.data if t.line.dash == "dash" and t.x[0] is not None]


def test_every_run_has_its_limit_in_its_colour() -> None:
    figure = stability([readings("<a>"), readings("b", limit=[NAN, 20, 20, 20])], title="edge")
    lines = [t for t in figure.data if t.showlegend and t.line.dash is None]
    assert [t.name for t in lines] == ["&lt;a&gt;", "b"]
    limits = dashed(figure)
    assert [t.line.color for t in limits] == [t.line.color for t in lines]
    assert [t.line.color for t in limits] == [look(0)[0], look(1)[0]]
    np.testing.assert_array_equal(limits[0].y, [NAN, 10, 10, 10])
    assert [t.legendgroup for t in limits] == ["run 0", "run 1"]
    assert figure.data[-1].name == "2 / lr"


def test_runs_with_the_same_limit_share_a_grey_line() -> None:
    (limit,) = dashed(stability([readings("a"), readings("b", [1, 2, 3, 4])]))
    assert limit.line.color == MUTED


def test_the_axis_holds_the_sharpness_and_the_limits_near_it() -> None:
    low, high = stability([readings(y=[4, 5, 9, 10], limit=[NAN, 30, 30, 30])]).layout.yaxis.range
    assert low < 4
    assert high > 30
    figure = stability([readings(y=[5, 6, 7, 8], limit=[1e9, 1e6, 12, 12])])
    assert 12 < figure.layout.yaxis.range[1] < 20
    assert figure.layout.yaxis.type == "linear"


def test_sharpness_over_decades_is_logarithmic() -> None:
    axis = stability([readings(y=[0.1, 1, 100, 90], limit=[NAN, 80, 80, 80])]).layout.yaxis
    assert (axis.type, axis.dtick) == ("log", 1)
    assert axis.range[0] < -1
    assert axis.range[1] > 2
    assert stability([readings(y=[0.5, 1, 9, 9])]).layout.yaxis.dtick == "D2"


def test_what_is_no_number_is_a_gap_and_residuals_are_a_band() -> None:
    run = Readings(
        "a", STEPS, np.array([1, NAN, 3, INF]), np.full(4, INF), np.array([1, 1, 0.5, 0])
    )
    around, line, limit = stability([run]).data
    np.testing.assert_array_equal(line.y, [1, NAN, 3, NAN])
    assert np.nanmax(around.y) == 3.5
    assert np.nanmin(around.y) > 0
    assert not np.isfinite(limit.y).any()


def test_nothing_to_draw() -> None:
    assert len(stability([]).data) == 0
    assert stability([readings(y=[NAN] * 4, limit=[NAN] * 4)]).layout.yaxis.range is None
