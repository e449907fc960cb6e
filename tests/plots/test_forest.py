from __future__ import annotations

from typing import Any

import numpy as np

from thalweg.plots import Entry, forest

NAN = float("nan")


def test_bars_dots_and_differences_hold_the_numbers(mean: Any) -> None:
    rows = [
        Entry("adam", mean(0.9, 0.8, 1.0)),
        Entry("<sgd>", mean(0.7), mean(0.2, 0.1, 0.3)),
        Entry("lost", None, None, "5 of 5 diverged"),
    ]
    figure = forest({"epochs": rows}, "val_accuracy")
    bars, dots, gaps, behind = figure.data
    np.testing.assert_array_equal(bars.x, [0.8, 1.0, NAN, NAN, NAN, NAN, NAN, NAN, NAN])
    np.testing.assert_array_equal(dots.x, [0.9, 0.7, NAN])
    np.testing.assert_allclose(gaps.x[3:5], [10, 30])
    np.testing.assert_allclose(behind.x, [NAN, 20, NAN])
    assert behind.text[1] == "&lt;sgd&gt;: 20.00 ± 10.00 points behind"
    assert figure.layout.yaxis.ticktext[1] == "&lt;sgd&gt;"
    assert "5 of 5 diverged" in figure.layout.yaxis.ticktext[2]
    low, high = figure.layout.xaxis2.range
    assert low < 0
    assert 20 < high < 40
    assert not figure.layout.updatemenus


def test_the_order_turns_with_the_cost(mean: Any) -> None:
    a, b = Entry("a", mean(1.0, 0.5, 1.5)), Entry("b", mean(2.0))
    figure = forest({"epochs": [a, b], "seconds": [b, a]}, "{cost} until the target")
    assert figure.layout.xaxis.title.text == "epochs until the target"
    data, layout = figure.layout.updatemenus[0].buttons[1].args
    assert data["x"][1] == [2.0, 1.0]
    assert data["text"][0] is None
    assert layout["yaxis.ticktext"] == ["b", "a"]
    assert layout["xaxis.title.text"] == "seconds until the target"


def test_a_loss_is_behind_in_its_own_unit(mean: Any) -> None:
    rows = [Entry("a", mean(1.0)), Entry("b", mean(1.5), mean(0.5, 0.25, 0.75))]
    figure = forest({"epochs": rows}, "val_loss")
    assert figure.data[3].x[1] == 0.5
    assert figure.layout.xaxis2.title.text == "behind"
