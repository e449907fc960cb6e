from __future__ import annotations

import numpy as np

from thalweg.plots.columns import measured, metrics_of, rows_of, values


def test_what_is_no_finite_number_is_nan() -> None:
    table = {"step": [1, 2, 3, 4], "loss": [1, None, float("inf"), float("nan")]}
    np.testing.assert_array_equal(values(table, "loss"), [1, np.nan, np.nan, np.nan])
    assert np.isnan(values(table, "accuracy")).tolist() == [True] * 4
    assert values({}, "loss").tolist() == []


def test_nan_was_measured_and_none_was_not() -> None:
    assert measured({"step": [1, 2], "test_loss": [None, float("nan")]}, "test_loss") == [1]
    assert measured({}, "test_loss") == []


def test_metrics_come_from_both_tables_without_the_clock() -> None:
    steps = {"step": [], "seconds": [], "top5": [], "loss": []}
    epochs = {"lr": [], "running_loss": [], "test_my_own": [], "note": []}
    assert metrics_of(steps, epochs) == ["loss", "top5", "my_own"]
    assert rows_of(steps) == 0
