"""Intervals: scipy's, the closed forms, and how often they hold the true mean."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from thalweg.errors import SpecError
from thalweg.study.intervals import Interval, mean_interval, paired_interval

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20)


@given(VALUES, st.floats(0.5, 0.999))
def test_it_is_the_interval_of_scipy(values, level):
    found = mean_interval(values, level)
    assert (found.mean, found.n) == (statistics.fmean(values), len(values))
    error = float(stats.sem(values))
    if error > 1e-6:
        low, high = stats.t.interval(level, len(values) - 1, np.mean(values), error)
        assert found.low == pytest.approx(low, rel=1e-6, abs=1e-6)
        assert found.high == pytest.approx(high, rel=1e-6, abs=1e-6)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_two_values_have_the_closed_form_of_cauchy(middle, half):
    """With one degree of freedom Student's t is Cauchy: its quantile is a tangent."""
    found = mean_interval([middle - half, middle + half])
    assert found.half == pytest.approx(half * math.tan(math.pi * 0.475), rel=1e-6)


def test_three_values_have_the_closed_form_of_two_degrees():
    """Its quantile at p is (2p − 1) / √(2p (1 − p))."""
    quantile = 0.95 / math.sqrt(2 * 0.975 * 0.025)
    assert mean_interval([0.0, 1.0, 2.0]).half == pytest.approx(quantile / math.sqrt(3))


def test_it_holds_the_true_mean_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 4))
    held = [found.low <= 3.0 <= found.high for found in map(mean_interval, draws.tolist())]
    assert sum(held) / len(held) == pytest.approx(0.95, abs=0.015)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=9))
def test_pairs_are_the_interval_of_the_differences(pairs):
    a, b = map(list, zip(*pairs, strict=True))
    assert paired_interval(a, b) == mean_interval([x - y for x, y in pairs])


def test_a_single_value_says_nothing_of_its_spread():
    found = mean_interval([0.25])
    assert (found.half, found.low, found.high, str(found)) == (
        math.inf, -math.inf, math.inf, "0.25"
    )  # fmt: skip
    assert str(Interval(1.0, 0.5, 3)) == "1 ± 0.5"


def test_what_has_no_interval():
    with pytest.raises(SpecError, match="got no value"):
        mean_interval([])
    with pytest.raises(SpecError, match="got 2 and 1 values; expected pairs"):
        paired_interval([1.0, 2.0], [1.0])
