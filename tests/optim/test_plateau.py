from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ReduceLROnPlateau

from thalweg import optim

LEVELS = st.sampled_from([0.0, 0.5, 0.7, 0.8999, 0.9, 0.95, 0.9999, 1.0, 1.0001, 1.1, 2.0, 7.5])
VALUES = LEVELS | st.floats(-3, 3) | st.sampled_from([float("nan"), float("inf"), -float("inf")])
OPTIONS = st.fixed_dictionaries(
    {
        "gamma": st.sampled_from([0.0, 0.1, 0.5, 0.9]) | st.floats(0, 1, exclude_max=True),
        "wait": st.integers(0, 4),
        "threshold": st.sampled_from([0.0, 1e-4, 0.1]) | st.floats(0, 1, exclude_max=True),
        "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": st.integers(0, 4),
        "minimum": st.sampled_from([0.0, 0.05, 1.0]) | st.floats(0, 1),
    }
)


def made(options: dict[str, Any]) -> optim.Plateau:
    shape = optim.build_schedule("plateau", total=1, **options).shape
    assert isinstance(shape, optim.Plateau)
    return shape


def torch_rates(options: dict[str, Any], values: list[float], lr: float, mode: Any) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    scheduler = ReduceLROnPlateau(
        optimizer,
        mode,
        factor=options["gamma"],
        patience=options["wait"],
        threshold=options["threshold"],
        threshold_mode=options["threshold_mode"],
        cooldown=options["cooldown"],
        min_lr=lr * options["minimum"],
        eps=0.0,
    )
    rates = []
    for value in values:
        scheduler.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@settings(deadline=None)
@given(options=OPTIONS, values=st.lists(VALUES, max_size=40), down=st.booleans())
@example(
    options={
        "gamma": 0.1, "wait": 0, "threshold": 0.0, "threshold_mode": "abs", "cooldown": 2,
        "minimum": 0.05,
    },
    values=[1.0] * 12,
    down=False,
)  # fmt: skip
def test_equals_torch_on_any_course_of_a_metric(
    options: dict[str, Any], values: list[float], down: bool
) -> None:
    mode = "min" if down else "max"
    tracker = made(options).tracker(lower_is_better=down)
    factors = [tracker.observe(value) for value in values]
    assert factors == torch_rates(options, values, 1.0, mode)
    rates = torch_rates(options, values, 0.037, mode)
    assert [0.037 * factor for factor in factors] == pytest.approx(rates, rel=1e-12)


@settings(deadline=None)
@given(
    options=OPTIONS,
    values=st.lists(VALUES, max_size=30),
    cut=st.integers(0, 30),
    down=st.booleans(),
)
def test_goes_on_from_a_state_that_was_written_down(
    options: dict[str, Any], values: list[float], cut: int, down: bool
) -> None:
    shape = made(options)
    whole, first, second = (shape.tracker(lower_is_better=down) for _ in range(3))
    factors = [whole.observe(value) for value in values]
    before = [first.observe(value) for value in values[:cut]]
    second.load(json.loads(json.dumps(first.state())))
    assert before + [second.observe(value) for value in values[cut:]] == factors
    assert second.state() == whole.state()


def test_it_alone_reacts_and_without_a_tracker_it_changes_nothing() -> None:
    assert [name for name, shape in optim.schedules().items() if shape.reacts] == ["plateau"]
    schedule = optim.build_schedule("plateau", total=5)
    assert [schedule.factor(n) for n in range(5)] == [1.0] * 5


def test_a_share_and_a_number_are_told_apart() -> None:
    courses = {}
    for mode in ("rel", "abs"):
        tracker = made({"threshold": 0.5, "threshold_mode": mode, "wait": 0}).tracker(
            lower_is_better=True
        )
        courses[mode] = [tracker.observe(value) for value in (10.0, 9.0, 4.0)]
    assert courses == {"rel": [1.0, 0.1, 0.1], "abs": [1.0, 1.0, 1.0]}
