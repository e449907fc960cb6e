"""What other packages read off a range test, on curves made by hand."""

from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest
import torch

from thalweg.study.lr import rules as lr_rules
from thalweg.study.lr.rules import (
    fastai,
    fastai_losses,
    lightning,
    lightning_losses,
    minimum,
    slide,
    steep,
    until_lost,
    valley,
)

LRS = np.logspace(-7, 1, 100)


def valley_shaped() -> np.ndarray:
    """Flat until 10⁻³, falls in a straight line until 10⁻¹, and rises fast."""
    x = np.log10(LRS)
    return np.where(x < -3, 2.0, np.where(x < -1, 2 - 0.8 * (x + 3), 0.4 + 4 * (x + 1) ** 2))


def test_the_valley_is_left_half_way_down():
    losses = valley_shaped()
    end = int(losses.argmin())
    longest = int((losses[: end + 1] < 2).sum()) + 1  # the last flat point is of it, too
    chosen = valley(LRS, losses)
    assert chosen == LRS[end - longest + int(longest / 3) + int(longest / 6)]
    assert 10**-2.2 < chosen < 10**-1.9


def test_the_longest_valley_may_have_bumps_and_is_the_first_of_equal_ones():
    lrs = np.arange(1.0, 9.0)
    # 5, 4, 3, 2 falls around the bumps at 9: four points that end at the sixth.
    assert valley(lrs, np.array([5.0, 9, 4, 3, 9, 2, 9, 9])) == lrs[5 - 4 + 1]
    assert valley(lrs, np.arange(8.0)) == lrs[0]  # it never falls
    assert valley(lrs[:0], lrs[:0]) is None


def test_the_steepest_slope_is_by_the_logarithm_of_the_rate():
    lrs = np.array([0.01, 0.1, 0.2, 1.0])
    # By decade −1, −1.33, −0.14; by rate it would be −11, −4, −0.1.
    assert steep(lrs, np.array([2.0, 1.0, 0.6, 0.5])) == 0.1
    assert steep(lrs[:1], np.array([1.0])) is None


def test_the_minimum_is_a_tenth_of_the_rate_with_the_least_loss():
    assert minimum(LRS, valley_shaped()) == pytest.approx(0.01, rel=0.2)
    assert minimum(LRS[:0], LRS[:0]) is None


def test_the_slide_stops_where_slopes_are_alike():
    # Both ends are flat: it stops at once, 15 points before the end.
    assert slide(LRS, np.ones(100)) == LRS[-16]
    # A parabola's slopes are never alike: it slides down to the first points.
    assert slide(LRS, np.arange(100.0) ** 2) == LRS[0]
    assert slide(LRS[:15], np.ones(15)) is None


def test_fastai_smooths_without_bias_and_stops_at_four_times_the_least():
    smooth = fastai_losses([1.0] * 10)
    assert smooth == pytest.approx([1.0] * 10)
    rising = fastai_losses([1.0] * 10 + [1000.0] * 5)
    assert len(rising) == 11
    expected = (0.98 * (1 - 0.98**10) + 20.0) / (1 - 0.98**11)
    assert rising[-1] == pytest.approx(expected)


def test_lightning_divides_by_one_power_more():
    assert lightning_losses([2.0])[0] == pytest.approx(2 * 0.02 / (1 - 0.98**2))
    assert len(lightning_losses([1.0] * 10 + [1000.0] * 5)) == 11


def test_fastai_leaves_out_both_ends_and_what_is_after_nan():
    lrs = LRS.tolist()
    losses = [9.0 - 0.01 * k for k in range(100)]
    assert fastai(lrs, losses)["fastai minimum"] == pytest.approx(LRS[94] / 10)
    losses[60:] = [nan] * 40
    assert fastai(lrs, losses)["fastai minimum"] == pytest.approx(LRS[59] / 10)
    assert set(fastai(lrs, [nan] * 100).values()) == {None}


def test_lightning_takes_the_gradient_by_the_rate_itself():
    g = np.random.default_rng(0)
    losses = (valley_shaped() + 0.05 * g.standard_normal(100)).tolist()
    smooth = lightning_losses(losses)
    kept = torch.tensor(smooth[10:-1], dtype=torch.float64)
    rates = torch.tensor(LRS[: len(smooth)][10:-1])
    slopes = torch.gradient(kept, spacing=[rates])[0]
    assert lightning(LRS.tolist(), losses) == {"lightning": float(rates[slopes.argmin()])}
    assert lightning(LRS.tolist(), [nan] * 100) == {"lightning": None}


def test_the_range_tests_of_the_packages_go_where_theirs_go():
    ours = lr_rules.TRIALS
    ends = {name: t.first * t.growth**99 for name, t in ours.items()}
    assert ours["fastai"].first == 1e-7
    assert ends["fastai"] == pytest.approx(10 * 1e8**-0.01)
    assert ends["lightning"] == pytest.approx(1.0)


def test_losses_after_one_that_is_no_number_are_none():
    assert until_lost([1.0] * 100) == [1.0] * 100
    lost = until_lost([1.0], inf, steps=3)
    assert lost[:2] == [1.0, inf]
    assert np.isnan(lost[2])
    assert np.isnan(until_lost([1.0], nan, steps=3)[1:]).all()
