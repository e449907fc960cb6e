from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from thalweg.plots.scales import axis_of, ordered, scale_of, span


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.1], "linear"),
        ([0.01, 0.1], "log"),
        ([1, 2], "linear"),
        ([0.0, 0.5, 0.9, 0.99], "linear"),
        ([1, 3, 10, 30], "log"),
        ([True, False], "category"),
        ([None, 1.0], "category"),
        ([0, 1e-4, 1e-3, 1e-1], "category"),
    ],
)
def test_scales(values: list[Any], scale: str) -> None:
    assert scale_of(values) == scale


def test_values_that_cannot_be_compared_keep_their_order() -> None:
    assert ordered([2, "a", 1, 2]) == [2, "a", 1]
    assert ordered([3, float("nan"), 1])[0] == 3


def test_ticks() -> None:
    assert "tickvals" not in axis_of([1, 2, 3], "linear")
    assert axis_of([10.0**k for k in range(12)], "log")["dtick"] == 2
    assert axis_of(["a" * 30, 1], "category")["ticktext"] == ["a" * 17 + "…", "1"]


def test_a_range_without_a_number() -> None:
    nothing = np.full(2, np.nan)
    assert span(nothing, nothing, nothing) == {}
    low, high = span(np.zeros(2), nothing, nothing)["range"]
    assert low < 0 < high
