from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from thalweg.plots import learning_rate, training_curves

Tables = tuple[dict[str, list[Any]], dict[str, list[Any]]]
Learning = Callable[[int], Tables]


def named(figure: go.Figure) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_each_split_is_drawn_where_it_was_evaluated(learning: Learning) -> None:
    steps, epochs = learning(5)
    curves = named(training_curves(steps, epochs))
    assert list(curves) == ["batch", "mean of 9", "running", "train", "test"]
    np.testing.assert_array_equal(curves["test"].y, epochs["test_loss"])
    np.testing.assert_array_equal(curves["test"].x, epochs["epoch"])
    assert (curves["train"].x.tolist(), curves["train"].y.tolist()) == ([5.0], [steps["loss"][-1]])
    np.testing.assert_array_equal(curves["batch"].y, steps["loss"])
    looks = {(curves[split].line.color, curves[split].line.dash) for split in ("train", "test")}
    assert len(looks) == 2
    assert curves["batch"].opacity < curves["mean of 9"].opacity
    assert curves["test"].mode == "lines+markers"


def test_the_mean_starts_and_runs_where_the_batches_do(learning: Learning) -> None:
    steps, epochs = learning(5)
    mean = named(training_curves(steps, epochs))["mean of 9"]
    assert mean.y[0] == steps["loss"][0]
    assert mean.y[50] == pytest.approx(np.mean(steps["loss"][46:55]))


def test_the_caption_says_what_is_drawn(learning: Learning) -> None:
    steps, epochs = learning(5)
    caption = training_curves(steps, epochs).layout.meta["caption"]
    assert caption.startswith("Faint grey: one batch each")
    assert "the mean over 9 batches" in caption


def test_buttons_turn_to_steps_and_back(learning: Learning) -> None:
    steps, epochs = learning(5)
    figure = training_curves(steps, epochs, diverged=True)
    by_epoch, by_step = figure.layout.updatemenus[0].buttons
    assert (by_epoch.label, by_step.label) == ("by epoch", "by step")
    for place, trace in enumerate(figure.data):
        np.testing.assert_allclose(by_epoch.args[0]["x"][place], trace.x)
        assert len(by_step.args[0]["x"][place]) == len(trace.x)
    at = [trace.name for trace in figure.data].index("test")
    assert by_step.args[0]["x"][at] == epochs["step"]
    assert by_step.args[1] == {"xaxis.title.text": "step"}


def test_a_long_run_is_thinned_and_keeps_its_peak() -> None:
    n = 200_000
    loss = np.full(n, 0.5)
    loss[123_456] = 40.0
    steps = {"step": range(n), "epoch": np.arange(n) / 1000, "loss": loss}
    figure = training_curves(steps, {})
    batch = named(figure)["batch"]
    assert len(batch.y) < 1100
    assert batch.y.max() == 40.0
    assert batch.x[batch.y.argmax()] == 123.456
    assert "of 200,000 only peaks and troughs" in figure.layout.meta["caption"]
    assert len(named(figure)["mean of 4,500"].y) <= 400


def test_a_few_batches_are_drawn_as_they_are() -> None:
    steps = {"step": [1, 2], "epoch": [0.5, 1.0], "loss": [2.0, 1.0]}
    figure = training_curves(steps, {})
    assert [trace.name for trace in figure.data] == ["batch"]
    assert figure.layout.showlegend is False
    assert "mean" not in figure.layout.meta["caption"]


@pytest.mark.parametrize(
    ("loss", "scale"),
    [
        ([2.0, 1.0, 0.1], "log"),
        ([2.0, 1.0, 0.5], "linear"),
        ([2.0, 0.1, 0.0], "linear"),
        ([2.0, -0.1, 0.001], "linear"),
        ([float("nan")] * 3, "linear"),
    ],
)
def test_decades_get_a_logarithmic_axis(loss: list[float], scale: str) -> None:
    steps = {"step": [1, 2, 3], "epoch": [1.0, 2.0, 3.0], "loss": loss, "score": loss}
    assert training_curves(steps, {}, "loss").layout.yaxis.type == scale
    assert training_curves(steps, {}, "score").layout.yaxis.type == "linear"


def test_within_few_decades_three_numbers_of_each_are_named() -> None:
    def steps(least: float) -> dict[str, list[float]]:
        return {"step": [1, 2], "epoch": [1.0, 2.0], "loss": [1.0, least]}

    assert training_curves(steps(0.01), {}).layout.yaxis.dtick == "D2"
    assert training_curves(steps(1e-6), {}).layout.yaxis.dtick is None


def test_gaps_break_nothing(learning: Learning) -> None:
    steps, epochs = learning(3)
    steps["loss"][30:] = [None, math.nan, math.inf, *[-math.inf] * 27]
    epochs["test_loss"] = [0.5, math.nan, math.inf]
    curves = named(training_curves(steps, epochs))
    assert np.isnan(curves["batch"].y[30:]).all()
    np.testing.assert_array_equal(curves["test"].y, [0.5, np.nan, np.nan])
    assert not any(np.isinf(np.asarray(trace.y, float)).any() for trace in curves.values())


def test_divergence_is_marked_after_the_last_step(learning: Learning) -> None:
    steps, epochs = learning(2)
    steps = {name: [*column, column[-1]] for name, column in steps.items()}
    steps["step"][-1], steps["epoch"][-1] = 41, 2.05
    figure = training_curves(steps, epochs, diverged=True)
    mark = named(figure)["diverged after step 41"]
    assert mark.x.tolist() == [2.05, 2.05]
    assert mark.yaxis == "y2"
    assert (figure.layout.yaxis2.range, figure.layout.yaxis2.overlaying) == ((0, 1), "y")
    assert "after step 41 was no finite number" in figure.layout.meta["caption"]
    assert figure.layout.updatemenus[0].buttons[1].args[0]["x"][-1] == [41.0, 41.0]
    assert not any("diverged" in trace.name for trace in training_curves(steps, epochs).data)


def test_a_share_is_in_percent_and_its_low_start_is_left_out(learning: Learning) -> None:
    steps, epochs = learning(20)
    figure = training_curves(steps, epochs, "accuracy")
    low, high = figure.layout.yaxis.range
    drawn = np.concatenate([np.asarray(trace.y) for trace in figure.data])
    evaluated = [named(figure)[split].y.min() for split in ("running", "train", "test")]
    assert drawn.min() < 0.3 < low < min(evaluated)
    assert high > drawn.max()
    assert figure.layout.yaxis.tickformat.endswith("%")
    assert "leaves out" in figure.layout.meta["caption"]


def test_a_share_that_starts_high_is_drawn_whole() -> None:
    steps = {"step": range(40), "epoch": range(40), "accuracy": np.linspace(0.8, 0.9, 40)}
    assert training_curves(steps, {}, "accuracy").layout.yaxis.range is None


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_without_rows_it_says_so(metric: str) -> None:
    figure = training_curves({"step": []}, {}, metric, diverged=True)
    assert len(figure.data) == 0
    assert figure.layout.annotations[0].text == "nothing was measured"
    assert learning_rate({}, {}).layout.annotations[0].text == "nothing was measured"


def test_one_evaluation_is_a_point() -> None:
    figure = training_curves({}, {"step": [9], "epoch": [1.0], "val_loss": [0.5]})
    assert [trace.name for trace in figure.data] == ["val"]
    assert figure.data[0].mode == "lines+markers"


def test_markup_in_names_is_shown() -> None:
    steps = {"step": [1], "epoch": [1.0], "<b>": [0.5]}
    figure = training_curves(steps, {}, "<b>", "<i>run</i>")
    assert figure.layout.yaxis.title.text == "&lt;b&gt;"
    assert figure.layout.title.text == "&lt;i&gt;run&lt;/i&gt;"


def test_the_learning_rate_is_that_of_each_step(learning: Learning) -> None:
    steps, epochs = learning(3)
    (trace,) = learning_rate(steps, epochs).data
    np.testing.assert_array_equal(trace.y, steps["lr"])
    (trace,) = learning_rate({}, epochs).data
    np.testing.assert_array_equal(trace.y, epochs["lr"])
