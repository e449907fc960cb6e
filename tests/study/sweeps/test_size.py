"""How many members fit, and what a series will cost."""

from __future__ import annotations

from typing import Any

import pytest

from thalweg.engine import Group, short_keys
from thalweg.errors import SpecError
from thalweg.spec import Spec
from thalweg.study import estimate
from thalweg.study.sweeps.grid import Point, grid
from thalweg.study.sweeps.series import Series
from thalweg.study.sweeps.size import ENOUGH, free_memory, largest_group, member_bytes


def points(**settings: Any) -> list[Point]:
    base = Spec().override({"hidden": (8,), "steps": 20, "subset": 96, **settings}, short_keys())
    return grid(base, {"batch_size": [8, 16]}, 3)


def test_a_group_is_as_large_as_memory_lets_it_be():
    some = points()
    one = member_bytes(Group([some[-1].spec]))
    assert largest_group(some, {}, memory=2.5 * one) == 2
    assert largest_group(some, {}) == ENOUGH
    with pytest.raises(SpecError, match=r"MB for members of .*; expected memory for one at least"):
        largest_group(some, {}, memory=one / 2)


def test_wider_networks_and_batches_take_more():
    def taken(**settings: Any) -> int:
        return member_bytes(Group([points(**settings)[0].spec]))

    assert taken(hidden=(512, 512)) > 2 * taken()
    assert taken(optimizer="adam", hidden=(256,)) > taken(optimizer="sgd", hidden=(256,))
    assert 2**20 < free_memory() < 2**50


def test_an_estimate_goes_by_each_group_s_own_length():
    base = points()[0].spec
    few, many = (
        Series(grid(base.override({"steps": steps}), {"batch_size": [8]}, 1)) for steps in (5, 5000)
    )
    mixed = Series(grid(base, {"steps": [5, 5000]}, 1), groups=[[0], [1]])
    found = estimate(mixed)  # two groups of one kind
    assert found.by_group[1] == pytest.approx(1000 * found.by_group[0])
    assert estimate(many).seconds > 20 * estimate(few).seconds
    assert found.bytes > 0


def test_what_is_over_costs_nothing():
    series = Series(points())
    for index, _ in series.events():
        if index == 1:
            break
    found = estimate(Series(series.points, series.groups))
    assert (found.members, found.groups) == (6, 2)
    left = estimate(series)
    assert (left.members, left.groups, left.by_group[0]) == (3, 1, 0.0)
    assert left.seconds == left.by_group[1] > 0


def test_it_leaves_no_trace():
    series = Series(points())
    estimate(series)
    for _ in series.events():
        pass
    again = Series(points())
    for _ in again.events():
        pass
    for number, result in series.results.items():
        assert result.metrics == again.results[number].metrics
