from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from thalweg.plots.find_lr import Choice, Held, learning_rates

NAN, INF = float("nan"), float("inf")
LRS = np.logspace(-5, 1, 13).tolist()


def curve(**changes: Any) -> dict[str, list[float]]:
    loss = [2.3, 2.3, 2.3, 2.3, 2.2, 2.0, 1.5, 1.0, 0.8, 1.0, 2.5, 80.0, INF]
    return {
        "lr": LRS,
        "loss": loss,
        "low": [y - 0.1 for y in loss],
        "high": [y + 0.1 for y in loss],
    } | changes


HELD = [
    Held(1e-3, 1.5, 0.1, 50, 0, False),
    Held(1e-2, 0.5, 0.02, 200, 0, True),
    Held(1e-1, 0.45, 0.02, 200, 0, True),
    Held(1.0, INF, NAN, 50, 1, False),
]
CHOICES = [Choice("fastai <valley>", 0.02, [0.01, 0.02, 0.03]), Choice("lightning", 1e-6, [1e-6])]


def drawn(**changes: Any) -> Any:
    given: dict[str, Any] = {"edge": 3.0, "best": 0.1, "interval": (0.01, 0.1), "title": "t"}
    return learning_rates(curve(), HELD, CHOICES, **given | changes)


def traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data if trace.name}


def test_every_number_is_where_it_belongs() -> None:
    found = traces(drawn())
    assert found["rate rises"].x.tolist() == LRS
    assert found["rate rises"].y[:-1].tolist() == curve()["loss"][:-1]
    assert math.isnan(found["rate rises"].y[-1])
    assert found["held to the end"].x == (1e-2, 1e-1)
    assert found["held to the end"].error_y.array == (0.02, 0.02)
    assert found["taken out before"].x == (1e-3,)
    assert found["diverged"].x == (1.0,)
    assert found["the best"].x == (0.1,)
    assert found["fastai &lt;valley&gt;"].x == (0.01, 0.02, 0.03)


def test_the_edge_and_the_interval_are_said() -> None:
    figure = drawn()
    notes = {note.text.strip(): note.x for note in figure.layout.annotations}
    assert notes["divergence edge"] == pytest.approx(math.log10(3.0))
    assert notes["cannot be told from the best"] == pytest.approx(-1.5)
    shade = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert shade[0].x0 < 0.01
    assert shade[0].x1 > 0.1
    alone = {note.text for note in drawn(interval=(0.1, 0.1)).layout.annotations}
    assert "the best" in alone


def test_the_flat_beginning_is_left_out_and_all_choices_are_seen() -> None:
    left, right = drawn().layout.xaxis.range
    assert left < -6 < 1.4 < right < 2
    without = learning_rates(curve(), HELD, edge=3.0)
    assert without.layout.xaxis.range[0] > -4
    assert len({trace.xaxis for trace in without.data}) == 2


def test_the_axis_of_the_range_test_does_not_follow_the_explosion() -> None:
    low, high = drawn().layout.yaxis.range
    assert low < 0.8
    assert 2.3 < high < 5


def test_where_nothing_is_known_something_is_drawn() -> None:
    lost = [Held(0.1, INF, NAN, 0, 2, False)]
    gone = curve(loss=[NAN] * 13, low=[NAN] * 13, high=[NAN] * 13)
    figure = learning_rates(gone, lost)
    assert "diverged" in traces(figure)
    zero = [Held(0.1, 0.0, 0.0, 9, 0, True), Held(1.0, 0.1, 0.0, 9, 0, True)]
    assert learning_rates(curve(), zero).layout.yaxis2.type == "linear"


def test_a_long_title_has_lines() -> None:
    assert drawn(title="word " * 25).layout.title.text.count("<br>") == 1
