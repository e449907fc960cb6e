"""Every wrapper around every rule: they share one space of names, and none is used twice."""

from __future__ import annotations

import pytest
import torch

from thalweg import optim
from thalweg.errors import SpecError

WHOLE = ("prodigy", "swats")
"""Rules that move all parameters of a network at once; centralising goes layer by layer."""

PAIRS = [
    (wrapper, name)
    for wrapper in optim.wrappers()
    for name in optim.rules()
    if name not in optim.wrappers() and (wrapper != "centralize" or name not in WHOLE)
]


@pytest.mark.parametrize(("wrapper", "name"), PAIRS)
def test_no_name_is_used_twice(wrapper: str, name: str) -> None:
    inner = optim.build(name)
    rule = optim.build(wrapper, inner=inner)
    own = {each.name for each in optim.hyperparameters(wrapper)}
    assert own.isdisjoint(each.name for each in optim.hyperparameters(name))

    theta = torch.zeros(1, 3)
    slots = inner.init(theta)
    assert all(torch.equal(rule.init(theta)[slot], value) for slot, value in slots.items())

    numbers = inner.coefficients(7, inner.hyper())
    assert numbers.items() <= rule.coefficients(7, rule.hyper()).items()


@pytest.mark.parametrize("name", WHOLE)
def test_centralising_needs_layers(name: str) -> None:
    with pytest.raises(SpecError, match=f"centralize around {name}"):
        optim.build("centralize", inner=optim.build(name))


@pytest.mark.parametrize("wrapper", optim.wrappers())
def test_nothing_goes_around_itself(wrapper: str) -> None:
    once = optim.build(wrapper, inner=optim.build("sgd"))
    between = optim.build("decay", inner=once) if wrapper != "decay" else once
    with pytest.raises(SpecError, match=f"{wrapper} around {wrapper}"):
        optim.build(wrapper, inner=between)


def test_there_is_one_average_to_evaluate_with() -> None:
    with pytest.raises(SpecError, match="ema around swa; expected one kind of average"):
        optim.build("ema", inner=optim.build("swa", inner=optim.build("sgd")))


@pytest.mark.parametrize("wrapper", optim.wrappers())
def test_optimizers_of_other_packages_stand_alone(wrapper: str) -> None:
    with pytest.raises(SpecError, match=f"{wrapper} around Rprop of another package"):
        optim.build(wrapper, inner=optim.build("torch.optim.Rprop"))
