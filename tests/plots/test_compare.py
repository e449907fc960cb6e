from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from thalweg.plots import comparison
from thalweg.plots.theme import SERIES, SPLIT_DASHES

Learning = Callable[[int], tuple[dict[str, list[Any]], dict[str, list[Any]]]]


def test_a_run_has_a_colour_and_a_split_a_dash(learning: Learning) -> None:
    _, short = learning(3)
    _, long = learning(5)
    figure = comparison({"short": short, "long": long}, "loss", ["train", "test", "val"])
    curves = [trace for trace in figure.data if trace.name in {"short", "long"}]
    assert [trace.line.color for trace in curves] == [SERIES[0]] * 2 + [SERIES[1]] * 2
    assert [trace.line.dash for trace in curves] == [SPLIT_DASHES[s] for s in ("test", "train")] * 2
    assert [trace.showlegend for trace in curves] == [True, False] * 2
    assert len({trace.marker.symbol for trace in curves}) == 2
    np.testing.assert_array_equal(curves[2].y, long["test_loss"])
    keys = [trace for trace in figure.data if trace not in curves]
    assert [(key.name, key.line.dash) for key in keys] == [("test", "solid"), ("train", "dot")]
    assert all(np.isnan(key.y).all() for key in keys)


def test_one_split_needs_no_key(learning: Learning) -> None:
    _, epochs = learning(3)
    figure = comparison({"<b>": epochs, "none": {"step": [], "epoch": []}}, "accuracy", ["test"])
    assert [trace.name for trace in figure.data] == ["&lt;b&gt;"]
    assert figure.layout.yaxis.title.text == "test accuracy"


def test_where_a_run_was_last_sound_is_a_cross() -> None:
    lost = {"step": [1, 2, 3], "epoch": [1.0, 2.0, 3.0], "test_loss": [0.5, 0.4, math.nan]}
    _, cross = comparison({"lost": lost}).data
    assert (cross.x.tolist(), cross.y.tolist(), cross.marker.symbol) == ([2.0], [0.4], "x-thin")
    assert cross.legendgroup == "run 0"


def test_comparing_nothing() -> None:
    assert comparison({}).layout.annotations[0].text == "nothing was measured"
