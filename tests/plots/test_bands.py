from __future__ import annotations

import numpy as np
import pytest

from thalweg.plots import Band, band_curves
from thalweg.plots.theme import look

NAN, INF = float("nan"), float("inf")
X = {"epochs": [1.0, 2.0, 3.0], "seconds": [10.0, 20.0, 30.0]}


def test_curve_and_band_hold_the_numbers() -> None:
    band = Band("adam", X, [0.5, 0.7, 0.8], [0.4, 0.6, 0.7], [0.6, 0.8, 0.9])
    around, curve = band_curves([band], "val_accuracy").data
    assert (curve.x.tolist(), curve.y.tolist()) == (X["epochs"], [0.5, 0.7, 0.8])
    assert around.x.tolist() == [1, 2, 3, 3, 2, 1]
    assert around.y.tolist() == [0.4, 0.6, 0.7, 0.9, 0.8, 0.6]
    assert (around.fillcolor, curve.line.color, curve.marker.symbol) == (look(0)[0], *look(0))
    assert list(curve.customdata) == [" ± 10.0%"] * 3


def test_buttons_turn_to_the_other_cost() -> None:
    bands = [Band(name, X, [1.0, 2.0, 3.0], [0.0] * 3, [4.0] * 3) for name in "ab"]
    figure = band_curves(bands, "val_loss", "title")
    (menu,) = figure.layout.updatemenus
    data, layout = menu.buttons[1].args
    assert [len(x) for x in data["x"]] == [6, 3, 6, 3]
    assert data["x"][1] == X["seconds"]
    assert layout == {"xaxis.title.text": "seconds"}
    assert not band_curves([Band("a", {"epochs": [1.0]}, [1], [1], [1])], "x").layout.updatemenus


def test_what_is_no_number_is_a_gap() -> None:
    band = Band("<b>", X, [NAN, 0.5, INF], [-INF, 0.4, NAN], [INF, 0.6, 1.0], "1 of 2 diverged")
    around, curve = band_curves([band], "val_accuracy").data
    np.testing.assert_array_equal(curve.y, [NAN, 0.5, NAN])
    assert around.y.tolist() == [0.4, 0.6]
    assert curve.name == "&lt;b&gt; (1 of 2 diverged)"
    assert list(curve.customdata) == ["", " ± 10.0%", ""]


@pytest.mark.parametrize("bands", [[], [Band("lost", {"epochs": ()}, (), (), ())]])
def test_nothing_to_draw(bands: list[Band]) -> None:
    figure = band_curves(bands, "val_loss")
    assert all(len(trace.y) == 0 for trace in figure.data)


def test_a_loss_over_decades_is_logarithmic_and_wide_bands_leave_the_axis() -> None:
    band = Band("a", X, [10.0, 1.0, 0.1], [-50.0, 0.5, 0.05], [1e9, 2.0, 0.2])
    axis = band_curves([band], "test_loss").layout.yaxis
    assert axis.type == "log"
    assert 1 < axis.range[1] < 2
    share = band_curves([Band("a", X, [0.1, 0.5, 0.9], [-9.0] * 3, [9.0] * 3)], "val_accuracy")
    assert -0.1 < share.layout.yaxis.range[0] < 0
    assert 1 < share.layout.yaxis.range[1] < 1.1
