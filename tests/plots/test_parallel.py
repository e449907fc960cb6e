from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.plots import Strand, parallel_axes
from thalweg.plots.theme import RAMP, WRONG

AXES = ("lr", "hidden", "optimizer")


def strands(mean: Any, n: int = 10) -> list[Strand]:
    return [
        Strand({"lr": 10.0 ** (-k % 3), "hidden": [8] * (1 + k % 2), "optimizer": f"<{k % 2}>"},
               mean((k + 1) / 100), k % 7 == 6)
        for k in range(n)
    ]  # fmt: skip


def test_every_setting_is_one_strand_in_the_colour_of_its_fifth(mean: Any) -> None:
    figure = parallel_axes([*strands(mean), Strand({"lr": 1.0}, None, 3)], "val_accuracy")
    lost, *fifths, best = figure.data
    assert lost.line.color == WRONG
    assert [trace.line.color for trace in fifths] == list(RAMP)
    assert [len(trace.x) for trace in fifths] == [2 * (len(AXES) + 1)] * 5
    assert fifths[0].name == "1.00 % to 2.00 %"
    assert best.name == "best: 10.00 %"
    assert "optimizer &lt;1&gt;" in best.text[0]
    assert np.isnan(lost.y[1:]).all()
    np.testing.assert_array_equal(best.x, [0, 1, 2, np.nan])


def test_of_a_loss_the_least_is_best_unless_it_diverged(mean: Any) -> None:
    own = [Strand({"lr": x}, mean(y), lost) for x, y, lost in [(1, 0.1, 1), (2, 0.2, 0)]]
    assert parallel_axes(own, "val_loss").data[-1].name == "best: 0.2000"
    assert [t.name for t in parallel_axes(own[:1], "val_loss").data] == ["0.1000"]


def test_strands_of_one_value_lie_side_by_side_the_best_on_top(mean: Any) -> None:
    own = [Strand({"lr": 1.0, "x": 1}, mean(y)) for y in (0.3, 0.9, 0.6)]
    figure = parallel_axes(own, "val_accuracy")
    heights = [float(trace.y[0]) for trace in figure.data[:3]]  # from the worst to the best
    assert heights == sorted(heights)
    assert len(set(heights)) == 3
    assert [note.text for note in figure.layout.annotations] == ["1", "1"]


def test_an_axis_of_many_values_names_some(mean: Any) -> None:
    own = [Strand({"x": k}, mean(float("nan"))) for k in range(30)]
    figure = parallel_axes(own, "val_loss")
    assert len(figure.layout.annotations) == 8
    assert len(figure.data) == 0
