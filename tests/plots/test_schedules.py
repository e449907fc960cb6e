from __future__ import annotations

import numpy as np
import pytest

from thalweg.plots import schedule_curves


def test_a_value_holds_until_the_next_and_the_last_one_to_the_end():
    figure = schedule_curves(
        ["a<b", "c"], [np.array([1.0, 0.5, 0.25]), np.ones(3)], per="step", what="momentum"
    )
    first, second = figure.data
    assert (first.x.tolist(), first.y.tolist()) == ([0, 1, 2, 3], [1.0, 0.5, 0.25, 0.25])
    assert {first.line.shape, second.line.shape} == {"hv"}
    assert (first.line.color, first.line.dash) != (second.line.color, second.line.dash)
    assert first.name == "a&lt;b"
    assert figure.layout.showlegend
    assert (figure.layout.xaxis.title.text, figure.layout.yaxis.title.text) == ("step", "momentum")


def test_one_curve_needs_no_legend_and_buttons_change_the_scale():
    figure = schedule_curves(["a"], [np.ones(2)], title="a & b")
    assert not figure.layout.showlegend
    assert figure.layout.title.text == "a &amp; b"
    (menu,) = figure.layout.updatemenus
    assert [each.args[0]["yaxis.type"] for each in menu.buttons] == ["linear", "log"]


def test_a_metric_stands_where_it_was_measured_on_a_scale_of_its_own():
    figure = schedule_curves(["a"], [np.ones(3)], metric=np.array([900.0, 800.0, 700.0]))
    metric, curve = figure.data
    assert (metric.x.tolist(), metric.y.tolist()) == ([1, 2, 3], [900.0, 800.0, 700.0])
    assert (metric.yaxis, curve.yaxis) == ("y2", None)
    assert figure.layout.yaxis2.overlaying == "y"
    assert figure.layout.yaxis2.visible is False
    assert figure.layout.yaxis.title.text == "lr"


def test_long_runs_keep_their_peaks():
    values = np.full(100_000, 0.5)
    values[[777, 778]] = 0.0, 1.0
    (curve,) = schedule_curves(["a"], [values]).data
    assert len(curve.x) < 1100
    assert {0.0, 1.0} <= set(curve.y.tolist())
    assert curve.x[-1] == 100_000


def test_a_name_for_each_curve():
    with pytest.raises(ValueError, match="zip"):
        schedule_curves(["a", "b"], [np.ones(2)])
