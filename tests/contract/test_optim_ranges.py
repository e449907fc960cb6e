"""Every option of every rule and schedule: what is not allowed is one clear error with a hint.

The wrong values are made from the ranges that the options declare.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import MISSING
from typing import Any

import pytest
import torch

from thalweg import optim
from thalweg.errors import SpecError

RIGHT: dict[str, Any] = {
    "boundaries": [3], "factors": [1.0, 0.5], "gamma": 0.9, "length": 5, "milestones": [3],
    "period": 4, "step_size": 2, "up": 3,
}  # fmt: skip
"""Values for the options of schedules that have to be given."""


def wrong_numbers(option: optim.Option) -> Iterator[Any]:
    """Values on the wrong side of an option's ends, and on these where they do not belong to it."""
    whole = option.type in (int, tuple)
    if option.range is not None:
        low, high = option.range.low, option.range.high
        ends = [low - 1, high + 1, *[end for end in (low, high) if end not in option.range]]
        yield from (int(end) if whole else end for end in ends if math.isfinite(end))
    yield from [1.5] if whole else [math.nan, math.inf, -math.inf]


def wrong_values(option: optim.Option) -> Iterator[Any]:
    """Values of the wrong type or out of the range."""
    if option.type in (float, int):
        yield from [*wrong_numbers(option), "0.1", None, True]
    elif option.type is bool:
        yield from [1, "yes", None]
    elif option.type in (tuple, tuple[float, ...]):
        yield from [[1, number] for number in wrong_numbers(option)]
        yield from [3, "3", [True]]
    else:
        yield from [1.0, "adam"]


def cases(names: Any, options_of: Any) -> list[Any]:
    return [
        pytest.param(name, option, value, id=f"{name}-{option.name}={value}")
        for name in names
        for option in options_of(name)
        for value in wrong_values(option)
    ]


def inner(name: str) -> dict[str, Any]:
    return {"inner": optim.build("adam")} if name in optim.wrappers() else {}


def required(name: str) -> dict[str, Any]:
    return {o.name: RIGHT[o.name] for o in optim.schedule_options(name) if o.default is MISSING}


@pytest.mark.parametrize(("name", "option", "value"), cases(optim.rules(), optim.hyperparameters))
def test_wrong_value_of_a_hyperparameter(name: str, option: optim.Option, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        optim.build(name, **{**inner(name), option.name: value})
    assert caught.value.got == f"{option.name}={value!r} for optimizer {name}"
    assert caught.value.expected
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "option", "value"), cases(optim.schedules(), optim.schedule_options)
)
def test_wrong_value_of_an_option_of_a_schedule(
    name: str, option: optim.Option, value: Any
) -> None:
    with pytest.raises(SpecError) as caught:
        optim.build_schedule(name, total=9, **{**required(name), option.name: value})
    assert caught.value.got == f"{option.name}={value!r} for schedule {name}"
    assert caught.value.expected
    assert caught.value.hint


@pytest.mark.parametrize("name", optim.rules())
def test_wrong_value_of_one_member(name: str) -> None:
    for option in optim.hyperparameters(name):
        if option.type is float:
            values = torch.tensor([[option.default], [math.nan]], dtype=torch.float64)
            with pytest.raises(SpecError, match=f"{option.name}=nan for a member of") as caught:
                optim.build(name, **{**inner(name), option.name: values})
            assert caught.value.hint


@pytest.mark.parametrize("name", optim.rules())
def test_unknown_hyperparameter(name: str) -> None:
    for option in optim.hyperparameters(name):
        with pytest.raises(SpecError) as caught:
            optim.build(name, **{**inner(name), f"{option.name}_": 0.1})
        assert f"did you mean {option.name}?" in caught.value.hint


@pytest.mark.parametrize("name", optim.rules())
def test_misspelt_rule(name: str) -> None:
    with pytest.raises(SpecError, match=f"did you mean {name}") as caught:
        optim.build(f"{name}_")
    assert caught.value.expected == "an optimizer by name"


@pytest.mark.parametrize("name", optim.schedules())
def test_a_schedule_with_what_it_needs_is_made(name: str) -> None:
    schedule = optim.build_schedule(name, total=9, **required(name))
    assert all(math.isfinite(schedule.factor(n)) for n in range(20))
