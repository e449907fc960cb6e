from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.plots.thin import extremes, running_mean

values = st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=300)


@given(values, st.integers(1, 20))
def test_no_peak_is_lost(column: list[float], pieces: int) -> None:
    y = np.array(column)
    rows = extremes(y, pieces)
    assert (np.diff(rows) > 0).all()
    assert len(rows) <= 2 * pieces + 2
    assert (rows[0], rows[-1]) == (0, len(y) - 1)
    if np.isfinite(y).any():
        assert np.nanmax(y[rows]) == np.nanmax(y)
        assert np.nanmin(y[rows]) == np.nanmin(y)


def test_every_piece_keeps_its_own_peak() -> None:
    y = np.zeros(100_000)
    peaks = np.arange(50, 100_000, 1000)
    y[peaks] = np.arange(1, 101)
    assert set(peaks) <= set(extremes(y, pieces=500).tolist())


def test_a_gap_of_a_whole_piece_stays_a_gap() -> None:
    y = np.ones(100)
    y[40:60] = np.nan
    assert np.isnan(y[extremes(y, pieces=10)]).sum() == 2


def test_few_rows_are_all_kept() -> None:
    assert extremes(np.arange(8.0), pieces=4).tolist() == list(range(8))


@given(values, st.integers(1, 40), st.sampled_from([1, 3, 9]))
def test_the_running_mean_is_that_of_a_naive_loop(
    column: list[float], points: int, window: int
) -> None:
    y = np.array(column)
    rows, means, width = running_mean(y, points, window)
    length = width // window
    for k, (row, mean) in enumerate(zip(rows, means, strict=True)):
        back = window // 2
        ahead = min(back, k)
        near = y[max(0, (k - back) * length) : (k + ahead + 1) * length]
        near = near[np.isfinite(near)]
        assert k * length <= row < min((k + 1) * length, len(y))
        if len(near):
            assert mean == pytest.approx(near.mean(), rel=1e-9, abs=1e-6)
        else:
            assert np.isnan(mean)


def test_a_huge_value_does_no_harm_after_its_window() -> None:
    y = np.ones(1000)
    y[10] = 1e30
    _, means, _ = running_mean(y, points=1000, window=9)
    assert (means[15:] == 1.0).all()
