from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.plots.levels import levels_of, numbers, round_step

heights = st.lists(
    st.floats(0, 1e9) | st.sampled_from([float("nan"), float("inf")]), min_size=4, max_size=60
)


@given(heights)
def test_levels_of_a_loss_are_even_in_the_logarithm_above_the_least(column: list[float]) -> None:
    y = np.array(column)
    levels = levels_of(y, "loss")
    assert levels.base is not None
    steps = np.diff(levels.at)
    assert (steps > 0).all()
    np.testing.assert_allclose(steps, levels.step, rtol=1e-6)
    assert len(set(levels.texts)) == len(levels.at) or levels.base > 0
    finite = y[np.isfinite(y)]
    if len(finite):
        assert levels.base == finite.min()
    drawn = levels.drawn(y)
    np.testing.assert_array_equal(np.isfinite(drawn), np.isfinite(y))
    order = np.argsort(finite, kind="stable")
    assert (np.diff(drawn[np.isfinite(y)][order]) >= 0).all()


def test_levels_are_in_the_units_of_the_loss() -> None:
    levels = levels_of(2 + np.logspace(-6, 0, 200), "val_loss")
    assert levels.base == 2 + 1e-6
    above = np.log10(levels.heights - levels.base)
    np.testing.assert_allclose(np.diff(above), np.diff(above)[0], rtol=1e-6)
    np.testing.assert_allclose([float(text) for text in levels.texts], levels.heights, rtol=1e-3)
    np.testing.assert_allclose(levels.drawn(levels.heights), levels.at)


def test_one_disaster_does_not_take_the_levels_from_the_valley() -> None:
    levels = levels_of(np.concatenate([np.linspace(0.1, 1, 99), [1e30]]), "loss")
    assert (levels.heights < 1.1).sum() >= 4
    assert levels.heights[-1] < 1e5


def test_an_accuracy_has_round_linear_levels_in_percent() -> None:
    levels = levels_of(np.array([[0.101, 0.5], [np.nan, 0.97]]), "test_accuracy")
    assert levels.base is None
    np.testing.assert_allclose(np.diff(levels.at), 0.1)
    assert levels.texts[0] == "20 %"
    assert levels.drawn(np.array([0.5, np.inf]))[0] == 0.5


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
@pytest.mark.parametrize("column", [[0.5] * 4, [0.0] * 4, [np.nan] * 4])
def test_a_flat_ground_has_levels_too(metric: str, column: list[float]) -> None:
    levels = levels_of(np.array(column), metric)
    assert np.isfinite(levels.at).all()
    assert levels.step > 0


def test_numbers_are_told_apart_and_spelt_out() -> None:
    assert numbers([1000.0, 12345.0, 2e9]) == ["1,000", "12,300", "2e+09"]
    assert numbers([0.0001, 1e-7]) == ["0.0001", "1e-07"]
    assert numbers([2.30001, 2.30002]) == ["2.30001", "2.30002"]
    assert numbers([1.0, 1.0]) == ["1", "1"]


@given(st.floats(1e-9, 1e9), st.integers(2, 30))
def test_a_round_step_fits_as_often_as_asked(width: float, most: int) -> None:
    step = round_step(width, most)
    assert width / step <= most * (1 + 1e-6)
    assert f"{step:.0e}"[0] in "125"
    assert width / step > most / 2.6
