from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thalweg.plots import Line, metric_against


def test_points_bars_ring_and_crosses(mean: Any) -> None:
    y = [mean(0.8, 0.7, 0.9), mean(0.5), None]
    lines = [
        Line("adam", [0.1, 0.01, 1.0], y, [0, 1, 3], chosen=0.1),
        Line("sgd", [0.01, 0.1], [mean(0.2), mean(0.3)], [0, 0], chosen=1.0),
    ]
    figure = metric_against(lines, "lr", "val_accuracy")
    adam, lost, chosen, sgd = figure.data
    assert adam.x.tolist() == [0.01, 0.1, 1.0]
    np.testing.assert_array_equal(adam.y, [0.5, 0.8, np.nan])
    np.testing.assert_allclose(adam.error_y.array, [0, 0.1, 0])
    assert (lost.x.tolist(), lost.yaxis, list(lost.text)) == (
        [0.01, 1.0],
        "y2",
        ["0.01: 1 diverged", "1: 3 diverged"],
    )
    assert (chosen.x.tolist(), chosen.y.tolist()) == ([0.1], [0.8])
    assert sgd.y.tolist() == [0.2, 0.3]
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.xaxis.ticktext == ("0.01", "0.1", "1")
    assert figure.layout.yaxis2.range == (0, 1)


@pytest.mark.parametrize(
    ("values", "kind", "at"),
    [
        ([1, 2, 3], "linear", [1, 2, 3]),
        ([0, 1e-4, 1e-2], "linear", [0, 1, 2]),
        (["<b>", "a"], "linear", [0, 1]),
        ([[8], [16, 16]], "linear", [0, 1]),
        ([10.0**k for k in range(-5, 5)], "log", [10.0**k for k in range(-5, 5)]),
    ],
)
def test_the_axis_goes_by_the_values(
    values: list[Any], kind: str, at: list[Any], mean: Any
) -> None:
    figure = metric_against([Line("a", values, [mean(0.5)] * len(values))], "lr", "val_loss")
    assert (figure.layout.xaxis.type, figure.data[0].x.tolist()) == (kind, at)
    if values[0] == "<b>":
        assert figure.layout.xaxis.ticktext[0] == "&lt;b&gt;"


def test_nothing_to_draw() -> None:
    assert len(metric_against([], "lr", "val_loss").data) == 0
    figure = metric_against([Line("lost", [0.1], [None], [2], 0.1)], "lr", "val_loss")
    assert [trace.name for trace in figure.data] == ["lost", "diverged"]
