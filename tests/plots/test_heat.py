from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.plots import Cell, heat_map
from thalweg.plots.theme import EMPTY, RAMP, RIGHT, WRONG

NAN = float("nan")


def test_cells_hold_the_numbers_and_what_diverged(mean: Any) -> None:
    cells = [
        Cell(0.1, "b", mean(0.9), 1),
        Cell(0.01, "b", mean(0.8)),
        Cell(1.0, "b", None, 3),
        Cell(0.01, "a", mean(NAN), 0),
    ]
    figure = heat_map(cells, ("lr", "<b>"), "val_accuracy")
    good, lost = figure.data
    np.testing.assert_array_equal(good.z, [[0.8, 0.9, NAN], [NAN, NAN, NAN]])
    assert good.text.tolist() == [["80.0", "90.0<br>1 ×", "×"], ["", "", ""]]
    np.testing.assert_array_equal(lost.z, [[NAN, NAN, 1], [NAN, NAN, NAN]])
    assert [colour for _, colour in lost.colorscale] == [WRONG, WRONG]
    assert [colour for _, colour in good.colorscale] == [EMPTY, RIGHT]
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (-0.5, 0.5, -0.5, 0.5)
    assert figure.layout.xaxis.title.text == "lr (logarithmic)"
    assert figure.layout.yaxis.title.text == "&lt;b&gt;"
    assert good.customdata[0, 0] == "lr 0.01, &lt;b&gt; b<br>80.00 %"


def test_of_a_loss_less_is_better_and_the_worst_do_not_hide_the_rest(mean: Any) -> None:
    cells = [Cell(k, 0, mean(y)) for k, y in enumerate([0.1, 0.2, 0.3, 1e6])]
    figure = heat_map(cells, ("x", "y"), "val_loss")
    good = figure.data[0]
    assert [colour for _, colour in good.colorscale] == [RIGHT, EMPTY]
    assert (good.zmin, good.zmax < 1) == (0.1, True)
    assert figure.layout.shapes[0].x0 == -0.5
    assert good.text.tolist() == [["0.1", "0.2", "0.3", "1.00e+06"]]


def test_many_cells_have_a_bar_instead_of_numbers(mean: Any) -> None:
    cells = [Cell(x, y, mean(x / 100)) for x in range(30) for y in range(3)]
    figure = heat_map(cells, ("x", "y"), "val_accuracy")
    good = figure.data[0]
    assert (good.texttemplate, good.showscale) == (None, True)
    assert [colour for _, colour in good.colorscale] == list(RAMP)
    assert len(figure.layout.xaxis.tickvals) == 15
    assert figure.layout.shapes[0].line.color not in RAMP
    assert figure.data[1].texttemplate == "%{text}"


def test_nothing_but_divergence() -> None:
    figure = heat_map([Cell(0.1, 1, None, 2)], ("x", "y"), "val_loss")
    assert not figure.layout.shapes
    assert figure.data[1].z.tolist() == [[1.0]]


def test_equal_values_have_one_colour(mean: Any) -> None:
    for metric in ("val_loss", "val_accuracy"):
        good = heat_map([Cell(x, 1, mean(0.5)) for x in (1, 2, 3)], ("x", "y"), metric).data[0]
        assert good.zmin < good.zmax
