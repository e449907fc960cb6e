"""Grids: every combination once, in order, and half-decades between any two ends."""

from __future__ import annotations

from math import log10, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg.errors import SpecError
from thalweg.spec import Spec
from thalweg.study.sweeps.grid import grid, half_decade, half_decades

AXES = {
    "lr": st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=3, unique=True),
    "batch_size": st.lists(st.integers(1, 512), min_size=1, max_size=3, unique=True),
    "optimizer": st.lists(st.sampled_from(["sgd", "adam"]), min_size=1, max_size=2, unique=True),
    "hidden": st.lists(st.sampled_from([(8,), (8, 4)]), min_size=1, max_size=2, unique=True),
}


@given(st.fixed_dictionaries({}, optional=AXES), st.integers(1, 3), st.booleans())
def test_every_combination_is_there_once_for_each_seed(over, seeds, shared_order):
    base = Spec(seed=5)
    points = grid(base, over, seeds, shared_order=shared_order)
    assert len(points) == prod(len(values) for values in over.values()) * seeds
    assert len({repr((point.setting, point.spec.seed)) for point in points}) == len(points)
    for point in points:
        assert list(point.setting) == list(over)
        assert all(point.setting[key] in over[key] for key in over)
        assert point.spec.order_seed == (5 if shared_order else None)
        assert 5 <= point.spec.seed < 5 + seeds
        assert point.changes == {
            **point.setting, "seed": point.spec.seed, **({"order_seed": 5} if shared_order else {})
        }  # fmt: skip


def test_settings_one_by_one():
    points = grid(Spec(), [{"lr": 0.1}, {"batch_size": 8, "lr": 0.2}], seeds=[3, 1])
    assert [(p.spec.optimizer.lr, p.spec.batch_size, p.spec.seed) for p in points] == [
        (0.1, 64, 3), (0.1, 64, 1), (0.2, 8, 3), (0.2, 8, 1)
    ]  # fmt: skip
    assert {p.spec.order_seed for p in points} == {0}


def test_settings_that_have_names():
    points = grid(Spec(), [{"name": "large", "lr": 1.0}, {"lr": 0.1}], seeds=2)
    settings = [{"name": "large"}, {"name": "large"}, {"lr": 0.1}, {"lr": 0.1}]
    assert [point.setting for point in points] == settings
    assert points[1].changes == {"lr": 1.0, "seed": 1, "order_seed": 0}


def test_an_order_that_is_chosen_stays():
    assert grid(Spec(order_seed=9), [{}], 2)[1].spec.order_seed == 9


@pytest.mark.parametrize(
    ("over", "seeds", "message"),
    [
        ({"lr": []}, 1, r"got lr=\[\]; expected a list of values"),
        ({"lr": "0.1"}, 1, r"got lr='0.1'; expected a list of values"),
        ({"lr": 0.1}, 1, r"got lr=0.1; expected a list of values"),
        ([], 1, "got nothing to vary"),
        ({"seed": [1, 2]}, 1, "got seed among what varies; expected seeds="),
        ({"order_seed": [1, 2]}, 1, "got order_seed among what varies"),
        ({"name": ["a"]}, 1, "unknown key 'name'"),
        ([{"name": "a"}, {"name": "a", "lr": 1.0}], 1, "settings called .* texts, each once"),
        ([{"name": 3}], 1, "texts, each once"),
        ({"lr": [0.1]}, 0, "got seeds=0; expected at least one"),
        ({"lr": [0.1]}, [1, 1], r"got seeds=\[1, 1\]; expected at least one, and each once"),
        ({"larning_rate": [0.1]}, 1, "unknown key 'larning_rate'"),
        ({"batch_size": [0]}, 1, "batch_size=0"),
    ],
)
def test_what_is_no_grid(over, seeds, message):
    with pytest.raises(SpecError, match=message):
        grid(Spec(), over, seeds)


@given(st.integers(-20, 20), st.integers(0, 12))
def test_half_decades_go_from_one_end_to_the_other(first, count):
    low, high = half_decade(first), half_decade(first + count)
    values = half_decades(low, high)
    assert (values[0], values[-1], len(values)) == (low, high, count + 1)
    assert all(f"{value:.0e}"[0] in "13" for value in values)
    assert all(b / a * 1.0001 >= 3 and b / a < 3.3334 for a, b in zip(values, values[1:]))  # noqa: B905, RUF007
    assert all(abs(2 * log10(v) - first - k) < 0.1 for k, v in enumerate(values))


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.1), (-1.0, 1.0)])
def test_ends_that_are_none(ends):
    with pytest.raises(SpecError, match="two positive numbers, the lower one first"):
        half_decades(*ends)
